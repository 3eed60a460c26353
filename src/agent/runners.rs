//! Programs that follow the role (protocol §8): each has a runner that is told to start it when this agent leads, and to stop
//! it before the role is given away on purpose, or when it is lost. A runner closes its stream when its program has ended.

use crate::protocol::{Input, RoleName, Status};
use crate::view::Turn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How many programs may follow the role of one agent.
const RUNNERS: usize = 64;

/// How long the programs that run now need at most to end, in milliseconds, for those outside the loop.
#[derive(Clone, Debug, Default)]
pub(super) struct Needs(Arc<AtomicU64>);

impl Needs {
    pub(super) fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct Runner {
    grace: Duration,
    turns: mpsc::Sender<Turn>, // bound: TURNS
    started: bool,
    stopped: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Runners {
    /// One whose turns nobody takes any more has ended, or its runner has.
    all: Vec<Runner>, // bound: RUNNERS
    /// The agent is to stop.
    ends: bool,
    /// What the node knows of them.
    told: Option<Duration>,
    needs: Needs,
}

impl Runners {
    pub(super) fn new(needs: Needs) -> Self {
        Self { all: Vec::new(), ends: false, told: None, needs }
    }

    /// Takes one more, or says why there is no room.
    pub(super) fn attach(&mut self, grace: Duration, turns: mpsc::Sender<Turn>) -> Result<(), String> {
        self.all.retain(|runner| !runner.turns.is_closed());
        if self.all.len() >= RUNNERS {
            return Err(format!("{RUNNERS} programs follow the role of this machine already: end one of them"));
        }
        self.all.push(Runner { grace, turns, started: false, stopped: false });
        Ok(())
    }

    /// The agent is to stop: all are told so, and none starts any more.
    pub(super) fn end(&mut self) {
        self.ends = true;
    }

    /// How long those that run need at most to end; none when none runs.
    pub(super) fn need(&self) -> Option<Duration> {
        let runs = self.all.iter().filter(|runner| runner.started && !runner.turns.is_closed());
        runs.map(|runner| runner.grace).max()
    }

    /// Those that still run have had their time: nobody waits for them any more. Gives what the node is to know.
    pub(super) fn give_up(&mut self) -> Option<Input> {
        self.all.clear();
        self.news()
    }

    /// Tells each what it is to do as things stand; gives what the node is to know, when that has changed.
    pub(super) fn follow(&mut self, status: &Status) -> Option<Input> {
        let leads = status.role == RoleName::Leading;
        let epoch = status.shown.map_or(0, |claim| claim.epoch);
        let why = match &status.leader {
            _ if self.ends => Some("the agent of this machine stops".to_owned()),
            _ if status.gives_up => Some("this machine gives the role away".to_owned()),
            _ if leads => None,
            Some(leader) => Some(format!("{} leads", leader.name)),
            None => Some("this machine does not lead any more".to_owned()),
        };
        self.all.retain(|runner| !runner.turns.is_closed());
        for runner in &mut self.all {
            let turn = match &why {
                // A leader that stood still and may have been replaced stops nothing, and starts nothing.
                None if !runner.started && status.sure => Turn::Start(epoch),
                Some(why) if runner.started && !runner.stopped => Turn::Stop(why.clone()),
                _ => continue,
            };
            let starts = matches!(turn, Turn::Start(_));
            if runner.turns.try_send(turn).is_ok() {
                if starts { runner.started = true } else { runner.stopped = true }
            }
        }
        self.news()
    }

    /// What the node is to know, when that has changed.
    fn news(&mut self) -> Option<Input> {
        let need = self.need();
        if need == self.told {
            return None;
        }
        self.told = need;
        let ms = u64::try_from(need.unwrap_or_default().as_millis()).unwrap_or(u64::MAX);
        self.needs.0.store(ms, Ordering::Relaxed);
        Some(Input::Programs(need))
    }
}

#[cfg(test)]
mod tests {
    use super::super::api::tests::standing;
    use super::*;
    use crate::agent::shared::TURNS;

    fn stands(role: RoleName, epoch: u64, leader: Option<u128>) -> Status {
        (*standing(role, epoch, leader)).clone()
    }

    fn attached(runners: &mut Runners, grace: u64) -> mpsc::Receiver<Turn> {
        let (turns, told) = mpsc::channel(TURNS);
        runners.attach(Duration::from_secs(grace), turns).expect("there is room");
        told
    }

    #[test]
    fn a_runner_is_told_once_to_start_and_once_to_stop() {
        let mut runners = Runners::new(Needs::default());
        let mut told = attached(&mut runners, 5);
        assert_eq!(runners.follow(&stands(RoleName::Following, 3, Some(2))), None);
        assert!(told.try_recv().is_err(), "it does not lead");
        let leads = stands(RoleName::Leading, 4, Some(1));
        let unsure = Status { sure: false, ..leads.clone() };
        assert_eq!(runners.follow(&unsure), None, "it may have been replaced");
        assert_eq!(runners.follow(&leads), Some(Input::Programs(Some(Duration::from_secs(5)))));
        assert_eq!(told.try_recv(), Ok(Turn::Start(4)));
        assert_eq!((runners.follow(&leads), runners.follow(&unsure)), (None, None));
        assert!(told.try_recv().is_err(), "a heartbeat that is late stops nothing");
        let gives_up = Status { gives_up: true, ..leads.clone() };
        assert_eq!(runners.follow(&gives_up), None, "it runs until it says otherwise");
        assert!(matches!(told.try_recv(), Ok(Turn::Stop(_))));
        let mut later = attached(&mut runners, 7);
        assert_eq!(runners.follow(&gives_up), None);
        assert!(later.try_recv().is_err(), "nothing starts while the role is given away");
        drop(told);
        assert_eq!(runners.follow(&gives_up), Some(Input::Programs(None)));
        assert_eq!(runners.needs.get(), Duration::ZERO);
        assert_eq!(
            runners.follow(&leads),
            Some(Input::Programs(Some(Duration::from_secs(7)))),
            "it was not given away"
        );
        assert_eq!(later.try_recv(), Ok(Turn::Start(4)));
    }

    #[test]
    fn an_agent_that_ends_stops_all_and_starts_none() {
        let mut runners = Runners::new(Needs::default());
        let mut told = attached(&mut runners, 5);
        let leads = stands(RoleName::Leading, 4, Some(1));
        runners.follow(&leads);
        assert_eq!((told.try_recv(), runners.need()), (Ok(Turn::Start(4)), Some(Duration::from_secs(5))));
        runners.end();
        let mut later = attached(&mut runners, 7);
        runners.follow(&leads);
        assert!(matches!(told.try_recv(), Ok(Turn::Stop(_))) && later.try_recv().is_err());
        drop(told);
        assert_eq!((runners.follow(&leads), runners.need()), (Some(Input::Programs(None)), None));
    }

    #[test]
    fn those_that_do_not_end_are_given_up() {
        let mut runners = Runners::new(Needs::default());
        let _told = attached(&mut runners, 5);
        runners.follow(&stands(RoleName::Leading, 4, Some(1)));
        runners.end();
        assert_eq!((runners.give_up(), runners.need()), (Some(Input::Programs(None)), None));
        assert_eq!(runners.give_up(), None, "once");
    }

    #[test]
    fn a_role_that_is_lost_stops_all_that_run() {
        let mut runners = Runners::new(Needs::default());
        let mut told: Vec<_> = (1..=3).map(|grace| attached(&mut runners, grace)).collect();
        let longest = runners.follow(&stands(RoleName::Leading, 4, Some(1)));
        assert_eq!(longest, Some(Input::Programs(Some(Duration::from_secs(3)))));
        runners.follow(&stands(RoleName::Following, 5, Some(2)));
        for told in &mut told {
            assert!(matches!(told.try_recv(), Ok(Turn::Start(4))));
            let Ok(Turn::Stop(why)) = told.try_recv() else { panic!("it leads no more") };
            assert!(why.ends_with(" leads"), "{why}");
        }
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut runners = Runners::new(Needs::default());
        let mut all: Vec<_> = (0..RUNNERS).map(|_| attached(&mut runners, 1)).collect();
        let (turns, _told) = mpsc::channel(TURNS);
        assert!(runners.attach(Duration::ZERO, turns.clone()).is_err());
        // One that hung up before it was answered leaves nothing behind either.
        drop(all.pop());
        assert!(runners.attach(Duration::ZERO, turns).is_ok());
    }
}
