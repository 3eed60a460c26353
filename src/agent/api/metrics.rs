//! `GET /metrics`: how this agent stands and what it counted, as Prometheus reads it (text format 0.0.4).
//!
//! The text is written by hand: it is five kinds of line, and the crate for it (`prometheus-client`) writes OpenMetrics, whose
//! counters `promtool check metrics` refuses.

use super::{Api, data, members};
use crate::agent::clock;
use crate::agent::metrics::{BUCKETS, Histogram, Kept};
use crate::agent::shared::Snapshot;
use crate::event::Kind;
use crate::message::MemberState;
use crate::protocol::{RoleName, Trouble};
use crate::store::store_path;
use crate::view::epoch;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::fmt::{Display, Write};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long the disk may take to say how large the files are.
const SIZES: Duration = Duration::from_secs(1);

pub(super) async fn get(State(api): State<Api>) -> Response {
    let snapshot = match members::snapshot(&api).await {
        Ok(snapshot) => snapshot,
        Err(response) => return *response,
    };
    let state_dir = api.shared.facts.state_dir.clone();
    let sizes = tokio::task::spawn_blocking(move || Kept::ALL.map(|kept| bytes(&state_dir, kept)));
    // A disk that hangs has no size, and everything else is said all the same.
    let sizes = clock::within(SIZES, sizes).await.and_then(Result::ok).unwrap_or_default();
    let mut text = Text::default();
    standing(&mut text, &api, &snapshot);
    holding(&mut text, &api.state(), &snapshot);
    counted(&mut text, &api);
    disk(&mut text, &api, sizes);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.0).into_response()
}

/// The text so far.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a family of samples.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (i, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = write!(self.0, "{}{label}=\"{value}\"", if i == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{end} {value}");
    }

    /// A family of one sample.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A family whose samples differ by one label.
    fn each<'a, V: Display>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'a str, V)>,
    ) {
        self.family(name, kind, help);
        for (of, value) in values {
            self.sample(name, &[(label, of)], value);
        }
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let bounds = BUCKETS.iter().map(|us| (*us as f64 / 1e6).to_string()).chain(["+Inf".to_owned()]);
        let bucket = format!("{name}_bucket");
        let mut all = 0;
        for (bound, count) in bounds.zip(histogram.cumulative()) {
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(&bucket, &labels, count);
            all = count;
        }
        self.sample(&format!("{name}_sum"), labels, histogram.sum().as_secs_f64());
        self.sample(&format!("{name}_count"), labels, all);
    }
}

/// Who this is, and what it is to the others.
fn standing(text: &mut Text, api: &Api, Snapshot { status, members, .. }: &Snapshot) {
    let facts = &api.shared.facts;
    text.family("tanist_info", "gauge", "The agent that answers: always 1.");
    let labels = [("cluster", facts.cluster.as_str()), ("name", &status.name), ("version", &facts.version)];
    text.sample("tanist_info", &labels, 1);
    let roles = [
        ("listening", RoleName::Listening),
        ("following", RoleName::Following),
        ("claiming", RoleName::Claiming),
        ("leading", RoleName::Leading),
    ];
    let roles = roles.map(|(word, role)| (word, u8::from(role == status.role)));
    text.each(("tanist_role", "gauge", "The role of this agent: 1 for the one that it has."), "role", roles);
    text.one("tanist_epoch", "gauge", "The epoch that this agent shows; it never falls.", epoch(status));
    let known = u8::from(status.leader.is_some());
    text.one("tanist_leader_known", "gauge", "Whether this agent knows a leader, itself included.", known);
    let known = u8::from(status.successor.is_some());
    text.one("tanist_successor_known", "gauge", "Whether a successor is named.", known);
    let troubles = Trouble::ALL.map(|trouble| (trouble.as_str(), u8::from(status.trouble.contains(&trouble))));
    text.each(("tanist_trouble", "gauge", "What is the matter with this agent: 1 when it is."), "trouble", troubles);
    let states = [("alive", MemberState::Alive), ("silent", MemberState::Silent), ("left", MemberState::Left)];
    let states = states.map(|(word, state)| (word, members.iter().filter(|m| m.member.state == state).count()));
    text.each(("tanist_members", "gauge", "Members that this agent knows, itself included."), "state", states);
}

/// What this agent and the others hold of the data.
fn holding(text: &mut Text, state: &data::State, Snapshot { status, members, .. }: &Snapshot) {
    let here = state.revision;
    text.one("tanist_revision", "gauge", "The last change of the data that readers of this agent see.", here);
    let leader = members.iter().find(|m| m.role == RoleName::Leading && m.member.node.id != status.node.id);
    let lag = leader.and_then(|m| m.revision).map_or(0, |has| has.saturating_sub(here));
    text.one("tanist_lag", "gauge", "How many changes this agent is behind its leader.", lag);
    text.family("tanist_member_lag", "gauge", "How many changes a follower is behind, as its leader knows it.");
    if status.role == RoleName::Leading {
        for view in members {
            let Some(has) = view.revision else { continue };
            let labels = [("id", &*view.member.node.id.to_string()), ("name", &view.member.name)];
            text.sample("tanist_member_lag", &labels, here.saturating_sub(has));
        }
    }
    text.one("tanist_conflicts", "gauge", "Keys that have values of both sides of a split.", state.conflicts);
    text.one("tanist_kept_aside", "gauge", "Items that a reunion refused and this machine keeps.", state.kept_aside);
}

