//! What is promised, looked at after every step and whenever somebody says something.

use super::*;

impl World {
    /// P8, its first half: in an epoch at most one claim wins, with a quorum of two. With one, no two are equal.
    pub(super) fn wins(&mut self, claim: Claim) {
        let rival = self.won.iter().find(|w| w.epoch == claim.epoch);
        assert!(rival.is_none() || self.bounds.quorum == 1, "P8: {claim:?} wins after {rival:?}");
        assert!(rival != Some(&claim), "P3: {claim:?} wins twice");
        self.won.insert(claim);
    }

    pub(super) fn says_own(&self, m: M, sender: &Sender, cast: &Cast) {
        if let Cast::Heartbeat(beat) = cast {
            self.announces(m, sender, beat.claim);
        }
    }

    pub(super) fn announces(&self, m: M, sender: &Sender, claim: Claim) {
        if claim.node == sender.node {
            let member = &self.members[m];
            assert!(member.promises.contains(&claim), "durable before said: pc-{m} announces {claim:?} unpromised");
            assert!(
                member.would_show(claim),
                "durable before said: pc-{m} announces {claim:?}, and its disk {:?}",
                member.durable
            );
        }
    }

    pub(super) fn says(&mut self, m: M, sender: &Sender, frame: &Frame) {
        match frame {
            Frame::Beat(beat) => self.announces(m, sender, beat.claim),
            Frame::Joined(joined) => self.announces(m, sender, joined.claim),
            Frame::Reigns(reigns) => self.announces(m, sender, reigns.claim),
            Frame::Voice(voice) if matches!(voice.says, Says::Backed) => {
                let (claim, me) = (voice.claim, sender.node.id);
                let member = self.member(m);
                assert!(member.promises.contains(&claim), "durable before said: pc-{m} backs {claim:?} unpromised");
                let other = member.said.insert(claim.epoch, claim).filter(|other| *other != claim);
                let other = other.filter(|other| other.node.id != me);
                assert!(other.is_none(), "one claim per epoch: pc-{m} backs {claim:?} after {other:?}");
            }
            _ => {}
        }
    }

    /// P3 after each step.
    pub(super) fn judge(&mut self, m: M) {
        let member = self.member(m);
        let process = member.process.as_ref().expect("it runs");
        let shown = process.node.status().shown;
        if shown == member.last_shown {
            return;
        }
        let (Some(claim), Some(last)) = (shown, member.last_shown) else { panic!("P3: pc-{m} shows {shown:?}") };
        assert!(claim.epoch > last.epoch, "P3: pc-{m} shows {claim:?} after {last:?}");
        let disk = &member.durable;
        assert!(member.would_show(claim), "durable before shown: pc-{m} shows {claim:?}, and its disk {disk:?}");
        member.last_shown = shown;
    }
}

impl Member {
    /// After a crash it shows this claim, or a later one.
    pub(super) fn would_show(&self, claim: Claim) -> bool {
        let vouched = self.durable.promised.and_then(|p| p.may_be_shown());
        self.durable.shown.is_some_and(|shown| shown.epoch >= claim.epoch) || vouched == Some(claim)
    }
}
