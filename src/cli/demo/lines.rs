//! The demo without a terminal: every event of every agent as a line, and after each change where the records are, until
//! it is interrupted.

use super::agree::Agreement;
use super::cluster::{Cluster, News, What};
use super::proof::{Checked, Proof};
use super::records::{Found, RATE, Records, grouped};
use crate::cli::out::{Out, Tint};
use crate::cli::{Fail, NO, watch};
use crate::view::Line;
use serde::Serialize;

/// A line of an agent's stream, with its name.
#[derive(Serialize)]
struct Named<'a> {
    agent: &'a str,
    #[serde(flatten)]
    line: &'a Line,
}

/// The end of an agent, which it cannot tell itself.
#[derive(Serialize)]
struct Ended<'a> {
    agent: &'a str,
    ended: &'a str,
}

/// Where the records are, after a change.
#[derive(Serialize)]
struct Compared<'a> {
    event: &'static str,
    ok: bool,
    #[serde(flatten)]
    found: &'a Found,
    /// The longest wait of a write since the last of these events, in milliseconds.
    longest_wait_ms: f64,
    text: String,
}

pub(super) async fn run(
    cluster: &mut Cluster,
    json: bool,
    out: Out,
    interrupted: impl Future<Output = ()>,
) -> Result<(), Fail> {
    let agents = cluster.agents.len();
    if !json {
        let port = cluster.ground.port;
        let (first, last) = (cluster.agents[0].address, cluster.agents[agents - 1].address);
        out.line(format!("{agents} agents on {first} to {last}, port {port}; Ctrl-C ends them"))?;
        out.line(format!("ask one yourself: tanist members --socket {}", cluster.socket(0).display()))?;
    }
    for agent in 0..agents {
        cluster.start(agent).map_err(|why| Fail::new(NO, why))?;
    }
    let (records, mut proof, mut said) = (Records::begin(cluster, RATE), Proof::default(), Agreement::new(agents));
    tokio::pin!(interrupted);
    loop {
        let news = tokio::select! {
            news = cluster.next() => news,
            checked = proof.done() => {
                compared(&checked, &records, json, out)?;
                continue;
            }
            () = &mut interrupted => return Ok(()),
        };
        tell(cluster, &news, json, out)?;
        match &news.what {
            What::Line(Line::Event(event)) => said.hear(news.agent, event, news.at),
            What::Line(Line::Lagged { .. }) => {}
            What::Ended(_) => said.forget(news.agent),
        }
        if cluster.running().is_empty() {
            return Err(Fail::new(NO, "every agent of the demo has ended"));
        }
        proof.look(cluster, &said, &records);
    }
}

fn tell(cluster: &Cluster, news: &News, json: bool, out: Out) -> Result<(), Fail> {
    let name = cluster.agents[news.agent].name.as_str();
    match (&news.what, json) {
        (What::Line(line), true) => out.json(&Named { agent: name, line }),
        (What::Line(line), false) => {
            out.line(format!("{}  {}", out.tint(Tint::Strong, &format!("{name:<5}")), watch::text(line, out)))
        }
        (What::Ended(ended), true) => out.json(&Ended { agent: name, ended }),
        (What::Ended(how), false) => out.line(out.tint(Tint::Bad, &format!("{name:<5}  {how}"))),
    }
}

/// Tells what a check found. The next one tells of what was written since.
fn compared(checked: &Checked, records: &Records, json: bool, out: Out) -> Result<(), Fail> {
    let (found, waited) = (&checked.found, records.recent_wait());
    records.mark();
    let text = match &found.trouble {
        Some(trouble) => trouble.clone(),
        None => {
            let waited = crate::time::ms(waited);
            let acknowledged = grouped(found.acknowledged);
            format!("{acknowledged} acknowledged · {} · longest wait {waited}", found.text())
        }
    };
    let ok = found.is_good();
    if json {
        let longest_wait_ms = waited.as_secs_f64() * 1e3;
        return out.json(&Compared { event: "records-compared", ok, found, longest_wait_ms, text });
    }
    let tint = if ok { Tint::Good } else { Tint::Bad };
    out.line(format!("{}  {}", out.tint(Tint::Strong, "all  "), out.tint(tint, &text)))
}
