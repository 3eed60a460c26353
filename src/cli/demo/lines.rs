//! The demo without a terminal: every event of every agent as a line, until it is interrupted.

use super::cluster::{Cluster, What};
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
    tokio::pin!(interrupted);
    loop {
        let news = tokio::select! {
            news = cluster.next() => news,
            () = &mut interrupted => return Ok(()),
        };
        let name = cluster.agents[news.agent].name.as_str();
        match (&news.what, json) {
            (What::Line(line), true) => out.json(&Named { agent: name, line })?,
            (What::Line(line), false) => {
                out.line(format!("{}  {}", out.tint(Tint::Strong, &format!("{name:<5}")), watch::text(line, out)))?;
            }
            (What::Ended(ended), true) => out.json(&Ended { agent: name, ended })?,
            (What::Ended(how), false) => out.line(out.tint(Tint::Bad, &format!("{name:<5}  {how}")))?,
        }
        if cluster.running().is_empty() {
            return Err(Fail::new(NO, "every agent of the demo has ended"));
        }
    }
}
