//! Who is who: `status` and `history`.

use super::out::{Out, Tint};
use super::table::Table;
use super::{Asking, Fail};
use crate::ident::NodeId;
use crate::protocol::RoleName;
use crate::view::{History, Machine, Reign, Stamp, Status};
use std::time::Duration;

pub(super) async fn status(options: &Asking, out: Out) -> Result<(), Fail> {
    let status = options.asked.client()?.status().await?;
    if options.json { out.json(&status) } else { out.line(status_text(&status, out).join("\n")) }
}

pub(super) async fn history(options: &Asking, out: Out) -> Result<(), Fail> {
    let history = options.asked.client()?.history().await?;
    if options.json { out.json(&history) } else { out.line(history_text(&history, out).join("\n")) }
}

/// A name, with a piece of the id when another machine of `all` bears the same.
pub(super) fn label(id: NodeId, name: &str, all: &[(NodeId, &str)]) -> String {
    if all.iter().any(|(other, same)| *other != id && *same == name) {
        format!("{name} ({})", id.short())
    } else {
        name.to_owned()
    }
}

/// The word for a role.
pub(super) fn role(role: RoleName) -> &'static str {
    match role {
        RoleName::Listening => "listening",
        RoleName::Following => "following",
        RoleName::Claiming => "claiming",
        RoleName::Leading => "leading",
    }
}

/// A duration for people: `12 ms`, `3.2 s`, `5 min`, `2 h`, `3 days`.
pub(super) fn lasting(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0 => format!("{} ms", d.as_millis()),
        1..=59 => format!("{:.1} s", d.as_secs_f64()),
        60..=7199 => format!("{} min", s / 60),
        7200..=172_799 => format!("{} h", s / 3600),
        _ => format!("{} days", s / 86_400),
    }
}

fn status_text(status: &Status, out: Out) -> Vec<String> {
    let mut all = vec![(status.node.id, status.node.name.as_str())];
    all.extend([&status.leader, &status.successor, &status.via].into_iter().flatten().map(|n| (n.id, n.name.as_str())));
    let name = |node: &Machine| label(node.id, &node.name, &all);
    let node = |node: &Option<Machine>, nobody: &str| match node {
        Some(node) if node.id == status.node.id => format!("{}  this machine", name(node)),
        Some(node) => format!("{}  {}", name(node), node.address.map_or_else(String::new, |a| a.to_string())),
        None => nobody.to_owned(),
    };
    let own = label(status.node.id, &status.node.name, &all);
    let stands = match (status.role, &status.leader) {
        (RoleName::Leading, _) => format!("{own} leads"),
        (RoleName::Following, Some(leader)) => format!("{own} follows {}", name(leader)),
        (RoleName::Following, None) => format!("{own} waits for a new leader"),
        (RoleName::Claiming, _) => format!("{own} asks the others whether it may lead"),
        (RoleName::Listening, _) => format!("{own} listens; it has no leader yet"),
    };
    let open = if status.keyed { "with a key" } else { "without a key: open to this LAN" };
    let mut table = Table::bare();
    let mut fact = |name: &str, value: String| table.row(vec![(name.to_owned(), Tint::Faint), (value, Tint::Plain)]);
    for trouble in &status.trouble {
        fact("trouble", trouble.text().to_owned());
    }
    fact("role", format!("{} since {}", role(status.role), status.since.local()));
    fact("epoch", status.epoch.to_string());
    fact("leader", node(&status.leader, "none"));
    fact("successor", node(&status.successor, "none"));
    if let Some(via) = &status.via {
        fact("reached", format!("through {}", name(via)));
    }
    fact("members", format!("{}, this one included", status.members));
    fact("revision", status.revision.to_string());
    if status.conflicts > 0 {
        let keys = if status.conflicts == 1 { "key has" } else { "keys have" };
        fact("conflicts", format!("{} {keys} conflicts: `tanist conflicts` lists them", status.conflicts));
    }
    if status.kept_aside > 0 {
        fact("kept aside", format!("{} items that a reunion refused", status.kept_aside));
    }
    fact("cluster", format!("{}, {open}", status.cluster));
    fact("agent", format!("{}, tanist {}", status.node.id, status.node.version));
    let mut lines = vec![out.tint(Tint::Strong, &stands)];
    lines.extend(table.lines(out, 2));
    lines
}

fn history_text(history: &History, out: Out) -> Vec<String> {
    let mut all: Vec<(NodeId, &str)> = history.reigns.iter().map(|r| (r.leader.id, r.leader.name.as_str())).collect();
    all.extend(history.reunions.iter().map(|r| (r.with.id, r.with.name.as_str())));
    let mut table = Table::new(&["EPOCH", "LEADER", "FROM", "UNTIL", "LASTED", "CAUSE"]);
    let one_leader = |a: &Reign, b: &Reign| a.leader.id == b.leader.id;
    let rows: Vec<&[Reign]> = history.reigns.chunk_by(one_leader).collect();
    for reigns in &rows {
        let plain = |text: String| (text, Tint::Plain);
        let (last, first) = (&reigns[0], &reigns[reigns.len() - 1]);
        let epochs = if last.epoch == first.epoch { String::new() } else { format!("{}-", first.epoch) };
        let lasted = match last.ended {
            None => "-".to_owned(),
            Some(end) if end < first.began => "clock set back".to_owned(),
            Some(end) => lasting(end.since(first.began)),
        };
        table.row(vec![
            plain(format!("{epochs}{}", last.epoch)),
            (label(first.leader.id, &first.leader.name, &all), Tint::Strong),
            plain(first.began.local()),
            plain(last.ended.map_or_else(|| "-".to_owned(), Stamp::local)),
            plain(lasted),
            plain(first.cause.as_str().to_owned()),
        ]);
    }
    let mut shown = table.lines(out, 0).into_iter();
    let mut lines: Vec<String> = shown.next().into_iter().collect();
    for (row, reigns) in shown.zip(rows) {
        lines.push(row);
        lines.push(format!("       {}", out.tint(Tint::Faint, &reigns[reigns.len() - 1].text)));
    }
    if history.reigns.is_empty() {
        lines = vec!["this agent has not seen a reign yet".to_owned()];
    }
    if !history.reunions.is_empty() {
        lines.push(String::new());
        lines.push("reunions:".to_owned());
    }
    for reunion in &history.reunions {
        let with = label(reunion.with.id, &reunion.with.name, &all);
        lines.push(format!("  {}  with {with}, epoch {} stayed: {}", reunion.at.local(), reunion.epoch, reunion.text));
    }
    lines
}
