//! Suspicion costs one question and nothing else: the interrogation of a leader (protocol §6).

use super::role::{Asking, Doubt, Following, Lost, ROUTES, Role};
use super::timers::Timer;
use super::ways::{Conn, Purpose};
use super::{Closed, Node, To, limits};
use crate::claim::Claim;
use crate::event::{Cause, Kind, Level};
use crate::ident::{ConnId, Incarnation};
use crate::message::{Answer, Canvass, Cast, Frame, Known, Question, Says, Standing, Told};
use crate::settings::Settings;
use crate::time::ms;
use std::net::SocketAddr;
use std::time::Duration;

/// What an answer says about the leader that was asked.
enum Answered {
    Alive,
    Nothing,
    Gone(Cause, String),
    Moved(Box<Known>),
    Renewed(Claim),
}

impl Doubt {
    /// An answer by datagram is enough: nothing but silence is to be explained.
    fn datagram(self) -> bool {
        matches!(self, Doubt::Silence | Doubt::Told | Doubt::Canvassed | Doubt::Stall)
    }

    /// After an answer, the next question for such a reason waits so long: whoever may send a datagram or open a
    /// connection can give these.
    fn pause(self, settings: &Settings) -> Duration {
        match self {
            Doubt::Goodbye | Doubt::NewBoot => settings.heartbeat(),
            Doubt::Told | Doubt::Canvassed => settings.interrogation() / 4,
            Doubt::Silence | Doubt::Broken | Doubt::Unanswered | Doubt::Stall => Duration::ZERO,
        }
    }

    /// Worth telling users before the answer is in.
    fn told(self) -> bool {
        !matches!(self, Doubt::Told | Doubt::Canvassed | Doubt::Stall)
    }

    fn text(self, name: &str, silence: &str) -> String {
        match self {
            Doubt::Silence => format!("leader {name} has been silent for {silence}"),
            Doubt::Broken => format!("leader {name} went away: its connection was reset"),
            Doubt::Unanswered => format!("leader {name} did not answer a ping"),
            Doubt::NewBoot => format!("leader {name} seems to have restarted"),
            Doubt::Goodbye => format!("leader {name} said goodbye"),
            Doubt::Stall => "this process stood still".to_owned(),
            Doubt::Told => format!("another member says that leader {name} is gone"),
            Doubt::Canvassed => "another member claims the role".to_owned(),
        }
    }
}

impl Node {
    /// Begins an interrogation, or adds a reason to the one under way.
    pub(super) fn doubt(&mut self, doubt: Doubt) {
        let nonce = self.base.nonce();
        let now = self.base.now;
        let Role::Following(f) = &mut self.role else { return };
        if let Some(asking) = &mut f.asking {
            asking.datagram &= doubt.datagram();
            if doubt.told() && !asking.doubt.told() {
                asking.doubt = doubt;
            }
            return;
        }
        f.asking = Some(Asking {
            doubt,
            began: now,
            nonce,
            conns: Vec::new(),
            rounds: 0,
            last: now,
            datagram: doubt.datagram(),
            waiting: Vec::new(),
        });
        if doubt.told() {
            let name = f.name.clone();
            let text = doubt.text(&name, &ms(now.since(f.heard)));
            self.base.warn(Kind::LeaderSuspected, text, vec![("leader", name.into())]);
        }
        let Role::Following(f) = &self.role else { return };
        if let Some(due) = f.answered.map(|at| at + doubt.pause(&self.base.settings)).filter(|due| *due > now) {
            // It has only just answered: others do not make this agent ask as fast as they speak.
            return self.base.timers.set(Timer::Ask, due);
        }
        self.ask_round();
        self.ask_by_datagram();
        self.base.timers.set(Timer::Ask, now + self.base.settings.interrogation() / 3);
    }

    /// One question by TCP on each way.
    fn ask_round(&mut self) {
        let Role::Following(f) = &self.role else { return };
        let Some(asking) = &f.asking else { return };
        let (nonce, node, round) = (asking.nonce, f.claim.node, asking.rounds);
        let mut routes = self.routes(round);
        // Whoever has its id may have its place.
        self.add_places(&mut routes);
        for route in routes.into_iter().take(ROUTES) {
            let conn = self.base.dial(route, Purpose::Ask, Frame::Question(Question { nonce, to: node }));
            if let Role::Following(Following { asking: Some(asking), .. }) = &mut self.role {
                asking.conns.push(conn);
            }
        }
        if let Role::Following(Following { asking: Some(asking), .. }) = &mut self.role {
            (asking.rounds, asking.last) = (asking.rounds + 1, self.base.now);
        }
    }

