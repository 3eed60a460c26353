//! Many machines at once.

use crate::ground::story;
use crate::lan::{SETTLE, SLACK};
use crate::watch::SILENCE;
use nix::sys::signal::Signal;
use std::time::Duration;

/// Thirty machines are switched on in one moment and agree; their leader dies, and they agree again.
#[test]
fn thirty_agents_at_once() {
    story("crowd::thirty_agents_at_once", async |lan| {
        lan.office(30).await;
        let all = lan.all();
        let at = lan.start(&all);
        // Thirty processes start on few processors.
        let reign = lan.settled(&all, SETTLE + 2 * SLACK).await;
        let took = all.iter().filter_map(|m| lan.view(*m).since).max().expect("all told").duration_since(at);
        lan.figure("cold start of 30: the last one has a leader", took);
        lan.until(SETTLE, "all are listed, and a successor is named", async |lan| {
            let status = lan.status(reign.leader).await?;
            (status.members == 30 && status.successor.is_some()).then_some(())
        })
        .await;
        lan.quiet(Duration::from_secs(2)).await;
        let at = lan.signal(reign.leader, Signal::SIGKILL);
        let survivors = lan.but(&[reign.leader]);
        let (next, took) = lan.failover(("kill -9 among 30", at), &survivors, &reign, SETTLE + SLACK).await;
        assert!(took < SILENCE, "{took:?} after a kill");
        assert_eq!(next.cause, "died");
        lan.settled(&survivors, SETTLE).await;
        lan.quiet(Duration::from_secs(2)).await;
    });
}
