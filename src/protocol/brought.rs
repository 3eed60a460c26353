//! What members bring to a leader's data when groups meet, as users are told of it (protocol §10).

use super::notices::Fields;
use super::role::Role;
use super::{BroughtReport, Node, Write, limits};
use crate::event::Kind;
use crate::ident::{ConnId, NodeId};
use crate::message::{Brought, Frame, NAMED_MAX, Reunited};

fn counted(count: u64, one: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {one}{ending}")
}

/// How many characters of a key users are told.
const TOLD: usize = 60;

/// A key as it may stand in a sentence: any user has chosen it, it may be long, and it may hold what would begin a new line or
/// paint a terminal.
fn in_words(key: &str) -> String {
    let begin: String = key
        .chars()
        .take(TOLD)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if key.chars().count() > TOLD { begin + "…" } else { begin }
}

/// Keys in a row; of more than are named it says that there are more. Another member's word is no bound.
fn listed(keys: &[String], count: u64) -> String {
    let told: Vec<String> = keys.iter().take(NAMED_MAX).map(|key| in_words(key)).collect();
    let more = if count > told.len() as u64 { ", …" } else { "" };
    told.join(", ") + more
}

fn fields(with: &str, brought: &Brought) -> Fields {
    vec![
        ("with", with.into()),
        ("records", brought.records.into()),
        ("keys", brought.keys.into()),
        ("conflicts", brought.conflicts.into()),
        ("kept_aside", brought.kept_aside.into()),
    ]
}

/// In words, behind the one that brought it.
fn told(brought: &Brought) -> String {
    let mut text = format!("brought {} and {}", counted(brought.records, "record"), counted(brought.keys, "key"));
    if brought.conflicts > 0 {
        let keys = listed(&brought.conflicting, brought.conflicts);
        text += &format!("; {} in conflict: {keys}", counted(brought.conflicts, "key"));
    }
    if brought.kept_aside > 0 {
        let keys = listed(&brought.refused, brought.kept_aside);
        text += &format!("; {} beyond a limit, kept aside: {keys}", counted(brought.kept_aside, "key"));
    }
    text
}

impl Node {
    /// What a member offered was joined. Users are told when it is acknowledged.
    pub(super) fn brought(&mut self, reunited: Reunited) {
        let Role::Leading(l) = &mut self.role else { return };
        let Some(primary) = &l.data else { return };
        if !reunited.brought.is_nothing() && l.copies.untold.len() < limits::OTHERS {
            l.copies.untold.push((primary.position(), reunited));
        }
        self.tell_brought();
    }

    /// What was brought and is acknowledged now is told to users here, and to all followers.
    pub(super) fn tell_brought(&mut self) {
        let Role::Leading(l) = &mut self.role else { return };
        let Some(committed) =
            l.data.as_ref().map(|primary| primary.committed()).filter(|_| !l.copies.untold.is_empty())
        else {
            return;
        };
        let (due, rest) =
            std::mem::take(&mut l.copies.untold).into_iter().partition(|(number, _)| *number <= committed);
        l.copies.untold = rest;
        let followers: Vec<ConnId> = l.sessions.values().map(|served| served.conn).collect();
        for (_, reunited) in due {
            self.base.send_all(followers.clone(), Frame::Reunited(reunited.clone()));
            self.tell_reunited(reunited);
        }
    }

    /// The leader says what a member brought.
    pub(super) fn leader_was_brought(&mut self, conn: ConnId, reunited: Reunited) {
        if self.on_session(conn) {
            self.tell_reunited(reunited);
        }
    }

    fn tell_reunited(&mut self, reunited: Reunited) {
        let Reunited { with, reign, brought } = reunited;
        let name = self.name_in_words(with);
        let text = format!("{name} {}", told(&brought));
        let facts = fields(&name, &brought);
        self.base.info(Kind::Reunion, text.clone(), facts.clone());
        if brought.conflicts > 0 {
            let keys = listed(&brought.conflicting, brought.conflicts);
            let text = format!(
                "{} in conflict since {name} is back: {keys}; 'tanist conflicts' shows both values",
                counted(brought.conflicts, "key")
            );
            self.base.warn(Kind::Conflict, text, [facts.clone(), vec![("named", keys.into())]].concat());
        }
        if brought.kept_aside > 0 {
            let keys = listed(&brought.refused, brought.kept_aside);
            let text = format!(
                "what {name} had of {} is beyond a limit and kept aside: {keys}; 'tanist export' has it",
                counted(brought.kept_aside, "key")
            );
            self.base.warn(Kind::ItemKeptAside, text, [facts, vec![("named", keys.into())]].concat());
        }
        let (at, epoch) = (self.base.wall, self.base.promises.shown_epoch());
        let report = BroughtReport { at, with, name, epoch, reign, brought, text };
        self.base.persist(vec![Write::Brought(report)], super::writes::Then::Nothing);
    }

    fn name_in_words(&self, id: NodeId) -> String {
        if id == self.base.me.node.id { "this machine".to_owned() } else { self.base.name(id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_brought_is_one_short_line_whatever_the_keys_are() {
        let mut brought = Brought { records: 1, keys: 2, ..Brought::default() };
        assert_eq!(told(&brought), "brought 1 record and 2 keys");
        let long = "k".repeat(1024);
        brought.names(vec!["a/b".to_owned(), "ü\nWARN \x1b[2J".to_owned(), long], vec!["c".to_owned(); 20]);
        let keys = format!("a/b, ü\\nWARN \\u{{1b}}[2J, {}…", "k".repeat(TOLD));
        let kept = vec!["c"; NAMED_MAX].join(", ");
        let expected = format!(
            "brought 1 record and 2 keys; 3 keys in conflict: {keys}; 20 keys beyond a limit, kept aside: {kept}, …"
        );
        assert_eq!(told(&brought), expected);
        let many = vec!["d".to_owned(); 1000];
        assert_eq!(listed(&many, 1000), vec!["d"; NAMED_MAX].join(", ") + ", …", "whatever a leader sends");
    }
}