    fn ask_by_datagram(&mut self) {
        let Role::Following(f) = &self.role else { return };
        let Some(asking) = &f.asking else { return };
        // Through another no datagram passes: that one is asked whether it still hears the leader.
        let whom: Vec<_> = [Some(f.claim.node.id), f.relay].into_iter().flatten().collect();
        let nonce = asking.nonce;
        for id in whom {
            let Some(entry) = self.base.members.get(id).filter(|e| !e.address.ip().is_unspecified()) else { continue };
            let to = if id == f.claim.node.id { f.claim.node } else { entry.node };
            let address = entry.home(to.boot);
            self.base.cast(To::One(address), Cast::Question(Question { nonce, to }));
        }
    }

    /// A datagram answers a question: the leader's own, or that of the member which it is reached through.
    pub(super) fn datagram_answers(&mut self, node: Incarnation, answer: &Answer, from: SocketAddr) {
        let Role::Following(f) = &mut self.role else { return };
        let Some(asking) = &f.asking else { return };
        if f.claim.node == node {
            return self.answered(None, answer, from);
        }
        let hears = matches!(&answer.standing, Standing::Follows(known) if known.direct && known.claim == f.claim);
        if f.relay != Some(node.id) || asking.nonce != answer.nonce || !hears {
            return;
        }
        f.heard = self.base.now;
        if asking.datagram {
            let name = self.base.name(node.id);
            self.leader_alive(&format!("{name}, which it is reached through, hears it"));
        }
    }

    /// What is answered to a question by datagram, which counts against silence only: a member vouches for a leader whose
    /// heartbeats it hears itself, and for no other.
    pub(super) fn vouches(&self) -> Standing {
        let Role::Following(f) = &self.role else { return self.standing() };
        match self.known() {
            Some(known) if f.hears_broadcasts(self.base.now, self.base.settings.suspicion()) => {
                Standing::Follows(Known { direct: true, ..known })
            }
            _ => Standing::Neither,
        }
    }

    pub(super) fn silence_due(&mut self) {
        let Role::Following(f) = &self.role else { return };
        let until = f.heard + self.base.settings.suspicion();
        if until > self.base.now {
            return self.base.timers.set(Timer::Silence, until);
        }
        self.doubt(Doubt::Silence);
    }

    /// How long a leader that does not answer is silent before it is dead. One that is heard by TCP only (through another,
    /// or from another subnet) has at least a second: a single lost packet takes that way out for a fifth of one.
    fn deadly_silence(&self) -> Duration {
        let silence = self.base.settings.silence();
        match &self.role {
            Role::Following(f) if !f.hears_broadcasts(f.heard, self.base.settings.suspicion()) => {
                silence.max(limits::TCP_ONLY)
            }
            _ => silence,
        }
    }

    /// The next move of the interrogation: ask again, or conclude.
    pub(super) fn ask_due(&mut self) {
        let (now, linked) = (self.base.now, self.base.linked());
        let (d, silence) = (self.base.settings.interrogation(), self.deadly_silence());
        let Role::Following(f) = &mut self.role else { return };
        let Some(asking) = &mut f.asking else { return };
        let asked = now.since(asking.began);
        let idle = asking.conns.is_empty();
        if asked < d {
            self.ask_by_datagram();
            if idle {
                self.ask_round();
            }
            let third = d / 3;
            let next = if asked < third * 2 { third * 2 } else { d };
            let Role::Following(Following { asking: Some(asking), .. }) = &self.role else { return };
            return self.base.timers.set(Timer::Ask, asking.began + next.max(asked + third / 4));
        }
        let (missed, rounds) = (now.since(f.heard), asking.rounds);
        let (again, latest) = (asking.last, asking.began + limits::BLACK_HOLE.saturating_sub(d));
        self.release_waiting(false);
        if !linked {
            // No verdict on anybody without a link: the last link's own time decides (§5).
            return self.base.timers.set(Timer::Ask, now + d);
        }
        if missed >= silence {
            let text = format!("it did not answer for {}, and was silent for {}", ms(asked), ms(missed));
            return self.dead(Cause::Silent, text);
        }
        // One that was not heard lately is not known to beat: it has the time of the silent.
        let beats = missed < self.base.settings.suspicion();
        if asked >= limits::BLACK_HOLE && rounds >= 2 && beats {
            let text = format!("it beats, but answered none of {rounds} questions in {}", ms(asked));
            return self.dead(Cause::Unresponsive, text);
        }
        // It still beats: ask again until the black hole's time is over, and so late that it can just answer in time.
        let pause = d.max(limits::BLACK_HOLE / 4);
        let due = rounds == 1 || asked >= pause * rounds || now >= latest && again < latest;
        if due || idle {
            self.ask_round();
        }
        self.ask_by_datagram();
        let Role::Following(f) = &self.role else { return };
        let Some(asking) = &f.asking else { return };
        let silent_at = f.heard + silence;
        let mut next = (asking.began + limits::BLACK_HOLE).min(now + pause);
        if latest > now {
            next = next.min(latest);
        }
        if silent_at > now {
            next = next.min(silent_at);
        }
        self.base.timers.set(Timer::Ask, next.max(now + d / 4));
    }

