//! How long the parts of a message may be: longer text is cut when it is sent and refused when it arrives. Almost no message
//! has any, so that nothing is copied to find out.

use super::{ASKED_MAX, REASON_MAX, VERSION_MAX};
use crate::ledger::limits::KEY;
use crate::message::{
    BODY_MAX, Cast, Changes, Frame, Holds, Join, Joined, Known, Member, NAME_MAX, NotJoined, Outcomes, Piece, Requests,
    Reunited, STORY_MAX, Says, Sender, Standing, Story, TOGETHER_MAX, Told, Wanted,
};

/// How many members, or forgotten members, one message may list (§11).
pub(super) const MEMBERS_MAX: usize = 2048;

/// Looks at everything in a message that could be too long, and changes nothing.
#[derive(Default)]
pub(super) struct Check {
    over: Option<&'static str>,
}

/// Cuts what is too long in a message, where it can be cut.
#[derive(Default)]
pub(super) struct Cut {
    over: Option<&'static str>,
}

impl Check {
    /// Names the first thing that is too long.
    pub(super) fn over(self) -> Option<&'static str> {
        self.over
    }

    fn text(&mut self, text: &str, max: usize, what: &'static str) {
        if text.len() > max {
            self.over.get_or_insert(what);
        }
    }

    fn version(&mut self, version: &str) {
        self.text(version, VERSION_MAX, "the version is too long");
    }

    fn reason(&mut self, reason: &str) {
        self.text(reason, REASON_MAX, "the reason is too long");
    }
}

impl Cut {
    /// Names the list that cannot be cut, if there is one.
    pub(super) fn over(self) -> Option<&'static str> {
        self.over
    }

    fn text(&mut self, text: &mut String, max: usize, _: &'static str) {
        if text.len() > max {
            text.truncate(text.floor_char_boundary(max));
        }
    }

    fn version(&mut self, version: &mut String) {
        self.text(version, VERSION_MAX, "");
    }

    fn reason(&mut self, reason: &mut String) {
        self.text(reason, REASON_MAX, "");
    }
}

