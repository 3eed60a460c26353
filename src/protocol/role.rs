//! The roles of an agent. What belongs to a role lives inside its variant and ends with it.

use super::RoleName;
use super::naming::Naming;
use super::replication::{Copies, Primary};
use super::rivals::{Heard, Other};
use crate::claim::Claim;
use crate::event::Cause;
use crate::ident::{ConnId, Incarnation, JobId, NodeId};
use crate::message::{Abdicate, Canvass, Known, Meet, Says, Story};
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The role of an agent (protocol §1).
#[derive(Clone, Debug)]
pub(super) enum Role {
    /// Just started or just woke.
    Listening(Listening),
    /// Follows a leader that is alive for all it knows.
    Following(Following),
    /// Has lost its leader, or found none: tells, waits, canvasses.
    Electing(Electing),
    /// Leads.
    Leading(Leading),
}

impl Role {
    pub(super) fn name(&self) -> RoleName {
        match self {
            Role::Listening(_) => RoleName::Listening,
            Role::Following(_) => RoleName::Following,
            Role::Electing(e) => match (&e.phase, &e.lost) {
                (Phase::Canvass, _) => RoleName::Claiming,
                (_, Some(_)) => RoleName::Following,
                (_, None) => RoleName::Listening,
            },
            Role::Leading(_) => RoleName::Leading,
        }
    }

    /// A leader's list, of this reign or the one before, says who is there.
    pub(super) fn has_list(&self) -> bool {
        match self {
            Role::Electing(e) => e.lost.as_ref().is_some_and(|l| l.listed),
            Role::Following(f) => f.listed || f.listed_before,
            // Its own is the list of the reign that it gives up.
            Role::Leading(_) => true,
            Role::Listening(_) => false,
        }
    }
}

/// Hears, claims nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Listening {
    /// Hellos sent.
    pub(super) hellos: u32,
    /// Members that answered. Bound: the member list's.
    pub(super) answered: BTreeSet<NodeId>, // bound: MEMBERS
    /// The join wait has ended: a leader is followed, but none is claimed to be (priority 0, or no link).
    pub(super) idle: bool,
    /// The join wait is over, and it lets those go first that come before it.
    pub(super) turn: bool,
    /// How often the end came late, and was put off.
    pub(super) late: u32,
}

/// Follows.
#[derive(Clone, Debug)]
pub(super) struct Following {
    /// The reign.
    pub(super) claim: Claim,
    /// It is durable as shown, and users see it.
    pub(super) settled: bool,
    /// A connection has said it: what datagrams say is not believed alone.
    pub(super) confirmed: bool,
    /// How the reign began, as far as it is known.
    pub(super) story: Option<Story>,
    /// The leader's name.
    pub(super) name: String,
    pub(super) successor: Option<Incarnation>,
    /// The last sign of the leader.
    pub(super) heard: Time,
    /// The last heartbeat by datagram, or since when one is waited for.
    pub(super) broadcast: Time,
    /// There was one in this reign.
    pub(super) broadcasts: bool,
    /// The session.
    pub(super) session: Option<Session>,
    /// Dials for a session. Bound: [`ROUTES`].
    pub(super) dials: Vec<ConnId>,
    /// The member to go through when the leader does not answer directly.
    pub(super) relay: Option<NodeId>,
    /// When this agent last asked around for a way to the leader.
    pub(super) sought: Option<Time>,
    /// The line of succession has been told, so the list is the leader's.
    pub(super) listed: bool,
    /// The reign before has left a list. One that ends before it has listed anybody leaves that.
    pub(super) listed_before: bool,
    /// No session: too many members (§11).
    pub(super) full: bool,
    pub(super) asking: Option<Asking>,
    /// Other leaders that are heard. Bound: [`super::limits::OTHERS`].
    pub(super) others: BTreeMap<NodeId, Heard>,
    /// Members that told this agent that the leader is dead. Bound: [`super::limits::WAITING`].
    pub(super) tellers: Vec<ConnId>,
    /// When the leader said goodbye.
    pub(super) goodbye: Option<Time>,
    /// When the leader last answered an interrogation.
    pub(super) answered: Option<Time>,
    /// When the leader last refused to take this agent in.
    pub(super) turned_away: Option<Time>,
    /// When it was last dialled for a session.
    pub(super) dialled: Time,
    /// Dials for a session in a row that had their time, while the leader answered questions.
    pub(super) vain: u32,
    /// When a dial for a session was last refused.
    pub(super) refused: Option<Time>,
    /// The claim that the leader itself asked for by Abdicate.
    pub(super) released: Option<Claim>,
    /// How many followers the leader says that it has.
    pub(super) followers: u32,
    /// Another sent this agent here.
    pub(super) moved: bool,
    /// The leader was lost before, which is what this reign began with.
    pub(super) after: Option<Lost>,
    /// What members ask through this agent. Bound: [`super::limits::REQUESTS`].
    pub(super) requests: BTreeSet<u64>,
    /// Those that wait for the session, with the machine that each names. Bound: [`super::limits::REQUESTS`].
    pub(super) unsent: Vec<(u64, Option<String>)>,
    /// Users that asked the leader to forget a member, or for its list as it is. Bound: [`super::limits::REQUESTS`].
    pub(super) forgets: BTreeSet<u64>,
    /// Connections that probe the direct way. Bound: one.
    pub(super) probe: Option<(ConnId, u64)>,
}

