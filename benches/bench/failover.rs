//! How long until every surviving machine names the new leader, fault by fault, and how long the peers take.

use super::faults::{Fault, Stage};
use super::lan::Lan;
use super::net::in_memory;
use super::numbers::short;
use super::peers::{self, Peer};
use super::rows::{DEFAULT, FAST, FRESH, Found, HANDOVER, KILLED, SILENT, STOPPED, times};
use super::scene::{self, Scene, figure};
use super::table::{SPREAD, Table, spread, verdict};
use super::{docs, ears, machine, picture, stages};
use std::time::Duration;

/// What is asked of a row: the most that its median and its 99th percentile may be, in milliseconds.
type Most = Option<(f64, f64)>;

/// One row of the table.
#[derive(Debug)]
struct Row {
    what: &'static str,
    fault: Fault,
    most: Most,
}

/// Rows that are measured on one LAN.
#[derive(Debug)]
struct Office {
    of: &'static str,
    machines: usize,
    off: usize,
    /// None: the default.
    interval: Option<Duration>,
    /// The stores are in memory: what is left is not the disk's time, which all machines share here.
    memory: bool,
    rows: &'static [Row],
}

const fn row(what: &'static str, fault: Fault, median: f64, p99: f64) -> Row {
    Row { what, fault, most: Some((median, p99)) }
}

/// A row that nothing is asked of.
const fn more(what: &'static str, fault: Fault) -> Row {
    Row { what, fault, most: None }
}

const OFFICES: [Office; 6] = [
    Office {
        of: DEFAULT,
        machines: 3,
        off: 0,
        interval: None,
        memory: false,
        rows: &[
            row(KILLED, Fault::Killed, 5.0, 30.0),
            row(HANDOVER, Fault::Handover, 2.5, 20.0),
            row(STOPPED, Fault::Stopped, 2.5, 20.0),
            row(SILENT, Fault::Silent, 680.0, 850.0),
            row(FRESH, Fault::Fresh, 420.0, 700.0),
            row("all start together after a power cut", Fault::PowerCut, 700.0, 1000.0),
            more("leader process stands still (SIGSTOP)", Fault::Frozen),
            more("leader process killed while 30 % of datagrams are lost", Fault::KilledInLoss),
        ],
    },
    Office {
        of: "tanist, stores in memory",
        machines: 3,
        off: 0,
        interval: None,
        memory: true,
        rows: &[
            row(KILLED, Fault::Killed, 5.0, 30.0),
            row(HANDOVER, Fault::Handover, 2.5, 20.0),
            row(STOPPED, Fault::Stopped, 2.5, 20.0),
        ],
    },
    Office {
        of: "tanist, 20 of 23 off",
        machines: 23,
        off: 20,
        interval: None,
        memory: false,
        rows: &[row(KILLED, Fault::Killed, 5.0, 30.0)],
    },
    Office {
        of: "tanist, 5 machines",
        machines: 5,
        off: 0,
        interval: None,
        memory: false,
        rows: &[
            row("leader and successor killed at once", Fault::BothKilled, 15.0, 60.0),
            row("leader and successor silent at once", Fault::BothSilent, 1300.0, 2000.0),
        ],
    },
    Office {
        of: "tanist, 20 ms",
        machines: 3,
        off: 0,
        interval: Some(Duration::from_millis(20)),
        memory: false,
        rows: &[row(SILENT, Fault::Silent, 60.0, 120.0)],
    },
    Office {
        of: FAST,
        machines: 3,
        off: 0,
        interval: Some(Duration::from_millis(5)),
        memory: false,
        rows: &[
            more(KILLED, Fault::Killed),
            more(HANDOVER, Fault::Handover),
            more(STOPPED, Fault::Stopped),
            row(SILENT, Fault::Silent, 30.0, 80.0),
            row(FRESH, Fault::Fresh, 95.0, 300.0),
        ],
    },
];

fn quick(fault: Fault) -> bool {
    use Fault::{BothKilled, Handover, Killed, KilledInLoss, Stopped};
    matches!(fault, Killed | KilledInLoss | BothKilled | Handover | Stopped)
}

