//! The step that cuts the network in two: both sides have a leader and go on writing, and change one key. Mended, there is
//! one leader again, every record is everywhere, and the key is the one conflict, which is settled.
#![expect(clippy::disallowed_methods, reason = "a program for people, which times what it shows")]

use super::{DEADLINE, LOOK, Played, Script};
use crate::cli::demo::split::{Clash, KEY, Stage};
use std::time::{Duration, Instant};

/// So many heartbeats a side may take, beside all else, until it misses its leader and has another.
const SILENCE: u32 = 6;

impl Script<'_> {
    /// The network is cut, and mended when both sides have written for a while. Counted is the time from then until all
    /// name one leader.
    pub(super) async fn cut(&mut self) -> Played {
        self.settle().await?;
        self.stages.clear();
        let since = self.split.cut(self.cluster)?;
        let sides = self.cluster.sides();
        let [one, other] = sides.as_slice() else { return Err("a side of the cut has no agent".to_owned()) };
        self.reach("change a key on both sides", |stage| *stage == Stage::Changed).await?;
        let leaders = [self.agree(one, 0).await?, self.agree(other, 0).await?];
        let apart = leaders.iter().map(|agreed| agreed.at).max().map_or(since, |at| at.max(since)) - since;
        self.go_on().await?;
        let found = self.compare().await?;
        if !found.is_good() {
            return Err(format!("while the network was cut: {}", found.text()));
        }
        let healed = self.split.heal(self.cluster)?;
        let everyone = self.cluster.running();
        let agreed = self.agree(&everyone, 0).await?;
        let clash = self.conflict().await?;
        let [led, too] = leaders.map(|agreed| self.name(agreed.leader));
        let (names, ms) = (self.cluster.of_side(1), crate::time::ms(apart));
        let (leads, [present, lost]) = (self.leads(agreed), clash.sides);
        let text = format!(
            "{names} cut off: {led} and {too} led after {ms}; mended: {leads}, one conflict: {KEY} by {} and by {}",
            present.by, lost.by
        );
        Ok((agreed.at.max(healed) - healed, text, since))
    }

    /// Finds the one conflict on every agent, and settles it.
    async fn conflict(&mut self) -> Result<Clash, String> {
        self.reach("show the conflict everywhere", |stage| matches!(stage, Stage::Found(_))).await?;
        let Stage::Found(clash) = self.split.stage.clone() else { return Err("there is no conflict".to_owned()) };
        if clash.more > 0 {
            return Err(format!("{} conflicts were found, and only {KEY} was changed on both sides", clash.more + 1));
        }
        let client = self.cluster.agents[0].client.clone();
        let settled = tokio::time::timeout(DEADLINE, clash.keep_present(&client)).await;
        let settled = settled.map_err(|_| format!("the conflict was not settled within {} s", DEADLINE.as_secs()))?;
        settled.map_err(|error| format!("the conflict could not be settled: {error}"))?;
        self.reach("forget the conflict", |stage| matches!(stage, Stage::Settled(_))).await?;
        Ok(clash)
    }

    /// Waits until the cut has come so far.
    async fn reach(&mut self, what: &str, far: impl Fn(&Stage) -> bool) -> Result<(), String> {
        let limit = DEADLINE + self.cluster.heartbeat() * SILENCE;
        let end = Instant::now() + limit;
        while !far(&self.split.stage) {
            self.split.look(self.cluster, &self.said, &self.records);
            // It goes on while the agents are listened to.
            let _ = tokio::time::timeout(Duration::ZERO, self.split.done()).await;
            self.news(LOOK).await?;
            if Instant::now() > end {
                return Err(format!("the agents did not {what} within {} s", limit.as_secs()));
            }
        }
        Ok(())
    }
}
