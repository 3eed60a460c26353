//! Cables that break without anybody noticing: wholly, one way, between two machines, between two halves, a little.

use crate::ground::story;
use crate::lan::{Lan, Reign, SETTLE, SLACK};
use crate::net::name;
use crate::watch::SILENCE;
use std::time::{Duration, Instant};

async fn settled(lan: &mut Lan, n: usize) -> Reign {
    lan.office(n).await;
    let all = lan.all();
    lan.start(&all);
    lan.settled(&all, SETTLE + SLACK).await
}

/// The leader's cable is cut, and no machine is told: silence shows it. It leads on, alone; when the cable is mended, who
/// has followers stays.
#[test]
fn a_leader_behind_a_silent_cut_is_replaced_and_follows_when_it_is_mended() {
    story("cuts::a_leader_behind_a_silent_cut_is_replaced_and_follows_when_it_is_mended", async |lan| {
        let old = settled(lan, 5).await;
        let survivors = lan.but(&[old.leader]);
        let at = Instant::now();
        lan.note("the leader is cut");
        lan.net.cut(&[old.leader], &survivors, true).await;
        lan.net.cut(&survivors, &[old.leader], true).await;
        let (next, took) = lan.failover(("silent cut", at), &survivors, &old, SETTLE + SLACK).await;
        assert_eq!(next.cause, "silent");
        assert!(took < SILENCE, "{took:?} after a silent cut");
        let next = lan.settled(&survivors, SETTLE).await;
        assert_eq!(lan.settled(&[old.leader], SLACK).await, old, "cut off, it leads on");
        mended(lan, &next, old.leader, at).await;
    });
}

/// Everything is mended, as soon as the one that lost followers since `cut` has noticed it (§6: after 3 s): the one with
/// more followers stays.
async fn mended(lan: &mut Lan, stays: &Reign, yields: usize, cut: Instant) {
    let lost = lan.all().iter().filter(|m| lan.view(**m).leader != Some(name(yields))).count();
    lan.until(SETTLE + SLACK, "the old leader takes those it lost for silent", async |lan| {
        (lan.times_told(yields, "member-silent", cut) >= lost).then_some(())
    })
    .await;
    let at = Instant::now();
    lan.note("mended");
    lan.net.mend().await;
    let reign = lan.settled(&lan.all(), SETTLE + SLACK).await;
    assert_eq!(reign.leader, stays.leader, "who has more followers stays");
    let took =
        lan.all().iter().filter_map(|m| lan.view(*m).since).max().expect("all told").saturating_duration_since(at);
    lan.figure("reunion: all follow one leader", took);
    assert!(took < SETTLE, "{took:?} for a reunion");
    assert!(lan.has_told(yields, "reunion", at), "the one that yields says so");
    lan.quiet(Duration::from_secs(1)).await;
}

/// The leader is cut off for a moment, just long enough for another to take over, and nobody tells it: when it is back it
/// still has the sessions of all that have left it. It deposes nobody.
#[test]
fn a_leader_behind_a_short_cut_deposes_nobody() {
    story("cuts::a_leader_behind_a_short_cut_deposes_nobody", async |lan| {
        let mut reign = settled(lan, 4).await;
        for pause in [0, 50, 300, 1000, 2000].map(Duration::from_millis) {
            lan.quiet(Duration::from_secs(2)).await;
            let rest = lan.but(&[reign.leader]);
            let at = Instant::now();
            lan.note("the leader is cut");
            lan.net.cut(&[reign.leader], &rest, true).await;
            lan.net.cut(&rest, &[reign.leader], true).await;
            let (next, _) = lan.failover(("short cut", at), &rest, &reign, SETTLE + SLACK).await;
            lan.pass(pause).await;
            lan.note("mended");
            lan.net.mend().await;
            let together = lan.settled(&lan.all(), SETTLE + SLACK).await;
            let others: Vec<_> = lan.reigns_since(at).into_iter().filter(|r| r.0 != next.leader).collect();
            assert_eq!((others, together.leader), (vec![], next.leader), "mended {pause:?} later: nobody is deposed");
            reign = together;
        }
    });
}

/// Two halves: each has a leader; when they meet again, one yields.
#[test]
fn two_halves_have_two_leaders_and_become_one() {
    story("cuts::two_halves_have_two_leaders_and_become_one", async |lan| {
        let old = settled(lan, 5).await;
        // The leader is with the smaller half.
        let small = vec![old.leader, lan.but(&[old.leader])[0]];
        let large = lan.but(&small);
        let at = Instant::now();
        lan.note(&format!("cut: {small:?} from {large:?}"));
        lan.net.cut(&small, &large, true).await;
        lan.net.cut(&large, &small, true).await;
        let (next, took) = lan.failover(("two halves", at), &large, &old, SETTLE + SLACK).await;
        assert!(took < SILENCE, "{took:?} after a cut");
        assert_eq!(next.cause, "silent");
        let next = lan.settled(&large, SETTLE).await;
        assert_eq!(lan.settled(&small, SETTLE).await, old);
        mended(lan, &next, old.leader, at).await;
    });
}