    /// An answer, by TCP or by datagram.
    pub(super) fn answered(&mut self, conn: Option<ConnId>, answer: &Answer, from: SocketAddr) {
        if let Some(conn) = conn
            && self.probe_answered(conn, answer)
        {
            return;
        }
        let now = self.base.now;
        let Role::Following(f) = &self.role else { return };
        let Some(asking) = &f.asking else { return };
        let direct = conn.is_none_or(|c| self.base.ways.get(c).is_some_and(|c| c.via().is_none()));
        if asking.nonce != answer.nonce || conn.is_some_and(|c| !asking.conns.contains(&c)) {
            return;
        }
        let speaker = conn.and_then(|c| self.base.peer(c)).unwrap_or(f.claim.node);
        let after = ms(now.since(asking.began));
        let relay = conn.and_then(|c| self.base.ways.get(c)).and_then(Conn::via);
        let heard = match speaker {
            leader if leader == f.claim.node => self.weigh(f, answer, from, &after),
            another if another.id == f.claim.node.id => self.another_start(direct, from, &after),
            _ => Answered::Nothing,
        };
        let enough = conn.is_some() || asking.datagram;
        match heard {
            Answered::Nothing => {}
            Answered::Alive if enough => {
                if !direct && let Role::Following(f) = &mut self.role {
                    f.relay = relay;
                }
                self.leader_alive(&format!("it answered after {after}"));
            }
            // It is not silent, and still owes an answer by TCP.
            Answered::Alive => {
                if let Role::Following(f) = &mut self.role {
                    f.heard = now;
                }
            }
            // What ends a reign is believed from connections only.
            _ if conn.is_none() => {}
            Answered::Gone(cause, text) => self.dead(cause, text),
            Answered::Moved(known) => self.lead_moved(*known),
            Answered::Renewed(claim) => self.leader_renewed(claim),
        }
    }

    /// Two living agents may have one id, so another start of it means something at the leader's own place only. The
    /// member in between has gone to where it heard the leader itself.
    fn another_start(&self, direct: bool, from: SocketAddr, after: &str) -> Answered {
        if direct && !self.is_leaders_place(from) {
            return Answered::Nothing;
        }
        Answered::Gone(Cause::Died, format!("another start of it answered after {after}"))
    }

    fn weigh(&self, f: &Following, answer: &Answer, from: SocketAddr, after: &str) -> Answered {
        if !self.base.fresh(answer) {
            return Answered::Nothing;
        }
        match &answer.standing {
            Standing::Leads(claim) if *claim == f.claim => Answered::Alive,
            Standing::Leads(claim) if claim.node == f.claim.node && *claim > f.claim => Answered::Renewed(*claim),
            Standing::Follows(known) if known.claim > f.claim && known.claim.node.id != self.base.me.node.id => {
                Answered::Moved(Box::new(super::address::localised(known.clone(), from)))
            }
            _ => {
                let cause = f.end_cause();
                Answered::Gone(cause, format!("it said after {after} that it leads no more"))
            }
        }
    }

    /// The same process leads in a newer reign.
    fn leader_renewed(&mut self, claim: Claim) {
        let Role::Following(f) = &self.role else { return };
        let Some(entry) = self.base.members.get(claim.node.id) else { return };
        let (address, direct) = (entry.home(claim.node.boot), entry.own_place(claim.node.boot).is_some());
        let known = Known { claim, name: f.name.clone(), address, direct };
        let (relay, successor) = (f.relay, f.successor);
        self.follow(super::following::Target { successor, ..super::following::Target::told(known, relay) });
    }

    /// The interrogated leader lives and leads.
    pub(super) fn leader_alive(&mut self, how: &str) {
        let now = self.base.now;
        let Role::Following(f) = &mut self.role else { return };
        f.heard = now;
        let Some(doubt) = f.asking.as_ref().map(|a| a.doubt) else { return };
        self.release_waiting(true);
        let Role::Following(f) = &mut self.role else { return };
        let Some(asking) = f.asking.take() else { return };
        f.answered = Some(now);
        let name = f.name.clone();
        let failed = f.session.as_ref().and_then(|s| s.ping).is_some_and(|p| now >= p.until);
        let broken = f.session.is_none();
        let tellers = std::mem::take(&mut f.tellers);
        self.base.timers.clear(Timer::Ask);
        self.base.timers.set(Timer::Silence, now + self.base.settings.suspicion());
        for conn in asking.conns {
            self.base.close(conn);
        }
        if doubt.told() {
            let text = format!("leader {name} is there: {how}");
            self.base.info(Kind::LeaderAnswered, text, vec![("leader", name.into())]);
        }
        if let Some(known) = self.known() {
            for conn in tellers {
                self.base.send(conn, Frame::Told(Told::Alive(known.clone())));
            }
        }
        // A session whose ping failed is opened anew, whatever was the first reason to ask.
        if broken || failed {
            if let Role::Following(f) = &mut self.role
                && let Some(session) = f.session.take()
            {
                self.base.close(session.conn);
                self.requests_lost();
            }
            self.base.timers.clear(Timer::Pong);
            match &self.role {
                // One that lives and takes nobody in is not dialled as fast as it says so.
                Role::Following(f) if f.turned_away.is_some_and(|at| now.since(at) < limits::PING) => {
                    self.base.timers.set(Timer::Redial, now + limits::PING);
                }
                // The dial that is under way has its time.
                Role::Following(f) if f.vain >= limits::VAIN && !f.dials.is_empty() => {}
                _ => self.dial_anew(),
            }
        }
    }

