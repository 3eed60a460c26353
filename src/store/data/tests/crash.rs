//! Processes that die, and machines that lose power, between any two operations.

use super::*;

/// What happened in all runs: a test that sees too little of it proves nothing.
#[derive(Default, Debug)]
struct Tally {
    crashes: u32,
    /// More than what was known to be durable was found.
    more: u32,
    /// Something that was not durable was lost.
    lost: u32,
    /// A commit was forgotten, and what it committed is pending.
    forgotten: u32,
    turned: u64,
    closed: u32,
}

/// What is promised to be there after a crash.
#[derive(Clone, Copy, Default)]
struct Promised {
    durable: Revision,
    /// A process that dies forgets no commit.
    committed: Revision,
    /// The last one that was tried.
    tried: Revision,
    /// Neither does a machine, after a checkpoint.
    checkpoint: Revision,
}

struct Run {
    disk: Disk,
    dice: Dice,
    model: Model,
    promised: Promised,
    /// A store takes the batches of another, and orders none itself.
    follows: bool,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut dice = Dice::new(seed);
        let follows = dice.chance(50);
        Run { disk: Disk::default(), dice, model: Model::default(), promised: Promised::default(), follows }
    }

    /// Opens the store, and looks whether all is there that must be.
    fn begin(&mut self, power: bool, tally: &mut Tally) -> DataStore {
        let mut store = open(&self.disk);
        let (position, committed) = (store.position(), store.committed());
        let promised = self.promised;
        assert!(self.model.between(promised.durable, position).is_some(), "{position:?} lacks {:?}", promised.durable);
        let least = if power { promised.checkpoint } else { promised.committed };
        assert!(committed >= least, "{committed:?} was {least:?}");
        assert!(committed <= promised.tried, "commits never run ahead");
        self.model.check(&mut store);
        tally.more += u32::from(position != promised.durable);
        tally.forgotten += u32::from(committed != promised.committed);
        tally.lost += u32::from(self.model.steps.keys().next_back().is_some_and(|last| *last > position));
        (self.promised.committed, self.promised.tried) = (committed, committed);
        store
    }

    /// One call, as the owner of a store makes it.
    fn act(&mut self, store: &mut DataStore, reign: ReignId) -> Result<(), DataError> {
        match self.dice.below(12) {
            0..5 => {
                let after = store.position();
                let batch = if self.follows {
                    let batch = self.model.order(after, reign, store.highest(), &mut self.dice);
                    assert_eq!(store.append(&batch)?, Appended::New);
                    batch
                } else {
                    let mut queue = self.model.requests(&mut self.dice);
                    store.order(reign, 0, &mut queue)?.batch.expect("something has an effect").bytes
                };
                let last = self.model.learn(after, vec![batch]);
                assert_eq!(store.position(), last);
            }
            5..8 => self.promised.durable = store.sync()?,
            8..11 => {
                let through = if self.dice.chance(70) { store.durable() } else { store.position() };
                self.promised.tried = self.promised.tried.max(through.min(store.durable()));
                assert_eq!(store.commit(through)?, self.promised.tried);
                // The note of it may be the last thing that the process does: nobody was told.
                if !self.disk.is_dead() {
                    self.promised.committed = self.promised.tried;
                }
            }
            _ if self.dice.chance(30) => {
                store.checkpoint()?;
                self.promised.durable = store.durable();
                self.promised.checkpoint = store.committed();
            }
            _ => self.model.check(store),
        }
        Ok(())
    }

    fn live(&mut self, life: u64, mut store: DataStore, tally: &mut Tally) {
        let reign = ReignId(1 + life);
        let first = self.disk.done();
        if self.dice.chance(85) {
            let soon = [3, 10, 60][self.dice.below(3) as usize];
            self.disk.die_at(first + 1 + self.dice.below(soon));
        }
        for _ in 0..self.dice.below(40) {
            if self.act(&mut store, reign).is_err() {
                // Whoever goes on with a dead disk gets errors, and no panic.
                let ordered = store.order(reign, 0, &mut self.model.requests(&mut self.dice));
                assert!(ordered.is_err() || store.sync().is_err());
                let _ = (store.commit(store.position()), store.checkpoint());
                break;
            }
        }
        tally.turned += store.log.as_ref().map_or(0, Log::generation);
        if self.dice.chance(20) && store.close().is_ok() {
            tally.closed += 1;
        }
    }
}

fn run(seed: u64, tally: &mut Tally) {
    let mut run = Run::new(seed);
    let mut power = false;
    for life in 0..4 + seed % 4 {
        let store = run.begin(power, tally);
        run.live(life, store, tally);
        power = run.dice.chance(60);
        run.disk.crash(power, &mut run.dice);
        tally.crashes += 1;
    }
    run.begin(power, tally);
}

#[test]
fn a_crash_loses_nothing_that_was_durable_and_leaves_nothing_by_halves() {
    let mut tally = Tally::default();
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let first = number("TANIST_FIRST_SEED").unwrap_or(0);
    for seed in first..first + number("TANIST_SEEDS").unwrap_or(1000) {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed, &mut tally)));
        assert!(done.is_ok(), "seed {seed}");
    }
    println!("{tally:?}");
}
