//! Whom each agent names as leader, as its events tell, and since when all agree.

use crate::view::Event;
use std::time::Instant;

/// Whether with this event an agent names a leader, itself or another.
pub(super) fn names_leader(event: &Event) -> bool {
    match event.event.as_str() {
        "leading" => true,
        // Without one it only waits for the leader that it goes to.
        "following" => event.text_field("leader").is_some(),
        _ => false,
    }
}

/// One agent's word.
#[derive(Clone, Copy, Debug)]
struct Named {
    epoch: u64,
    leads: bool,
    at: Instant,
}

/// What every agent said last.
#[derive(Debug)]
pub(super) struct Agreement {
    /// One entry for each agent of the demo.
    named: Vec<Option<Named>>,
}

/// One leader that all name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    pub(super) epoch: u64,
    /// Which agent leads.
    pub(super) leader: usize,
    /// When the last one named it.
    pub(super) at: Instant,
}

impl Agreement {
    pub(super) fn new(agents: usize) -> Self {
        Self { named: vec![None; agents] }
    }

    /// Takes in an event of an agent.
    pub(super) fn hear(&mut self, agent: usize, event: &Event, at: Instant) {
        let leads = match event.event.as_str() {
            "leading" | "following" if names_leader(event) => event.event == "leading",
            "following" | "listening" | "claiming" | "claim-withdrawn" => return self.forget(agent),
            _ => return,
        };
        let said = self.named[agent].filter(|named| named.epoch == event.epoch && named.leads == leads);
        self.named[agent] = Some(said.unwrap_or(Named { epoch: event.epoch, leads, at }));
    }

    /// The agent has ended, or names nobody.
    pub(super) fn forget(&mut self, agent: usize) {
        self.named[agent] = None;
    }

    /// The one leader of an epoch above `above` that all of these agents name, themselves included.
    pub(super) fn agreed(&self, agents: &[usize], above: u64) -> Option<Agreed> {
        let mut agreed: Option<Agreed> = None;
        let mut leader = None;
        for agent in agents {
            let named = self.named[*agent].filter(|named| named.epoch > above)?;
            if agreed.is_some_and(|agreed| agreed.epoch != named.epoch) {
                return None;
            }
            let at = agreed.map_or(named.at, |agreed| agreed.at.max(named.at));
            if named.leads && leader.replace(*agent).is_some() {
                return None;
            }
            agreed = Some(Agreed { epoch: named.epoch, leader: 0, at });
        }
        Some(Agreed { leader: leader?, ..agreed? })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any moment will do")]
mod tests {
    use super::*;
    use crate::time::Wall;
    use crate::view::Stamp;
    use std::time::Duration;

    fn event(kind: &str, epoch: u64) -> Event {
        Event {
            at: Stamp(Wall(0)),
            event: kind.into(),
            epoch,
            cause: None,
            level: "info".into(),
            present: false,
            text: String::new(),
            fields: [("leader".to_owned(), "pc-1".into())].into_iter().collect(),
        }
    }

    #[test]
    fn all_agree_when_the_last_one_names_the_one_that_leads() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut said = Agreement::new(3);
        said.hear(0, &event("leading", 4), at(1));
        said.hear(1, &event("following", 4), at(2));
        assert!(said.agreed(&[0, 1, 2], 0).is_none(), "one has not spoken");
        assert!(said.agreed(&[1], 0).is_none(), "the leader is not among them");
        said.hear(2, &event("following", 3), at(3));
        assert!(said.agreed(&[0, 1, 2], 0).is_none(), "one names another epoch");
        said.hear(2, &event("following", 4), at(7));
        said.hear(1, &event("following", 4), at(9));
        let agreed = said.agreed(&[0, 1, 2], 3).expect("all agree");
        assert_eq!((agreed.epoch, agreed.leader, agreed.at), (4, 0, at(7)), "saying it again changes nothing");
        assert!(said.agreed(&[0, 1, 2], 4).is_none(), "the epoch is too old");
        said.hear(1, &event("leading", 4), at(10));
        assert!(said.agreed(&[0, 1, 2], 3).is_none(), "two lead");
        let mut between = event("following", 4);
        between.fields.clear();
        said.hear(0, &between, at(10));
        assert!(said.agreed(&[0, 2], 3).is_none(), "who leads no more and waits names nobody");
        said.hear(1, &event("claiming", 4), at(11));
        assert!(said.agreed(&[0, 1], 3).is_none(), "a claimant names nobody");
    }
}
