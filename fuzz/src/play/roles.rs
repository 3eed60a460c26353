//! How a node comes into each of its roles.

use super::*;

impl Player {
    pub(super) fn in_role(role: u8) -> Player {
        let mut player = Player::new();
        player.links(true);
        match ROLES[usize::from(role) % ROLES.len()] {
            "following" => player.follow(),
            "electing" => {
                player.follow();
                let session = *player.conns.keys().next().expect("a session");
                player.closed(session, Closed::Reset);
                let question = *player.conns.keys().next_back().expect("a question");
                player.closed(question, Closed::Refused);
            }
            "claiming" => {
                for n in [3, 4] {
                    let hi = Cast::Hi(Hi { to: me(), leader: None, priority: 100 });
                    player.heard(&sender(n), &hi, address(n));
                }
                player.until(RoleName::Claiming);
            }
            "leading" => {
                player.until(RoleName::Leading);
                for n in [3, 4] {
                    player.follower(n);
                }
            }
            _ => {}
        }
        player.steps = 0;
        player
    }

    pub(super) fn follow(&mut self) {
        let claim = samples::claim(7, 1);
        let successor = Some(samples::node(3));
        let beat = Heartbeat { claim, successor, followers: 2, seq: 1 };
        self.heard(&sender(1), &Cast::Heartbeat(beat), address(1));
        let session = *self.conns.keys().next().expect("the leader is dialled");
        self.step(Input::Connected { conn: session });
        self.open(session, 1);
        let members: Vec<_> = self.others(&[1, 3, 4]);
        let story = Story { name: "pc-1".to_owned(), cause: tanist::event::Cause::First, text: String::new() };
        self.say(session, Frame::Joined(Joined { claim, story, successor, members }));
        self.disk_works(true);
        self.say(session, Frame::Named(Named { claim, successor }));
        assert_eq!(self.node.status().role, RoleName::Following);
    }

    /// Members as a leader lists them.
    pub(super) fn others(&self, ids: &[u64]) -> Vec<tanist::message::Member> {
        let member = |n: &u64| tanist::message::Member {
            node: samples::node(*n),
            name: format!("pc-{n}"),
            address: address(*n),
            version: "0.1.0".to_owned(),
            priority: 100,
            state: tanist::message::MemberState::Alive,
            whole: true,
            sick: false,

            rtt_us: Some(300),
            seniority_ms: 1000 * n,
            via: None,
        };
        ids.iter().map(member).collect()
    }

    pub(super) fn follower(&mut self, n: u64) {
        let conn = self.accept(address(n));
        self.open(conn, n);
        let claim = self.node.status().shown.expect("it leads");
        let version = "0.1.0".to_owned();
        self.say(conn, Frame::Join(Join { claim, shown: None, priority: 100, version, whole: true, via: None }));
        self.say(conn, Frame::Ping(Ping { seq: 1, deaf: false, rtt_us: Some(300 * n), hold_ms: 0, sick: false }));
    }

    pub(super) fn until(&mut self, role: RoleName) {
        for _ in 0..100 {
            if self.node.status().role == role {
                return;
            }
            self.due();
            if role != RoleName::Claiming {
                self.disk_works(true);
            }
        }
        panic!("it never came to {role:?}");
    }
}