impl Following {
    /// What its end is called, when it is proven.
    pub(super) fn end_cause(&self) -> Cause {
        if self.goodbye.is_some() { Cause::Goodbye } else { Cause::Died }
    }

    /// The leader said goodbye, and has not answered since.
    pub(super) fn left(&self) -> bool {
        self.goodbye.is_some() && self.answered < self.goodbye
    }

    /// Whether the leader is reached directly. Between two sessions it is while its own heartbeats are heard, the last no
    /// longer than `lately` ago.
    pub(super) fn direct(&self, now: Time, lately: Duration) -> bool {
        match &self.session {
            Some(session) => session.via.is_none(),
            None => self.listed && self.hears_broadcasts(now, lately),
        }
    }

    /// Whether the last heartbeat by datagram is shorter ago than `within`, counted at `then`.
    pub(super) fn hears_broadcasts(&self, then: Time, within: Duration) -> bool {
        self.broadcasts && then.since(self.broadcast) < within
    }
}

/// Ways that are dialled at once.
pub(super) const ROUTES: usize = 4;

/// A session to the leader that has been answered.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) conn: ConnId,
    pub(super) via: Option<NodeId>,
    pub(super) seq: u64,
    pub(super) ping: Option<Awaited>,
    pub(super) rtt_us: Option<u64>,
    /// Heartbeats are asked for on the session.
    pub(super) deaf: bool,
    /// The leader has all that this machine has of the data, so that it can judge what users ask here.
    pub(super) covered: bool,
}

/// A ping that waits for its pong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Awaited {
    pub(super) seq: u64,
    /// When it was sent; none after a stall of this process, which would count as a part of the round trip.
    pub(super) sent: Option<Time>,
    /// How long the leader may hold the answer back.
    pub(super) hold: Duration,
    /// When it counts as unanswered.
    pub(super) until: Time,
}

/// Why a leader is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doubt {
    /// Nothing was heard of it.
    Silence,
    /// The session broke, or cannot be opened.
    Broken,
    /// A ping was not answered.
    Unanswered,
    /// Another boot speaks for it.
    NewBoot,
    /// It said goodbye.
    Goodbye,
    /// This process stood still.
    Stall,
    /// Another member takes it for dead.
    Told,
    /// Another member claims.
    Canvassed,
}

/// An interrogation (§6).
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) doubt: Doubt,
    pub(super) began: Time,
    /// Every question's nonce starts with this one's.
    pub(super) nonce: u64,
    /// Questions under way by TCP. Bound: [`ROUTES`].
    pub(super) conns: Vec<ConnId>, // bound: ROUTES
    /// Rounds of questions so far, and when the last began.
    pub(super) rounds: u32,
    pub(super) last: Time,
    /// An answer by datagram is enough.
    pub(super) datagram: bool,
    /// Canvasses that wait for the outcome. Bound: [`super::limits::WAITING`].
    pub(super) waiting: Vec<(ConnId, Canvass, Time)>,
}

/// A leader that is no more.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) claim: Claim,
    pub(super) name: String,
    pub(super) cause: Cause,
    /// The first sign.
    pub(super) noticed: Time,
    /// The moment it was dead.
    pub(super) at: Time,
    /// What was missed, and what it answered, in words.
    pub(super) text: String,
    pub(super) listed: bool,
}