/// One member and the leader do not reach each other, and both reach the rest: no second king. The member goes through
/// another, and directly again when it can.
#[test]
fn a_member_that_reaches_the_leader_only_through_another() {
    story("cuts::a_member_that_reaches_the_leader_only_through_another", async |lan| {
        let reign = settled(lan, 4).await;
        let far = lan.but(&[reign.leader])[0];
        relayed(lan, &reign, far, &[(reign.leader, far), (far, reign.leader)]).await;
    });
}

/// What the leader sends to one member is lost; the other way all is well.
#[test]
fn a_member_that_does_not_hear_the_leader() {
    story("cuts::a_member_that_does_not_hear_the_leader", async |lan| {
        let reign = settled(lan, 3).await;
        let far = lan.but(&[reign.leader])[1];
        relayed(lan, &reign, far, &[(reign.leader, far)]).await;
    });
}

/// What one member sends to the leader is lost; it hears every heartbeat.
#[test]
fn a_member_that_the_leader_does_not_hear() {
    story("cuts::a_member_that_the_leader_does_not_hear", async |lan| {
        let reign = settled(lan, 3).await;
        let far = lan.but(&[reign.leader])[0];
        relayed(lan, &reign, far, &[(far, reign.leader)]).await;
    });
}

/// The cuts make `far` go through another; nobody else leads meanwhile, nor when all is mended.
async fn relayed(lan: &mut Lan, reign: &Reign, far: usize, cuts: &[(usize, usize)]) {
    let at = Instant::now();
    lan.note(&format!("cuts {cuts:?}"));
    for (from, to) in cuts {
        lan.net.cut(&[*from], &[*to], true).await;
    }
    lan.until(SETTLE + SLACK, "the far member goes through another", async |lan| {
        let status = lan.status(far).await?;
        (status.via.is_some() && status.leader.is_some() && lan.view(far).via.is_some()).then_some(())
    })
    .await;
    lan.figure("a member goes through another", at.elapsed());
    assert_eq!(&lan.settled(&lan.all(), SETTLE + SLACK).await, reign);
    lan.quiet(Duration::from_secs(3)).await;
    assert!(lan.status(far).await.expect("it answers").via.is_some(), "it still goes through another");
    let mended = Instant::now();
    lan.note("mended");
    lan.net.mend().await;
    lan.until(SETTLE + SLACK, "the far member reaches the leader directly again", async |lan| {
        let status = lan.status(far).await?;
        (status.via.is_none() && status.leader.is_some() && lan.view(far).via.is_none()).then_some(())
    })
    .await;
    lan.figure("a member goes directly again", mended.elapsed());
    assert_eq!(&lan.settled(&lan.all(), SETTLE).await, reign);
    lan.quiet(Duration::from_secs(1)).await;
    assert_eq!(lan.reigns_since(at), [], "one bad link makes no second king");
}

/// A leader that hears nothing and beats: its heartbeats arrive, its answers do not come. It is replaced, and its
/// heartbeats disturb nobody; when it hears again, there is one leader.
#[test]
fn a_leader_that_hears_nothing_is_replaced() {
    story("cuts::a_leader_that_hears_nothing_is_replaced", async |lan| {
        let old = settled(lan, 4).await;
        let survivors = lan.but(&[old.leader]);
        let at = Instant::now();
        lan.note("the leader hears nothing");
        lan.net.cut(&survivors, &[old.leader], true).await;
        lan.failover(("deaf leader", at), &survivors, &old, SETTLE + SLACK).await;
        let next = lan.settled(&survivors, SETTLE).await;
        lan.quiet(Duration::from_secs(2)).await;
        mended(lan, &next, old.leader, at).await;
    });
}

/// A leader that nobody hears, and that hears everybody: replaced like a silent one.
#[test]
fn a_leader_that_nobody_hears_is_replaced() {
    story("cuts::a_leader_that_nobody_hears_is_replaced", async |lan| {
        let old = settled(lan, 4).await;
        let survivors = lan.but(&[old.leader]);
        let at = Instant::now();
        lan.note("nobody hears the leader");
        lan.net.cut(&[old.leader], &survivors, true).await;
        let (_, took) = lan.failover(("mute leader", at), &survivors, &old, SETTLE + SLACK).await;
        assert!(took < SILENCE, "{took:?} after a one-way cut");
        let next = lan.settled(&survivors, SETTLE).await;
        lan.quiet(Duration::from_secs(2)).await;
        mended(lan, &next, old.leader, at).await;
    });
}

/// Of all datagrams three in ten are lost: nobody is deposed, and a newcomer finds its way.
#[test]
fn lost_datagrams_depose_nobody() {
    story("cuts::lost_datagrams_depose_nobody", async |lan| {
        lan.office(4).await;
        lan.start(&[1, 2, 3]);
        let reign = lan.settled(&[1, 2, 3], SETTLE + SLACK).await;
        lan.note("30 % of the datagrams are lost");
        lan.net.lose(30).await;
        let at = lan.start(&[4]);
        assert_eq!(lan.settled(&lan.all(), SETTLE + SLACK).await, reign);
        lan.quiet(Duration::from_secs(6)).await;
        lan.net.mend().await;
        assert_eq!(lan.reigns_since(at), []);
    });
}
