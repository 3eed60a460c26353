//! The names of rows and of clusters, and all that was measured of them: what measures, what draws and what writes tables
//! stand on this file, and it knows none of them.

use super::numbers::Sample;
use super::scene::{self, Figure};

/// Rows that clusters of all kinds have.
pub(crate) const KILLED: &str = "leader process killed (-9)";
pub(crate) const SILENT: &str = "leader's machine silent";
pub(crate) const STOPPED: &str = "leader told to stop (SIGTERM)";
pub(crate) const HANDOVER: &str = "handover";
pub(crate) const FRESH: &str = "all start together, fresh";

/// What tanist is by default, and at its fastest.
pub(crate) const DEFAULT: &str = "tanist, 250 ms (default)";
pub(crate) const FAST: &str = "tanist, 5 ms";

/// How often a fault is repeated: quick ones more often than those that take seconds each.
pub(crate) fn times(quick: bool) -> usize {
    match (scene::quick(), quick) {
        (true, _) => scene::number("TANIST_BENCH_TIMES", 3),
        (false, true) => scene::number("TANIST_BENCH_TIMES", 200),
        (false, false) => scene::number("TANIST_BENCH_TIMES", 200).div_ceil(4),
    }
}

/// All that was measured.
pub(crate) struct Found(Vec<Figure>);

impl Found {
    pub(crate) fn new(figures: Vec<Figure>) -> Self {
        Self(figures)
    }

    pub(crate) fn sample(&self, of: &str, what: &str) -> Option<Sample> {
        let same = |figure: &&Figure| figure.of == of && figure.what == what;
        Sample::new(self.0.iter().filter(same).map(|figure| figure.value).collect())
    }
}
