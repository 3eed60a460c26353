//! What users see of the node.

use super::address;
use super::directory::{self};
use super::entry::Entry;
use super::rivals::Rival;
use super::role::Role;
use super::{MemberView, Node, RoleName, Status, Trouble, Who};
use crate::ident::{Incarnation, NodeId};
use crate::message::{Member, MemberState};
use crate::time::{Now, Time};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

impl Node {
    fn who(&self, node: Incarnation) -> Who {
        if node.id == self.base.me.node.id {
            let address = address::of_links(self.base.ways.links(), self.base.me.port);
            return Who { node, name: self.base.me.name.clone(), address };
        }
        let entry = self.base.members.get(node.id);
        // What its double is called, and where that is, is not the leader's.
        let name = match &self.role {
            Role::Following(f) if f.claim.node == node => f.name.clone(),
            _ => entry.map_or_else(|| node.id.short(), |e| e.name.clone()),
        };
        Who { node, name, address: entry.filter(|e| !e.is_anothers(node.boot)).map(|e| e.home(node.boot)) }
    }

    /// The leader that users are shown.
    fn leader(&self) -> Option<Incarnation> {
        match &self.role {
            Role::Leading(l) => Some(l.claim.node),
            Role::Following(f) if f.settled => Some(f.claim.node),
            _ => None,
        }
    }

    fn successor(&self) -> Option<Incarnation> {
        match &self.role {
            Role::Leading(l) => l.naming.named(),
            Role::Following(f) if f.settled => f.successor,
            _ => None,
        }
    }

    /// Whether it knows how it stands: false on a leader that stood still, until it knows that nobody took its place (§6).
    pub fn is_sure(&self) -> bool {
        match &self.role {
            Role::Leading(l) => l.is_sure(self.base.now),
            _ => true,
        }
    }

    /// Whether it leads, and is about to give the role away on purpose (§8).
    pub fn gives_role_up(&self) -> bool {
        matches!(&self.role, Role::Leading(l) if l.handover.is_some() || self.stopping)
    }

    /// A snapshot for users.
    pub fn status(&self) -> Status {
        let via = match &self.role {
            Role::Following(f) => f.session.as_ref().and_then(|s| s.via),
            _ => None,
        };
        let via = via.and_then(|id| self.base.members.get(id)).map(|e| self.who(e.node));
        Status {
            node: self.base.me.node,
            name: self.base.me.name.clone(),
            role: self.role.name(),
            shown: self.base.promises.shown(),
            sure: self.is_sure(),
            gives_up: self.gives_role_up(),
            leader: self.leader().map(|n| self.who(n)),
            successor: self.successor().map(|n| self.who(n)),
            via,
            since: self.base.past.since(),
            trouble: self.trouble(),
            members: 1 + self.base.members.iter().filter(|e| e.state != MemberState::Left).count(),
        }
    }

    fn trouble(&self) -> Vec<Trouble> {
        let me = &self.base.me;
        let double = |e: &Entry| e.state == MemberState::Alive && e.name == me.name;
        let found = [
            (Trouble::Disk, !self.base.disk_works()),
            (Trouble::Alone, self.stands_alone()),
            (Trouble::TwoLeaders, self.has_rival()),
            (Trouble::DoubleName, self.base.members.iter().any(double)),
        ];
        found.into_iter().filter_map(|(trouble, is)| is.then_some(trouble)).collect()
    }

    /// Whether another is known to lead too, and does not come to meet.
    pub(super) fn has_rival(&self) -> bool {
        let (now, lately) = (self.base.now, self.base.lately());
        let stays = |heard: Time, rival: &Rival| heard >= lately && rival.stays(now);
        match &self.role {
            Role::Leading(l) => l.others.values().any(|o| stays(o.heard, &o.rival)),
            Role::Following(f) => f.others.values().any(|o| stays(o.heard, &o.rival)),
            _ => false,
        }
    }

    /// Whether that member leads beside the leader that users are shown.
    pub(super) fn is_rival(&self, id: NodeId) -> bool {
        let lately = self.base.lately();
        match &self.role {
            Role::Leading(l) => l.others.get(&id).is_some_and(|o| o.heard >= lately),
            Role::Following(f) => f.others.get(&id).is_some_and(|o| o.heard >= lately),
            _ => false,
        }
    }

