//! What agents tell on their event streams, and what follows from it.

use std::time::Instant;
use tanist::view::{Event, Line};

/// A role, as the event stream has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Role {
    #[default]
    Listening,
    Following,
    Claiming,
    Leading,
}

/// How an agent stands, by its own account.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) role: Role,
    /// The name of the leader that it follows or is.
    pub(crate) leader: Option<String>,
    pub(crate) epoch: u64,
    /// The last leader that it named, and the epoch.
    shown: Option<(String, u64)>,
    /// Why the reign began, where it was told.
    pub(crate) cause: Option<String>,
    /// The member that the leader is reached through.
    pub(crate) via: Option<String>,
    /// Since when leader and epoch are what they are.
    pub(crate) since: Option<Instant>,
}

impl View {
    /// Takes in what `name` told. An event whose epoch is lower than one before, or has another leader in the
    /// same epoch, breaks a promise (§3, P3).
    pub(crate) fn hear(&mut self, name: &str, event: &Event, at: Instant) -> Result<(), String> {
        let before = (self.leader.clone(), self.epoch);
        if event.epoch < self.epoch {
            return Err(format!("{name} shows epoch {} after epoch {}: {}", event.epoch, self.epoch, event.text));
        }
        self.epoch = event.epoch;
        let named = match event.event.as_str() {
            "leading" => Some(name),
            "following" => event.text_field("leader"),
            _ => None,
        };
        if let Some(named) = named {
            match &self.shown {
                Some((leader, epoch)) if *epoch == event.epoch && leader != named => {
                    return Err(format!("{name} shows {named} in epoch {epoch}, in which it has shown {leader}"));
                }
                _ => self.shown = Some((named.to_owned(), event.epoch)),
            }
        }
        match event.event.as_str() {
            "started" => (self.role, self.leader, self.via) = (Role::Listening, None, None),
            "listening" => (self.role, self.leader, self.via) = (Role::Listening, None, None),
            "claiming" => (self.role, self.leader, self.via) = (Role::Claiming, None, None),
            "leader-lost" => (self.leader, self.via) = (None, None),
            "following" => {
                (self.role, self.leader) = (Role::Following, event.text_field("leader").map(str::to_owned));
            }
            "leading" => (self.role, self.leader) = (Role::Leading, Some(name.to_owned())),
            _ => {}
        }
        match event.event.as_str() {
            "following" | "leading" => self.cause = event.cause.map(|cause| cause.as_str().to_owned()),
            "relayed" => self.via = event.text_field("via").filter(|via| !via.is_empty()).map(str::to_owned),
            _ => {}
        }
        if self.leader != before.0 || self.epoch != before.1 {
            self.since = Some(at);
        }
        Ok(())
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let leader = self.leader.as_deref().unwrap_or("nobody");
        let via = self.via.as_ref().map(|via| format!(" through {via}")).unwrap_or_default();
        format!("{:?} {leader}, epoch {}{via}", self.role, self.epoch)
    }
}

/// A line of a stream for a transcript.
pub(crate) fn line(line: &Line) -> String {
    match line {
        Line::Lagged { lagged } => format!("({lagged} events were missed)"),
        Line::Event(event) => {
            let present = if event.present { "(present) " } else { "" };
            let fields: Vec<String> = event.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{present}{} e{}: {} {}", event.event, event.epoch, event.text, fields.join(" "))
        }
    }
}
