//! Tables as Markdown.

use super::numbers::{Sample, short};

/// Rows under a head.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|cell| (*cell).to_owned()).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The first column is words, the others are numbers.
    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule: String = self.head.iter().enumerate().map(|(i, _)| if i == 0 { "|---|" } else { "---:|" }).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}{rule}\n{rows}", line(&self.head))
    }
}

/// The heads of [`spread`].
pub(crate) const SPREAD: [&str; 6] = ["runs", "min", "median", "p90", "p99", "max"];

/// How measurements spread.
pub(crate) fn spread(sample: &Sample) -> Vec<String> {
    let numbers = [sample.min(), sample.median(), sample.quantile(0.9), sample.p99(), sample.max()];
    std::iter::once(sample.count().to_string()).chain(numbers.into_iter().map(short)).collect()
}

/// How a figure stands against the most that it may be.
pub(crate) fn verdict(value: f64, most: f64) -> &'static str {
    if value <= most { "ok" } else { "**behind**" }
}