    /// It leads and nobody follows, though others were here and did not say goodbye.
    pub(super) fn stands_alone(&self) -> bool {
        let Role::Leading(l) = &self.role else { return false };
        let gone = |e: &Entry| e.met && e.state == MemberState::Silent;
        l.sessions.values().all(|served| served.silent) && self.base.members.iter().any(gone)
    }

    /// This agent as a member.
    pub(super) fn myself(&self) -> Member {
        let who = self.who(self.base.me.node);
        let address = who.address.unwrap_or((Ipv4Addr::UNSPECIFIED, self.base.me.port).into());
        let mut entry = super::entry::Entry::new(self.base.me.node, who.name, address, self.base.now);
        entry.state = MemberState::Alive;
        entry.priority = self.base.settings.priority;
        entry.version.clone_from(&self.base.version);
        entry.seniority = self.base.members.own_seniority();
        if let Role::Following(f) = &self.role
            && let Some(session) = &f.session
        {
            entry.rtt_us = session.rtt_us;
            entry.via = session.via;
        }
        entry.to_member(self.base.now)
    }

    /// Every member that this agent knows, itself included, in the order of succession: the leader first, then the line,
    /// then the others.
    pub fn members(&self, now: Now) -> Vec<MemberView> {
        let mut all: Vec<Member> = self.base.members.iter().map(|e| e.to_member(now.time)).collect();
        all.push(self.myself());
        let leader = self.leader().map(|n| n.id);
        let named = self.successor().map(|n| n.id);
        let line = directory::line(all.iter().filter(|m| Some(m.node.id) != leader), named);
        let places: BTreeMap<NodeId, usize> = line.iter().enumerate().map(|(i, (id, _))| (*id, i)).collect();
        let rank = |id: NodeId| places.get(&id).copied();
        all.sort_by_key(|m| (Some(m.node.id) != leader, rank(m.node.id).unwrap_or(usize::MAX), m.node.id));
        all.into_iter()
            .map(|member| {
                let id = member.node.id;
                let place = rank(id);
                let own = id == self.base.me.node.id;
                let role = if own {
                    self.role.name()
                } else if Some(id) == leader || self.is_rival(id) {
                    RoleName::Leading
                } else {
                    RoleName::Following
                };
                let because = match place {
                    Some(i) => line[i].1.clone(),
                    None if Some(id) == leader => "leads".to_owned(),
                    None if role == RoleName::Leading => "leads beside it".to_owned(),
                    None if member.sick => "its disk does not work".to_owned(),
                    None if member.priority == 0 => "priority 0 never leads".to_owned(),
                    None => match member.state {
                        MemberState::Alive => "is catching up".to_owned(),
                        MemberState::Silent => "is silent".to_owned(),
                        MemberState::Left => "has left".to_owned(),
                    },
                };
                let heard = if own { Some(Duration::ZERO) } else { self.last_sign(id).map(|t| now.time.since(t)) };
                let (revision, place) = (self.revision_of(&member), place.map(|p| p + 1));
                MemberView { member, role, successor: Some(id) == named, heard, revision, place, because }
            })
            .collect()
    }

    /// The last change that a member has, as far as it is known: the leader knows of its followers, and they of it.
    fn revision_of(&self, member: &Member) -> Option<u64> {
        match &self.role {
            Role::Leading(l) => l.durable_at(member.node),
            Role::Following(f) if f.claim.node == member.node => self.data.backup.committed(),
            _ => None,
        }
    }

    /// The last sign of a member, by datagram, connection or session.
    fn last_sign(&self, id: NodeId) -> Option<Time> {
        let session = match &self.role {
            // Zero stands for one that has yet to speak since the network came back.
            Role::Leading(l) => l.sessions.get(&id).map(|s| s.spoke).filter(|t| t.0 > 0),
            Role::Following(f) if f.claim.node.id == id && f.session.is_some() => Some(f.heard),
            _ => None,
        };
        // That it was alive for the leader counts too.
        self.base.members.get(id).and_then(|e| e.heard.max(e.alive_until)).max(session)
    }
}