/// What was counted since the start.
fn counted(text: &mut Text, api: &Api) {
    let metrics = &api.shared.metrics;
    let help = "Changes of leader that this agent saw, by what ended the reign before.";
    let changes = metrics.changes().map(|(cause, n)| (cause.as_str(), n));
    text.each(("tanist_leader_changes_total", "counter", help), "cause", changes);
    let help = "From the first sign that a leader was gone to the next one; without orderly handovers.";
    text.family("tanist_failover_seconds", "histogram", help);
    text.histogram("tanist_failover_seconds", &[], &metrics.failover);
    let (sent, heard) = (metrics.beats_sent.get(), metrics.beats_heard.get());
    text.one("tanist_heartbeats_sent_total", "counter", "Heartbeats that were sent, by datagram or connection.", sent);
    text.one("tanist_heartbeats_received_total", "counter", "Heartbeats that were heard.", heard);
    let suspected = metrics.events().find(|(kind, _)| *kind == Kind::LeaderSuspected).map_or(0, |(_, n)| n);
    text.one("tanist_suspicions_total", "counter", "How often the leader was suspected and asked.", suspected);
    let events = metrics.events().map(|(kind, n)| (kind.as_str(), n));
    text.each(("tanist_events_total", "counter", "Events that were told, as in the log."), "event", events);
    let help = "Writes of users of this agent, by what became of them.";
    let writes = metrics.writes().map(|(what, n)| (what.as_str(), n));
    text.each(("tanist_writes_total", "counter", help), "outcome", writes);
    text.family("tanist_write_seconds", "histogram", "How long acknowledged writes of users of this agent took.");
    text.histogram("tanist_write_seconds", &[], &metrics.write);
    let help = "What was refused of what others sent, and what could not be sent, by the reason.";
    text.each(("tanist_ignored_total", "counter", help), "reason", metrics.ignored());
}

fn disk(text: &mut Text, api: &Api, sizes: [Option<u64>; 2]) {
    let metrics = &api.shared.metrics;
    let help = "How long the disk took to make something durable.";
    text.family("tanist_disk_sync_seconds", "histogram", help);
    for kept in Kept::ALL {
        text.histogram("tanist_disk_sync_seconds", &[("store", kept.as_str())], metrics.sync(kept));
    }
    let failures = Kept::ALL.map(|kept| (kept.as_str(), metrics.failures(kept)));
    text.each(("tanist_disk_failures_total", "counter", "Operations of the disk that failed."), "store", failures);
    let sizes = Kept::ALL.iter().zip(sizes).filter_map(|(kept, size)| Some((kept.as_str(), size?)));
    text.each(("tanist_store_bytes", "gauge", "The size of the files on the disk."), "store", sizes);
}

/// How large the files of a store are together; none when they cannot be looked at.
fn bytes(state: &Path, kept: Kept) -> Option<u64> {
    match kept {
        Kept::State => fs::metadata(store_path(state)).ok().map(|facts| facts.len()),
        Kept::Data => {
            let files = fs::read_dir(state.join("data")).ok()?;
            let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
            Some(sizes.sum())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_others_cannot_break_a_line() {
        let mut text = Text::default();
        text.sample("a", &[("name", "x\"} 1\nb{c=\"\\")], 2);
        assert_eq!(text.0, "a{name=\"x\\\"} 1\\nb{c=\\\"\\\\\"} 2\n");
    }

    #[test]
    fn a_histogram_has_its_buckets_sum_and_count() {
        let histogram = Histogram::default();
        histogram.took(Duration::from_micros(250));
        histogram.took(Duration::from_secs(11));
        let mut text = Text::default();
        text.histogram("t_seconds", &[("store", "data")], &histogram);
        for line in [
            "t_seconds_bucket{store=\"data\",le=\"0.0001\"} 0",
            "t_seconds_bucket{store=\"data\",le=\"0.00025\"} 1",
            "t_seconds_bucket{store=\"data\",le=\"10\"} 1",
            "t_seconds_bucket{store=\"data\",le=\"+Inf\"} 2",
            "t_seconds_sum{store=\"data\"} 11.00025",
            "t_seconds_count{store=\"data\"} 2",
        ] {
            assert!(text.0.lines().any(|found| found == line), "{line} in {}", text.0);
        }
    }
}
