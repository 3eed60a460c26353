//! Depth first through everything that can happen, each state once.

use crate::host::{Action, Scratch, World};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A long search says how far it is every so many states.
const SAID: usize = 1 << 18;

/// What a search has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    pub(crate) deepest: usize,
    /// States in which a claim had won that had not before.
    pub(crate) wins: usize,
    /// Nothing within the bounds is left.
    pub(crate) complete: bool,
    pub(crate) took: Duration,
    /// The promise that was broken, and how.
    pub(crate) broken: Option<String>,
}

struct Level {
    world: World,
    actions: Vec<Action>,
    next: usize,
}

/// Searches until nothing is left, a promise is broken, or so much time has passed.
pub(crate) fn search(mut start: World, limit: Duration) -> Seen {
    let began = Instant::now();
    let mut seen = Seen::default();
    let mut known = BTreeSet::new();
    let mut scratch = Scratch::default();
    known.insert(start.print(&mut scratch));
    let mut stack = vec![Level { actions: start.actions(), world: start, next: 0 }];
    while let Some(level) = stack.last_mut() {
        let Some(action) = level.actions.get(level.next).copied() else {
            stack.pop();
            continue;
        };
        level.next += 1;
        let wins = level.world.won.len();
        let after = match catch_unwind(AssertUnwindSafe(|| level.world.after(action))) {
            Ok(after) => after,
            Err(why) => {
                seen.broken = Some(story(&stack, &*why));
                break;
            }
        };
        let Some(mut world) = after else { continue };
        seen.transitions += 1;
        if !known.insert(world.print(&mut scratch)) {
            continue;
        }
        seen.wins += usize::from(world.won.len() > wins);
        stack.push(Level { actions: world.actions(), world, next: 0 });
        seen.deepest = seen.deepest.max(stack.len());
        if known.len().is_multiple_of(SAID) {
            println!("... {} states, {} levels open, {:.0} s", known.len(), stack.len(), began.elapsed().as_secs_f64());
        }
        if known.len().is_multiple_of(1024) && began.elapsed() > limit {
            break;
        }
    }
    seen.complete = stack.is_empty();
    seen.states = known.len();
    seen.took = began.elapsed();
    seen
}

/// How it came to this.
fn story(stack: &[Level], why: &(dyn std::any::Any + Send)) -> String {
    let words = why.downcast_ref::<String>().cloned();
    let words = words.or_else(|| why.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default();
    let steps: Vec<String> = stack.iter().map(|l| format!("  {}", l.world.name(l.actions[l.next - 1]))).collect();
    format!("{words}, after {} steps:\n{}", steps.len(), steps.join("\n"))
}