/// Looks for a new leader.
#[derive(Clone, Debug)]
pub(super) struct Electing {
    pub(super) lost: Option<Lost>,
    pub(super) phase: Phase,
    /// Whose claim is awaited, in [`Phase::Wait`].
    pub(super) awaiting: Option<Awaiting>,
    /// Another has told this agent of the death, and waits for its claim.
    pub(super) counted_on: bool,
    /// Hellos sent.
    pub(super) hellos: u32,
    /// Tries to reach the lost leader through another. Bound: [`ROUTES`].
    pub(super) side: Vec<ConnId>,
    /// The member that the side dial goes through.
    pub(super) relay: Option<NodeId>,
    /// What members asked through this agent before. Bound: [`super::limits::REQUESTS`].
    pub(super) requests: BTreeSet<u64>,
}

/// A claim of another, heard of or backed, from which a reign may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Awaiting {
    pub(super) claimant: Incarnation,
    /// So long at most.
    pub(super) until: Time,
    /// How long after one question the next is put.
    pub(super) again: Duration,
    /// The question whether it is still there.
    pub(super) conn: Option<ConnId>,
}

/// Where an election stands.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Telling the line of succession, one after the other.
    Tell {
        /// Who is left to be told, next first. Bound: the member list's.
        line: VecDeque<NodeId>,
        /// Who is being told.
        conn: Option<ConnId>,
        /// This agent's place in the line, from 0.
        place: usize,
        /// One of it was silent.
        silent: bool,
    },
    /// Waiting for another's claim, or for a pause to end; then canvassing.
    Wait {
        /// For its turn in the line and for nothing else: it ends when others count on this agent.
        turn: bool,
    },
    /// Asking for voices.
    Canvass,
}

/// A canvass under way.
#[derive(Clone, Debug)]
pub(super) struct Canvassing {
    pub(super) claim: Claim,
    pub(super) began: Time,
    pub(super) deadline: Time,
    /// The own claim and voice are durable.
    pub(super) voiced: bool,
    pub(super) abdicate: Option<Abdicate>,
    /// Who was asked. Bound: the member list's.
    pub(super) asked: BTreeMap<NodeId, Asked>, // bound: MEMBERS
    /// A veto from a member that does not reach the leader directly.
    pub(super) indirect: Option<(NodeId, Known)>,
}

/// A member that was asked for its voice.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) conn: Option<ConnId>,
    pub(super) awaited: bool,
    pub(super) refused: bool,
    pub(super) says: Option<Says>,
    pub(super) withdrew: Option<Claim>,
    /// The last change of the data that it has.
    pub(super) holds: u64,
    /// After how long it answered.
    pub(super) after: Duration,
}

/// Leads.
#[derive(Clone, Debug)]
pub(super) struct Leading {
    pub(super) claim: Claim,
    pub(super) story: Story,
    /// Who backed this reign, and until when they count as followers, whose sessions have yet to begin.
    pub(super) backed: (BTreeSet<NodeId>, Time), // bound: MEMBERS
    /// Since when without a break (§9).
    pub(super) led_since: Time,
    /// Followers. Bound: [`super::limits::SESSIONS`].
    pub(super) sessions: BTreeMap<NodeId, Served>,
    /// Followers that have been answered and have not spoken since. Bound: [`super::limits::SESSIONS`].
    pub(super) joining: BTreeMap<ConnId, Served>,
    pub(super) naming: Naming,
    pub(super) quick: u32,
    pub(super) next_beat: Time,
    /// Members whose entry changed since the list was last sent. Bound: the member list's.
    pub(super) changed: BTreeSet<NodeId>, // bound: MEMBERS
    /// Members that were forgotten since. Bound: the member list's.
    pub(super) gone: BTreeSet<NodeId>, // bound: MEMBERS
    pub(super) listed_at: Time,
    /// Where the announcements to members without a session have come to.
    pub(super) turn: usize,
    /// Other leaders. Bound: [`super::limits::OTHERS`].
    pub(super) others: BTreeMap<NodeId, Other>,
    /// The one that stated its values last, and how long it had led then.
    pub(super) met: Option<(Incarnation, Duration)>,
    /// A new reign of its own that is being written down, and who waits for it.
    pub(super) renewing: Option<Renewing>,
    /// Exchanges that wait for their turn. Bound: [`super::limits::OTHERS`].
    pub(super) meets: VecDeque<(ConnId, Meet)>,
    /// Decided against itself: to whom, and until when that holds.
    pub(super) yielding: Option<(Claim, Time)>,
    pub(super) handover: Option<Handing>,
    /// The data, as soon as there is any.
    pub(super) data: Option<Box<Primary>>,
    /// What followers have of it.
    pub(super) copies: Box<Copies>,
    /// Members that have changes which this leader has not: nothing is ordered before they have offered them, or until then.
    pub(super) ahead: Box<(BTreeSet<NodeId>, Time)>, // bound: MEMBERS
    /// Jobs of copies and offers, with the session of each. Bound: [`super::limits::JOBS`].
    pub(super) copying: BTreeMap<JobId, ConnId>,
    /// What was acknowledged when followers last compared their state.
    pub(super) compared: u64,
    /// When that was.
    pub(super) compared_at: Time,
    /// Since when there is no successor, while there is none.
    pub(super) vacant: Option<Time>,
    /// How the last handover failed, in words.
    pub(super) failed: Option<String>,
    /// Since when it cannot write and nobody takes over.
    pub(super) left_alone: Option<Time>,
    /// After a large gap: serves nothing until a member has answered.
    pub(super) check: Option<Checking>,
    /// The check found another leader: nothing is ordered or acknowledged before they have met and this one leads on in a
    /// reign above the other's, or until then.
    pub(super) replaced: Time,
    pub(super) welcomed: Time,
    /// Members that join with the id of one that has a session. Bound: [`super::limits::WAITING`].
    pub(super) clones: BTreeMap<ConnId, (NodeId, Time)>,
}