    pub(super) fn question_closed(&mut self, conn: ConnId, state: &Conn, how: Closed) {
        let there = state.route.is_some_and(|r| self.is_leaders_place(r.hop));
        let Role::Following(Following { asking: Some(asking), .. }) = &mut self.role else { return };
        if !asking.conns.contains(&conn) {
            return;
        }
        asking.conns.retain(|c| *c != conn);
        // Only its own address refuses for it: not one in between, and not this machine (§6).
        if how == Closed::Local || state.via().is_some() || !there {
            return;
        }
        let after = ms(self.base.now.since(asking.began));
        let cause = match &self.role {
            Role::Following(f) => f.end_cause(),
            _ => Cause::Died,
        };
        self.dead(cause, format!("it refused the question after {after}"));
    }

    /// The leader is dead to this agent.
    pub(super) fn dead(&mut self, cause: Cause, text: String) {
        let now = self.base.now;
        let Role::Following(f) = &mut self.role else { return };
        let asking = f.asking.take();
        let noticed = asking.as_ref().map_or(now, |a| a.began);
        let missed = asking.as_ref().map(|a| a.doubt.text(&f.name, &ms(a.began.since(f.heard)))).unwrap_or_default();
        let lost = Lost {
            claim: f.claim,
            name: f.name.clone(),
            cause,
            noticed,
            at: now,
            text: if missed.is_empty() { text.clone() } else { format!("{missed}; {text}") },
            listed: f.listed || f.listed_before,
        };
        let told = !f.tellers.is_empty();
        let successor = f.successor;
        let mut requests = std::mem::take(&mut f.requests);
        requests.extend(f.unsent.drain(..).map(|(request, _)| request));
        let event = format!("leader {} is gone: {text}", lost.name);
        let fields = vec![
            ("leader", lost.name.clone().into()),
            ("since_first_sign_us", super::notices::us(now.since(noticed))),
            ("silent_us", super::notices::us(now.since(f.heard))),
        ];
        self.base.tell(Kind::LeaderLost, Level::Warn, Some(cause), event, fields);
        // Those who waited for the verdict first: who is backed is given its time.
        for (conn, canvass, _) in asking.map(|a| a.waiting).unwrap_or_default() {
            self.judge_canvass(conn, canvass);
        }
        self.refuse(requests, "the leader went away meanwhile; see 'tanist status'");
        self.leader_left();
        self.lose(lost, successor, told);
    }

    // ---- what others make this agent ask

    /// A canvass waits for what the leader says to a question put after it arrived (§7.3).
    pub(super) fn ask_for(&mut self, conn: ConnId, canvass: Canvass) {
        let now = self.base.now;
        self.doubt(Doubt::Canvassed);
        if let Role::Following(Following { asking: Some(asking), .. }) = &mut self.role
            && asking.waiting.len() < limits::WAITING
        {
            asking.waiting.push((conn, canvass, now));
            let due = now + self.base.settings.interrogation();
            self.base.timers.sooner(Timer::Ask, due);
        }
    }

    /// Answers the canvasses that waited: at once when the leader answered, after their own time when it did not.
    fn release_waiting(&mut self, alive: bool) {
        let (now, d) = (self.base.now, self.base.settings.interrogation());
        let known = self.known();
        let Role::Following(Following { asking: Some(asking), .. }) = &mut self.role else { return };
        let (over, left) =
            std::mem::take(&mut asking.waiting).into_iter().partition(|(_, _, at)| alive || now.since(*at) >= d);
        asking.waiting = left;
        let over: Vec<(ConnId, Canvass, _)> = over;
        for (conn, canvass, _) in over {
            match &known {
                Some(known) if alive => self.say(conn, canvass.claim, Says::LeaderAlive(known.clone())),
                _ => self.judge_canvass(conn, canvass),
            }
        }
    }
}