/// Plays one scene.
///
/// # Errors
/// When a process cannot be started.
pub(crate) fn inside(scene: &Scene) -> Result<(), String> {
    scene::play(async {
        if let Some(peer) = Peer::named(&scene.name) {
            return peers::play(peer, Lan::new(scene.dir.clone(), None).await).await;
        }
        let office = OFFICES.iter().find(|office| office.of == scene.name).ok_or("no such scene")?;
        for late in ears::lateness().await {
            figure("ears", "lateness", late);
        }
        if office.memory {
            in_memory(&scene.dir);
        }
        let lan = Lan::new(scene.dir.clone(), None).await;
        let mut stage = Stage::new(lan, office.machines, office.off, office.interval).await;
        for row in office.rows {
            stage.row(office.of, row.what, row.fault, times(quick(row.fault))).await;
        }
        Ok(())
    })
}

/// Plays all scenes and prints the tables.
///
/// # Errors
/// When a scene failed.
pub(crate) fn run() -> Result<(), String> {
    let (mut figures, mut failed) = (Vec::new(), Ok(()));
    let peers: Vec<Peer> = Peer::ALL.into_iter().filter(Peer::is_installed).collect();
    let names = OFFICES.iter().map(|office| office.of).chain(peers.iter().map(|peer| peer.name()));
    for name in names.filter(|name| scene::wanted(name)) {
        // What the others show is worth having all the same.
        failed = failed.and(scene::started(name, &mut figures));
    }
    let found = Found::new(figures);
    let mut text = machine::described("cargo bench --bench failover");
    text.push_str("\n![Failover times of tanist, keepalived and etcd](img/failover.svg)\n");
    text.push_str(&format!("\n{}\n{}\n{}\n{}", found.rows(), found.stages(), found.ratios(), found.error()));
    docs::part("failover", &text)?;
    docs::picture("failover.svg", &picture::drawn(&found)).and(failed)
}

/// What the tables say.
impl Found {
    /// Our own rows against what is asked of them.
    fn rows(&self) -> String {
        let head = [&["cluster: fault (ms)"], &SPREAD[..], &["median at most", "p99 at most", "stands"]].concat();
        let mut table = Table::new(&head);
        for office in &OFFICES {
            for row in office.rows {
                let Some(sample) = self.sample(office.of, row.what) else { continue };
                let mut cells = vec![format!("{}: {}", office.of, row.what)];
                cells.extend(spread(&sample));
                cells.extend(match row.most {
                    None => [String::new(), String::new(), String::new()],
                    Some((median, p99)) => {
                        let stands = [verdict(sample.median(), median), verdict(sample.p99(), p99)];
                        let stands = if stands[0] == stands[1] { stands[0].to_owned() } else { stands.join(", ") };
                        [short(median), short(p99), stands]
                    }
                });
                table.row(cells);
            }
        }
        table.markdown()
    }

    /// Where the time of a failover goes.
    fn stages(&self) -> String {
        let mut text = String::new();
        for (of, (what, stages)) in OFFICES.iter().flat_map(|office| stages::all().map(|all| (office.of, all))) {
            let head = [&["after the fault (ms)"], &SPREAD[..]].concat();
            let mut table = Table::new(&head);
            let samples: Vec<_> =
                stages.iter().filter_map(|(stage, key)| Some((stage, self.sample(of, key)?))).collect();
            for (stage, sample) in &samples {
                table.row(std::iter::once((*stage).to_string()).chain(spread(sample)).collect());
            }
            if !samples.is_empty() {
                text.push_str(&format!("Where the time goes, {of}: {what}:\n\n{}\n", table.markdown()));
            }
        }
        text
    }

    /// Medians side by side with the peers'.
    fn ratios(&self) -> String {
        let mut text = String::new();
        for (own, others) in [(DEFAULT, peers::DEFAULTS), (FAST, peers::TUNED)] {
            let head = ["median (ms)", own, others[0], "times", others[1], "times"];
            let mut table = Table::new(&head);
            for what in [KILLED, SILENT, STOPPED, HANDOVER, FRESH] {
                let Some(mine) = self.sample(own, what).map(|sample| sample.median()) else { continue };
                let theirs = others.map(|of| self.sample(of, what).map(|sample| sample.median()));
                let cells = theirs.iter().flat_map(|median| match median {
                    Some(median) => [short(*median), format!("{:.1}", median / mine)],
                    None => ["–".to_owned(), "–".to_owned()],
                });
                table.row([what.to_owned(), short(mine)].into_iter().chain(cells).collect());
            }
            text.push_str(&format!("{}\n", table.markdown()));
        }
        text
    }

    fn error(&self) -> String {
        self.sample("ears", "lateness").map_or_else(String::new, |late| {
            format!(
                "The measurement's own error: a line is read {} ms (median; p99 {} ms) after it was written, and this \
                 is part of every time above.\n",
                short(late.median()),
                short(late.p99())
            )
        })
    }
}