/// A follower as its leader sees it.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) conn: ConnId,
    pub(super) node: Incarnation,
    /// The last frame from it, or the end of an own stall: silence counts from here.
    pub(super) heard: Time,
    /// The last frame from it.
    pub(super) spoke: Time,
    pub(super) since: Time,
    pub(super) deaf: bool,
    pub(super) via: Option<NodeId>,
    pub(super) silent: bool,
    /// Its ping that waits for the heartbeat with which it is answered.
    pub(super) held: Option<Held>,
}

/// A ping whose answer is held back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) seq: u64,
    pub(super) came: Time,
    /// The answer is due.
    pub(super) due: Time,
}

impl Leading {
    /// Whom this leader has told that it yields, for as long as that binds it (§9).
    pub(super) fn bound_to(&self, now: Time) -> Option<Incarnation> {
        self.yielding.filter(|(_, until)| now < *until).map(|(to, _)| to.node)
    }

    /// Its heir has been asked, and may lead at any moment (§8).
    pub(super) fn hands_over(&self) -> bool {
        self.handover.as_ref().is_some_and(Handing::asked)
    }
}

/// A new reign of the same leader on its way to the disk.
#[derive(Clone, Debug)]
pub(super) struct Renewing {
    pub(super) claim: Claim,
    pub(super) story: Story,
    /// Who gets the decision when it is durable. Bound: [`super::limits::OTHERS`].
    pub(super) decided: Vec<(ConnId, Claim)>,
    /// Who gets the answer to its Join then. Bound: [`super::limits::SESSIONS`].
    pub(super) joins: Vec<ConnId>,
}

/// A handover under way.
#[derive(Clone, Debug)]
pub(super) struct Handing {
    /// The reign that ends.
    pub(super) claim: Claim,
    pub(super) to: Incarnation,
    pub(super) cause: Cause,
    pub(super) phase: Drain,
    pub(super) began: Time,
    pub(super) stopping: bool,
    /// Own users who wait. Bound: [`super::limits::REQUESTS`].
    pub(super) requests: Vec<u64>,
    /// Members whose users wait. Bound: [`super::limits::REQUESTS`].
    pub(super) remote: Vec<(ConnId, u64)>,
    /// Tried already. Bound: the member list's.
    pub(super) tried: BTreeSet<NodeId>, // bound: MEMBERS
}

/// How far a handover has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Drain {
    /// Programs that follow the role end first, and may write until then.
    Programs,
    /// What the data's thread was given is finished first, up to this job.
    Drains { until: Option<JobId> },
    /// The heir has been asked to take over.
    Asked,
}

impl Handing {
    /// Programs that follow the role have yet to end; until then everything goes on.
    pub(super) fn waits_for_programs(&self) -> bool {
        self.phase == Drain::Programs
    }

    /// The heir has been asked, and may lead at any moment.
    pub(super) fn asked(&self) -> bool {
        self.phase == Drain::Asked
    }
}

/// A check after a stall.
#[derive(Clone, Debug)]
pub(super) struct Checking {
    /// Bound: four.
    pub(super) asked: Vec<ConnId>, // bound: ROUTES
    /// The successor's own answer decides; anybody's does when there is none.
    pub(super) successor: Option<NodeId>,
}
