//! Who has how many of the places that there are: a bound for all users, one for each, and a few places that only root and
//! the agent's own user get, so that nobody locks them out.

use crate::time::Time;
use nix::unistd::geteuid;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A place that was idle for so long is given to whoever needs one.
const IDLE: Duration = Duration::from_millis(500);

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// For all users.
    pub(super) all: usize,
    /// For each.
    pub(super) each: usize,
    /// Of all, those that are kept for root and the agent's own user.
    pub(super) kept: usize,
}

/// The places. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Places {
    bounds: Bounds,
    own: u32,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    holders: BTreeMap<u64, Holder>, // bound: CONNECTIONS, WATCHERS
}

#[derive(Debug)]
struct Holder {
    user: u32,
    /// Since when its holder does nothing; none while it is asking or being answered.
    idle: Option<Time>,
    end: CancellationToken,
}

/// There is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Full {
    /// All are taken.
    All(usize),
    /// This user has as many as one may have.
    Each(usize),
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Full::All(places) => write!(f, "all {places} places for clients are taken"),
            Full::Each(places) => write!(f, "this user has {places} clients already, as many as one may have"),
        }
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    taken: Arc<Mutex<Taken>>,
    /// Cancelled when the place went to another, because its holder was idle.
    pub(super) end: CancellationToken,
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Places {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, own: geteuid().as_raw(), taken: Arc::default() }
    }

    /// A place for a user; its holder counts as busy. Where there is none, the holder goes that has been idle for longest:
    /// of this user when that has too many, else of all.
    pub(super) fn take(&self, user: u32, now: Time) -> Result<Place, Full> {
        let mut taken = lock(&self.taken);
        let Bounds { all, each, kept } = self.bounds;
        let all = if user == 0 || user == self.own { all } else { all - kept };
        let full = if taken.holders.values().filter(|holder| holder.user == user).count() >= each {
            Some(Full::Each(each))
        } else {
            (taken.holders.len() >= all).then_some(Full::All(all))
        };
        if let Some(full) = full {
            let may_go = |holder: &Holder| matches!(full, Full::All(_)) || holder.user == user;
            let idle = taken.holders.iter().filter(|(_, holder)| may_go(holder));
            let idle =
                idle.filter_map(|(id, holder)| Some((holder.idle.filter(|since| now.since(*since) >= IDLE)?, *id)));
            let Some((_, id)) = idle.min() else { return Err(full) };
            if let Some(holder) = taken.holders.remove(&id) {
                holder.end.cancel();
            }
        }
        taken.next += 1;
        let (id, end) = (taken.next, CancellationToken::new());
        taken.holders.insert(id, Holder { user, idle: None, end: end.clone() });
        Ok(Place { id, taken: Arc::clone(&self.taken), end })
    }
}

impl Place {
    /// Its holder does nothing from now on, or, with none, something again.
    pub(super) fn is_idle(&self, since: Option<Time>) {
        if let Some(holder) = lock(&self.taken).holders.get_mut(&self.id) {
            holder.idle = since;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.taken).holders.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { all: 6, each: 4, kept: 1 };

    fn take(places: &Places, user: u32, many: usize) -> Vec<Place> {
        (0..many).map(|_| places.take(user, Time(0)).expect("a place")).collect()
    }

    #[test]
    fn each_user_has_a_bound_and_some_places_are_kept() {
        let places = Places { own: 7, ..Places::new(BOUNDS) };
        let first = take(&places, 1, 4);
        assert_eq!(places.take(1, Time(0)).err(), Some(Full::Each(4)));
        let second = take(&places, 2, 1);
        assert_eq!(places.take(2, Time(0)).err(), Some(Full::All(5)));
        let own = take(&places, 7, 1);
        assert_eq!(places.take(0, Time(0)).err(), Some(Full::All(6)));
        drop(own);
        assert!(places.take(0, Time(0)).is_ok());
        drop((first, second));
        assert!(lock(&places.taken).holders.is_empty(), "nothing is kept of those that went");
    }

    #[test]
    fn who_was_idle_for_longest_goes_first() {
        let places = Places { own: 7, ..Places::new(BOUNDS) };
        let (first, second) = (take(&places, 1, 4), take(&places, 2, 1));
        first[1].is_idle(Some(Time(20)));
        first[2].is_idle(Some(Time(10)));
        second[0].is_idle(Some(Time(5)));
        assert_eq!(places.take(1, Time(5) + IDLE).err(), Some(Full::Each(4)), "another user's is not taken");
        assert!(places.take(2, Time(5)).is_err(), "it has only just become idle");
        let _third = places.take(2, Time(30) + IDLE).expect("a place");
        assert!(second[0].end.is_cancelled() && !first[2].end.is_cancelled());
        let _more = places.take(1, Time(30) + IDLE).expect("a place");
        assert!(first[2].end.is_cancelled() && !first[1].end.is_cancelled());
        first[1].is_idle(None);
        assert!(places.take(1, Time(90) + IDLE).is_err(), "it asks again");
    }
}
