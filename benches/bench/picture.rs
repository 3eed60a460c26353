//! The picture of failover times against the peers: bars on a logarithmic scale, a bar for each kind of cluster.

use super::numbers::{Sample, short};
use super::peers::{DEFAULTS, TUNED};
use super::rows::{DEFAULT, FAST, FRESH, Found, HANDOVER, KILLED, SILENT, STOPPED};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 90.0;
const BAR: f64 = 13.0;

/// The scale's ends, in powers of ten of a millisecond.
const DECADES: (i32, i32) = (0, 4);

/// Kinds of cluster and their colours.
const SERIES: [(&str, &str); 6] = [
    (DEFAULT, "#2563eb"),
    (DEFAULTS[0], "#d97706"),
    (DEFAULTS[1], "#b91c1c"),
    (FAST, "#60a5fa"),
    (TUNED[0], "#fbbf24"),
    (TUNED[1], "#f87171"),
];

fn x(ms: f64) -> f64 {
    let (low, high) = (f64::from(DECADES.0), f64::from(DECADES.1));
    LEFT + (ms.max(1e-3).log10().clamp(low, high) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
}

/// The picture as SVG, readable on light and dark pages.
pub(crate) fn drawn(found: &Found) -> String {
    let (mut body, mut y) = (String::new(), 52.0);
    for what in [KILLED, SILENT, STOPPED, HANDOVER, FRESH] {
        let samples = SERIES.iter().map(|(of, colour)| (*of, *colour, found.sample(of, what)));
        let samples: Vec<_> = samples.filter_map(|(of, colour, sample)| Some((of, colour, sample?))).collect();
        if samples.is_empty() {
            continue;
        }
        text(&mut body, 8.0, y + 4.0, "b", what);
        y += 12.0;
        for (of, colour, sample) in samples {
            bar(&mut body, y, (of, colour), &sample);
            y += BAR + 3.0;
        }
        y += 16.0;
    }
    let mut grid = String::new();
    for decade in DECADES.0..=DECADES.1 {
        let (ms, at) = (10f64.powi(decade), x(10f64.powi(decade)));
        let _ = writeln!(grid, "<line x1='{at:.1}' x2='{at:.1}' y1='40' y2='{y:.1}' class='g'/>");
        let label = if ms < 1000.0 { format!("{ms} ms") } else { format!("{} s", ms / 1000.0) };
        text(&mut grid, at - 14.0, 34.0, "n", &label);
    }
    let height = y + 12.0;
    let mut out = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height:.0}' font-family='sans-serif'>\n\
         <desc>Made by: TANIST_BENCH_WRITE=1 cargo bench --bench failover</desc>\n\
         <style>.b{{font-size:13px;font-weight:bold}}.n{{font-size:11px}}.t{{font-size:13px}}text{{fill:#1f2937}}\
         .g{{stroke:#9ca3af;stroke-width:.5}}.w{{stroke:#1f2937;stroke-width:1}}</style>\n\
         <rect width='100%' height='100%' fill='#ffffff'/>\n"
    );
    text(&mut out, 8.0, 16.0, "t", "From the fault to the new leader: bar = median, line = 1 % to 99 % of the runs");
    out.push_str(&grid);
    out.push_str(&body);
    out.push_str("</svg>\n");
    out
}

fn bar(out: &mut String, y: f64, (of, colour): (&str, &str), sample: &Sample) {
    let (median, low, high) = (x(sample.median()), x(sample.quantile(0.01)), x(sample.p99()));
    let (width, middle) = ((median - LEFT).max(1.0), y + BAR / 2.0);
    text(out, 20.0, y + 10.0, "n", of);
    let _ = writeln!(out, "<rect x='{LEFT}' y='{y:.1}' width='{width:.1}' height='{BAR}' fill='{colour}'/>");
    let _ = writeln!(out, "<line x1='{low:.1}' x2='{high:.1}' y1='{middle:.1}' y2='{middle:.1}' class='w'/>");
    text(out, high.max(median) + 6.0, y + 10.0, "n", &format!("{} ms", short(sample.median())));
}

fn text(out: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x='{x:.1}' y='{y:.1}' class='{class}'>{text}</text>");
}
