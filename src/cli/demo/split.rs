//! What a cut of the network shows: each side has a leader and goes on, and a key that both sides change meanwhile is a
//! conflict afterwards, until somebody settles it.
#![expect(clippy::disallowed_methods, reason = "a program for people, which waits for what it shows")]

use super::agree::Agreement;
use super::cluster::{Cluster, Net};
use super::records::Records;
use crate::cli::show::glance;
use crate::client::{Client, Condition, Error, Keep};
use crate::ident::NodeId;
use crate::view::data::{Conflict, Content, Point};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// The key that both sides change.
pub(super) const KEY: &str = "demo/both";

/// How soon something that failed, or is not there yet, is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// How far a cut has come.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) enum Stage {
    /// There was none, or it was mended too early to show anything.
    #[default]
    Whole,
    /// The network is cut, and both sides are to have a leader and to change the key.
    Cut,
    /// Both sides have changed the key.
    Changed,
    /// The network is mended, and the conflict is looked for.
    Mended,
    /// Every machine that runs shows it.
    Found(Clash),
    /// It was settled.
    Settled(Clash),
}

/// The conflict of the key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Clash {
    id: Point,
    /// The version of the present value.
    version: Option<Point>,
    /// What the key is now, and what the other side wrote.
    pub(super) sides: [Wrote; 2],
    /// How many conflicts there are beside it.
    pub(super) more: usize,
}

/// What one side wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wrote {
    pub(super) value: String,
    /// The machine that took the request.
    pub(super) by: String,
}

/// The cuts of a demo.
#[derive(Debug, Default)]
pub(super) struct Split {
    pub(super) stage: Stage,
    /// How often the network was cut.
    rounds: u32,
    /// What each side writes this time.
    values: [String; 2],
    /// Those that were asked for the conflict.
    asked: Vec<usize>,
    /// What leads to the next stage.
    under_way: Option<AbortOnDropHandle<Stage>>,
}

impl Split {
    /// Cuts the network in two; gives back when.
    pub(super) fn cut(&mut self, cluster: &mut Cluster) -> Result<std::time::Instant, String> {
        let at = cluster.cut(true)?;
        (self.stage, self.under_way) = (Stage::Cut, None);
        self.rounds += 1;
        Ok(at)
    }

    /// Mends the network; gives back when.
    pub(super) fn heal(&mut self, cluster: &mut Cluster) -> Result<std::time::Instant, String> {
        let at = cluster.cut(false)?;
        self.stage = if self.stage == Stage::Changed { Stage::Mended } else { Stage::Whole };
        (self.under_way, self.asked) = (None, Vec::new());
        Ok(at)
    }

    /// Begins what leads to the next stage, when its time has come.
    pub(super) fn look(&mut self, cluster: &mut Cluster, said: &Agreement, records: &Records) {
        match self.stage {
            Stage::Cut if cluster.net == Net::Cut => {
                let sides = cluster.sides();
                let [one, other] = sides.as_slice() else { return };
                let (Some(one), Some(other)) = (said.agreed(one, 0), said.agreed(other, 0)) else { return };
                records.part();
                cluster.net = Net::Apart;
                let agents = [one.leader, other.leader].map(|n| &cluster.agents[n]);
                self.values = agents.map(|agent| format!("cut {}, {}", self.rounds, agent.name));
                let [one, other] = agents.map(|agent| agent.client.clone());
                let [mine, yours] = self.values.clone();
                self.begin(async move {
                    tokio::join!(insist(one, mine), insist(other, yours));
                    Stage::Changed
                });
            }
            Stage::Mended if self.asked != cluster.running() && said.agreed(&cluster.running(), 0).is_some() => {
                self.asked = cluster.running();
                let clients: Vec<Client> = self.asked.iter().map(|n| cluster.agents[*n].client.clone()).collect();
                self.begin(find(clients, self.values.clone()));
            }
            Stage::Found(_) if self.under_way.is_none() => {
                let clients = cluster.agents.iter().map(|agent| agent.client.clone()).collect();
                if let Stage::Found(clash) = self.stage.clone() {
                    self.begin(gone(clients, clash));
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, what: impl Future<Output = Stage> + Send + 'static) {
        self.under_way = Some(AbortOnDropHandle::new(tokio::spawn(what)));
    }

    /// Waits for the next stage, for ever when nothing is under way. May be given up at its await.
    pub(super) async fn done(&mut self) {
        let Some(under_way) = &mut self.under_way else { std::future::pending().await };
        let stage = under_way.await;
        self.under_way = None;
        // What fails ends with a panic of its own, which was printed.
        self.stage = stage.unwrap_or_default();
    }
}

impl Clash {
    /// Settles it: the key keeps its value.
    pub(super) async fn keep_present(&self, client: &Client) -> Result<(), Error> {
        let condition = self.version.map_or(Condition::Absent, |version| Condition::Is(version.0));
        client.resolve(self.id, &Keep::Present, condition).await.map(drop)
    }
}

/// Writes until it is acknowledged.
async fn insist(client: Client, value: String) {
    let id = Uuid::now_v7();
    while client.put_as(id, KEY, value.clone(), Condition::None).await.is_err() {
        tokio::time::sleep(AGAIN).await;
    }
}

/// Waits until all of these have shown the conflict of these values. One that shows it is not asked again.
async fn find(clients: Vec<Client>, values: [String; 2]) -> Stage {
    let (mut found, mut more, mut members) = (None, 0, Vec::new());
    for client in &clients {
        let (conflict, others) = shown(client, &values).await;
        more = more.max(others);
        found = Some(conflict);
        members = client.members().await.map_or(members, |known| known.members);
    }
    // Nobody was asked.
    let Some(conflict) = found else { return Stage::Mended };
    let name = |id: NodeId| {
        let member = members.iter().find(|member| member.id == id);
        member.map_or_else(|| id.short(), |member| member.name.clone())
    };
    let wrote = |content: &Option<Content>, by| Wrote { value: text(content), by: name(by) };
    let present = wrote(&conflict.present.content, conflict.present.node);
    let sides = [present, wrote(&conflict.content, conflict.node)];
    Stage::Found(Clash { id: conflict.id, version: conflict.present.version, sides, more })
}

/// Waits until an agent shows the conflict of these values; gives back how many others it shows too.
async fn shown(client: &Client, values: &[String; 2]) -> (Conflict, usize) {
    loop {
        if let Ok(page) = client.conflicts(None).await {
            let others = page.conflicts.len().saturating_sub(1);
            if let Some(conflict) = page.conflicts.into_iter().find(|conflict| fits(conflict, values)) {
                return (conflict, others);
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// It is about these two values, whichever of them the key has now.
fn fits(conflict: &Conflict, [one, other]: &[String; 2]) -> bool {
    let both = (text(&conflict.present.content), text(&conflict.content));
    conflict.key == KEY && (both == (one.clone(), other.clone()) || both == (other.clone(), one.clone()))
}

fn text(content: &Option<Content>) -> String {
    content.as_ref().map_or_else(|| "(deleted)".to_owned(), glance)
}

/// Waits until none of these that answer shows the conflict any more.
async fn gone(clients: Vec<Client>, clash: Clash) -> Stage {
    loop {
        let (mut answers, mut shown) = (0, 0);
        for client in &clients {
            let Ok(page) = client.conflicts(None).await else { continue };
            answers += 1;
            shown += usize::from(page.conflicts.iter().any(|conflict| conflict.id == clash.id));
        }
        if answers > 0 && shown == 0 {
            return Stage::Settled(clash);
        }
        tokio::time::sleep(AGAIN * 4).await;
    }
}