/// The same walk by reference and by mutable reference.
macro_rules! walks {
    ($walker:ident $(, $mutable:tt)?) => {
        impl $walker {
            pub(super) fn sender(&mut self, sender: & $($mutable)? Sender) {
                self.text(& $($mutable)? sender.name, NAME_MAX, "the name is too long");
            }

            pub(super) fn cast(&mut self, cast: & $($mutable)? Cast) {
                match cast {
                    Cast::Hello(hello) => self.version(& $($mutable)? hello.version),
                    Cast::Hi(hi) => self.leader(& $($mutable)? hi.leader),
                    Cast::Goodbye(goodbye) => self.leader(& $($mutable)? goodbye.leader),
                    Cast::Answer(answer) => self.standing(& $($mutable)? answer.standing),
                    Cast::Welcome(_) | Cast::Heartbeat(_) | Cast::Notice(_) | Cast::Question(_) => {}
                }
            }

            pub(super) fn frame(&mut self, frame: & $($mutable)? Frame) {
                match frame {
                    Frame::Open(open) => self.sender(& $($mutable)? open.from),
                    Frame::Answer(answer) => self.standing(& $($mutable)? answer.standing),
                    Frame::Checked(checked) => self.standing(& $($mutable)? checked.standing),
                    Frame::Join(Join { version, .. }) => self.version(version),
                    Frame::Joined(Joined { story, members, .. }) => {
                        self.story(story);
                        self.members(members);
                    }
                    Frame::NotJoined(NotJoined::NotLeader(standing)) => self.standing(standing),
                    Frame::Members(members) => {
                        self.members(& $($mutable)? members.changed);
                        self.list(members.gone.len());
                    }
                    Frame::Reigns(reigns) => self.story(& $($mutable)? reigns.story),
                    Frame::Yields(known) | Frame::Report(known) | Frame::Told(Told::Alive(known)) => self.known(known),
                    Frame::Voice(voice) => match & $($mutable)? voice.says {
                        Says::LeaderAlive(known) => self.known(known),
                        Says::Better(_) | Says::Taken(_) | Says::Higher(_) | Says::Backed => {}
                    },
                    Frame::Handover(handover) => {
                        if let Some(to) = & $($mutable)? handover.to {
                            self.text(to, ASKED_MAX, "the name that is asked for is too long");
                        }
                    }
                    Frame::Forget(forget) => {
                        self.text(& $($mutable)? forget.who, ASKED_MAX, "the name that is asked for is too long");
                    }
                    Frame::HandoverDone(done) => {
                        if let Some(reason) = & $($mutable)? done.refused {
                            self.reason(reason);
                        }
                    }
                    Frame::ViaFailed(reason) => self.reason(reason),
                    Frame::NotJoined(NotJoined::Cloned | NotJoined::Full) | Frame::Told(Told::OnIt | Told::NotI) => {}
                    Frame::Requests(Requests { requests, body }) => {
                        let sum = requests.iter().map(|(_, length)| u64::from(*length)).sum();
                        self.parts(requests.len(), sum, body.len());
                    }
                    Frame::Outcomes(Outcomes { outcomes, body, .. }) => {
                        let sum = outcomes.iter().map(|(_, _, length)| u64::from(*length)).sum();
                        self.parts(outcomes.len(), sum, body.len());
                    }
                    Frame::Holds(Holds { body, .. }) | Frame::Wanted(Wanted { body }) => self.body(body.len()),
                    Frame::Piece(Piece { body, .. }) | Frame::Changes(Changes { body, .. }) => self.body(body.len()),
                    Frame::Reunited(Reunited { brought, .. }) => {
                        for keys in [& $($mutable)? brought.conflicting, & $($mutable)? brought.refused] {
                            self.list(keys.len());
                            for key in keys {
                                self.text(key, KEY, "the key is too long");
                            }
                        }
                    }
                    Frame::Covered | Frame::Taken | Frame::Anew | Frame::Committed(_) | Frame::Digest(_) | Frame::Stored(_) => {}
                    Frame::Question(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Beat(_) | Frame::Named(_) => {}
                    Frame::Meet(meet) => self.list(meet.followers.len()),
                    Frame::Canvass(_) | Frame::Leaves | Frame::Tell(_) | Frame::Abdicate(_) | Frame::Decided(_) => {}
                    Frame::Check(_) | Frame::Look(_) | Frame::Via(_) | Frame::ViaReady => {}
                }
            }

            fn leader(&mut self, leader: & $($mutable)? Option<Known>) {
                if let Some(known) = leader {
                    self.known(known);
                }
            }

            fn standing(&mut self, standing: & $($mutable)? Standing) {
                if let Standing::Follows(known) = standing {
                    self.known(known);
                }
            }

            fn known(&mut self, known: & $($mutable)? Known) {
                self.text(& $($mutable)? known.name, NAME_MAX, "the leader's name is too long");
            }

            fn story(&mut self, story: & $($mutable)? Story) {
                self.text(& $($mutable)? story.name, NAME_MAX, "the leader's name is too long");
                self.text(& $($mutable)? story.text, STORY_MAX, "the story is too long");
            }

            fn members(&mut self, members: & $($mutable)? [Member]) {
                self.list(members.len());
                for member in members {
                    self.text(& $($mutable)? member.name, NAME_MAX, "a member's name is too long");
                    self.version(& $($mutable)? member.version);
                }
            }

            fn body(&mut self, length: usize) {
                if length > BODY_MAX {
                    self.over.get_or_insert("the body is too long");
                }
            }

            fn parts(&mut self, count: usize, sum: u64, length: usize) {
                if count > TOGETHER_MAX || sum != length as u64 {
                    self.over.get_or_insert("the body has other parts than it says");
                }
                self.body(length);
            }

            fn list(&mut self, length: usize) {
                if length > MEMBERS_MAX {
                    self.over.get_or_insert("too many members");
                }
            }
        }
    };
}

walks!(Check);
walks!(Cut, mut);
