//! The bounds of the core, by name (protocol §11).

use std::time::Duration;

/// Members that a list holds; whoever comes beyond follows by heartbeat alone.
pub const MEMBERS: usize = 2048;
/// Of them, those that were only ever heard by datagram: whoever is on the LAN can invent these.
pub const STRANGERS: usize = 256;
/// Of them, those at one IP address.
pub const SAME_ADDRESS: usize = 64;
/// Members that one Hello is sent to one by one, in turn.
pub const GREETED: usize = 16;
/// Sessions that a leader serves: one for each member that it can know, because who has none has no list.
pub const SESSIONS: usize = MEMBERS;
/// Places that are kept in mind for one id.
pub const SIGHTINGS: usize = 4;
/// Connections in all; an accepted one beyond is closed.
pub const CONNS: usize = SESSIONS + MEMBERS + 512;
/// Pipes through this agent.
pub const PIPES: usize = 64;
/// Canvassers that wait for the same answer of the leader.
pub const WAITING: usize = 64;
/// Members whose answer a canvass awaits.
pub const AWAITED: usize = 64;
/// Writes that are under way.
pub const WRITES: usize = 1024;
/// Jobs that the data's own thread has.
pub const JOBS: usize = 1024;
/// Requests of the data that wait for their answer.
pub const DATA_REQUESTS: usize = 4096;
/// Requests of other members' users that a leader has, all members together.
pub const FORWARDED: usize = 16_384;
/// The bytes of all requests that wait, of own users and of others'.
pub const DATA_BYTES: usize = 64 << 20;
/// A follower that could not take in what came says after so long what it has.
pub const DATA_AGAIN: Duration = Duration::from_millis(250);
/// Followers compare their state with the leader's at least so often.
pub const COMPARED: Duration = Duration::from_secs(60);
/// A copy that differs from the leader's is fetched anew at most so often.
pub const DIFFERS: Duration = Duration::from_secs(3600);
/// Writes wait for a successor at least so long, and for one that says nothing.
pub const SUCCESSOR_WAIT: Duration = Duration::from_millis(500);
/// Followers are told what is acknowledged with the next changes, and when none come, so much later.
pub const TOLD_WITHIN: Duration = Duration::from_micros(200);
/// Other leaders that are kept in mind.
pub const OTHERS: usize = 64;
/// Of them, those that a leader dials within [`MEET`], and a follower reports within 4 intervals.
pub const MEETS: usize = 8;
/// Hellos that wait for their answer.
pub const HIS: usize = 256;
/// Reigns that ended and are written again after a disk that could not be written.
pub const PAST: usize = 8;
/// Handovers that users wait for.
pub const REQUESTS: usize = 64;
/// Claims of others that are backed in quick succession.
pub const BACKS: u32 = 32;
/// How many more are backed in a second.
pub const BACKS_A_SECOND: u32 = 8;
/// So many waits for another's claim without a leader, and nothing but voices ends the own canvass.
pub const WAITS: u32 = 16;
/// Pipes that one address asks for.
pub const PIPES_EACH: usize = 8;
/// Events of one kind that others can cause, in a second; further ones are not told.
pub const TOLD: u32 = 32;
/// The random pause before a Hi, for each member that is there.
pub const HI_TURN: Duration = Duration::from_millis(1);
/// How long each one that comes before it may claim first, when the join wait is over.
pub const JOIN_TURN: Duration = Duration::from_millis(1);
/// So often the end of a join wait is put off because this process was late.
pub const LATE: u32 = 8;
/// Between two Welcomes of a leader to everybody. The other members together leave as much between two Hi's: each of them
/// this for each member that is there.
pub const ALOUD: Duration = Duration::from_millis(10);
/// So many answers of members that know of no leader are enough.
pub const HI_ENOUGH: u32 = 4;
/// How far above the own epoch another's is believed.
pub const EPOCH_LEAP: u64 = 1 << 32;
/// Intervals between two claims, at most, while others say that the leader lives.
pub const VETO: u32 = 32;
/// Times a claim is made again at once after `Higher`.
pub const HIGHER: u32 = 3;
/// Without a sign for so long a follower is silent, and a member does not count as heard lately.
pub const SILENT: Duration = Duration::from_secs(3);
/// For so long an address that was heard here counts more than the one that the leader hears: a member may have two.
pub const OWN_EARS: Duration = Duration::from_secs(60);
/// A leader that answers questions, and so many dials for a session in a row with nothing, is dialled less often.
pub const VAIN: u32 = 4;
/// Such a dial has so long.
pub const VAIN_DIAL: Duration = Duration::from_secs(8);
/// A session that was silent for so long is closed.
pub const SESSION_DEAD: Duration = Duration::from_secs(10);
/// The step in which round trips are compared, in microseconds.
pub const RTT_STEP_US: u64 = 1000;
/// A longer round trip counts with one part in so many of what it is longer.
pub const RTT_RISE: u64 = 16;
/// Between two pings.
pub const PING: Duration = Duration::from_secs(1);
/// Changes of the member list that come within so long are sent together.
pub const LIST: Duration = Duration::from_millis(50);
/// Changes of the list that nobody waits for take so long for each follower.
pub const LIST_MOVED: Duration = Duration::from_secs(2);
/// Between two tries of the direct way.
pub const PROBE: Duration = Duration::from_secs(2);
/// A leader that beats and serves nothing is dead after so long.
pub const BLACK_HOLE: Duration = Duration::from_secs(2);
/// Between two dials of another leader, and the longest exchange at a decider.
pub const MEET: Duration = Duration::from_secs(1);
/// Another leader that is heard of for so long does not come to meet.
pub const TWO_LEAD: Duration = Duration::from_secs(10);
/// Users are told so again after this.
pub const TWO_LEAD_AGAIN: Duration = Duration::from_secs(600);
/// The longest pause between two Hellos.
pub const HELLO: Duration = Duration::from_secs(2);
/// The least silence after which a leader that is heard by TCP only is dead.
pub const TCP_ONLY: Duration = Duration::from_secs(1);
/// After losing its last link a follower leads itself.
pub const LINK_LOST: Duration = Duration::from_secs(3);
/// Twice as long when that happened within [`LINKS_CALM`] before, and so on, up to this.
pub const LINK_LOST_MAX: Duration = Duration::from_secs(30);
/// A link that was not lost for so long is a good one again.
pub const LINKS_CALM: Duration = Duration::from_secs(60);
/// How many new ids an agent takes within [`NEW_ID`], whatever somebody says.
pub const NEW_IDS: usize = 3;
/// See [`NEW_IDS`].
pub const NEW_ID: Duration = Duration::from_secs(180);
/// An accepted connection that asked for nothing that lasts is closed after so long.
pub const IDLE: Duration = Duration::from_secs(10);
/// Between two looks at the store and at what is remembered.
pub const HOUSE: Duration = Duration::from_secs(1);
/// A disk on which a write failed works again when none has failed for so long.
pub const DISK_CALM: Duration = Duration::from_secs(3);
/// A leader that cannot write, and that nobody took over from, tries to hand over again after so long.
pub const HAND_OVER_AGAIN: Duration = Duration::from_secs(10);
/// A member's last sign is written down at most so often.
pub const REMEMBER: Duration = Duration::from_secs(3600);
/// A stopping agent has stopped after so long, whatever happens.
pub const STOP: Duration = Duration::from_millis(1800);
