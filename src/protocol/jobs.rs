//! What the data's own thread does for the core, and what it says of it (protocol §10).

use crate::claim::Claim;
use crate::data::Revision;
use crate::ident::ConnId;
use crate::message::Brought;
use bytes::Bytes;

/// What the data's own thread can be asked to do. It is done when everything that it wrote is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// Nothing: it is done when everything before it is.
    Barrier,
    /// This agent orders changes from now on, in this reign. What is pending stays. [`Report::Led`] answers.
    Lead {
        /// The reign.
        claim: Claim,
        /// The numbers that are given are above this one.
        above: u64,
    },
    /// Judge these requests, and order the changes that come of them. [`Report::Ordered`] answers, as often as it takes.
    Order(Vec<Bytes>), // bound: DATA_REQUESTS
    /// Everything up to this number is acknowledged: readers see it.
    Commit {
        /// The number.
        through: u64,
    },
    /// This agent follows from now on. [`Report::Holds`] answers.
    Follow,
    /// Take in changes of the leader.
    Append {
        /// The batch, as the ledger of the leader wrote it.
        batch: Bytes,
        /// Everything up to this number is acknowledged.
        committed: u64,
    },
    /// Compare what a member has with what is here. [`Report::Compared`] answers.
    Compare {
        /// Its session.
        to: ConnId,
        /// The last change that it has taken in.
        position: Revision,
        /// It needs all values.
        all: bool,
        /// What it has seen.
        seen: Bytes,
        /// A copy may be begun for it.
        copy: bool,
    },
    /// Begin to offer what a leader lacks that has seen this.
    Offer {
        /// The session to it.
        to: ConnId,
        /// What it has seen.
        seen: Bytes,
    },
    /// The next piece of what was begun on this session, a copy or an offer. [`Report::Scanned`] answers.
    Scan {
        /// The session.
        to: ConnId,
    },
    /// Lay a piece of the leader's copy aside, and take the copy over with the last one. [`Report::Taken`] answers.
    Adopt {
        /// The piece.
        piece: Bytes,
        /// It is the first.
        first: bool,
    },
    /// Take in a piece of a member's offer, and join it with the last one. [`Report::Ordered`] tells of what comes of it, and
    /// [`Report::Taken`] answers then, or [`Report::Joined`].
    Join {
        /// The piece.
        piece: Bytes,
        /// It is the first.
        first: bool,
    },
    /// What the state is like that is acknowledged. [`Report::Digest`] answers.
    Digest,
    /// Compare the state at this point with the leader's. [`Report::Differs`] answers when it is another.
    Check {
        /// The number of the last change that is acknowledged there.
        number: u64,
        /// The digest of the leader's state.
        digest: u128,
        /// A copy that differs is set aside.
        replace: bool,
    },
    /// What was begun on this session is not wanted any more.
    Drop {
        /// The session.
        to: ConnId,
    },
}

impl Job {
    /// Whether something is written.
    pub fn writes(&self) -> bool {
        matches!(self, Job::Order(_) | Job::Append { .. } | Job::Adopt { .. } | Job::Join { .. })
    }

    /// What a host reports at once that keeps no data: an empty ledger, to which nothing is ever added.
    pub fn without_data(&self) -> Option<Report> {
        match self {
            Job::Lead { .. } => Some(Report::Led { ordered: 0, committed: 0 }),
            Job::Follow => Some(Report::Holds { position: Revision::ZERO, all: false, seen: Bytes::new() }),
            Job::Compare { .. } => Some(Report::Compared(Compared::Continues(Vec::new()))),
            _ => None,
        }
    }
}

/// What a job has to say before it is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// What the data is at the moment at which this agent begins to lead.
    Led {
        /// The number of the last change, acknowledged or not.
        ordered: u64,
        /// Everything up to here is known to be acknowledged.
        committed: u64,
    },
    /// Some of the requests of the job were judged, in their order, or something was joined.
    Ordered {
        /// The changes that came of them; none when none did.
        batch: Option<Stretch>,
        /// One for each request.
        answers: Vec<Judged>, // bound: DATA_REQUESTS
    },
    /// What is here, all of it durable.
    Holds {
        /// The last change that was taken in.
        position: Revision,
        /// All values are needed, because one that should be here was not.
        all: bool,
        /// What was seen, as the ledger writes it.
        seen: Bytes,
    },
    /// How what a member has goes with what is here.
    Compared(Compared),
    /// A piece of a copy or of an offer.
    Scanned {
        /// As the ledger wrote it.
        piece: Bytes,
        /// No other follows.
        last: bool,
    },
    /// What came cannot be taken in. Nothing is lost, and nothing else is the matter.
    Unfit {
        /// Why, in plain words.
        why: String,
    },
    /// The state that is acknowledged.
    Digest {
        /// The number of the last change.
        number: u64,
        /// Its digest.
        digest: u128,
    },
    /// The copy here differs from the leader's, or something of it is not what was written.
    Differs {
        /// Which, in plain words: "the copy" is what it is about.
        why: String,
    },
    /// A piece was taken in.
    Taken {
        /// It was the last, and the copy was taken over.
        complete: bool,
    },
    /// An offer was joined, and what it brought.
    Joined(Brought),
}

/// Changes with consecutive numbers, as one batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// The number of the last one.
    pub last: u64,
    /// The batch, as the ledger wrote it.
    pub batch: Bytes,
}

/// How what a member has goes with what is here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Compared {
    /// It continues with these, and with all that is ordered from now on.
    Continues(Vec<Stretch>), // bound: PENDING and TAIL bytes
    /// It needs a copy, which was begun ([`Job::Scan`]).
    Copied,
    /// It has what is missing here, and is to offer it to a store that has seen this.
    Lacks {
        /// What was seen here.
        seen: Bytes,
        /// It has all that is here besides.
        has_all: bool,
    },
    /// All that it has is here, and not all of it is acknowledged: compare again when it is.
    Early,
    /// All that it has is here, and it needs a copy: compare again when one may be begun.
    Behind,
}

/// What the ledger made of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// The number of the last change by which it was judged: its user is told when that is acknowledged.
    pub by: u64,
    /// What became of it. The core does not read it.
    pub body: Bytes,
}

/// How a user's request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The leader judged it, and what it was judged by is acknowledged.
    Judged {
        /// What the ledger made of it.
        body: Bytes,
        /// In how many places it is durable, at least.
        copies: u8,
        /// The epoch of the leader.
        epoch: u64,
    },
    /// Nobody took it in time, and why. Nothing happened, or it can be sent again with its id.
    Later(String),
    /// Too much waits already.
    Busy,
    /// The disk does not take it, and there is nobody else; why.
    NoSpace(String),
}
