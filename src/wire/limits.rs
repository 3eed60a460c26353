//! How long the parts of a message may be: longer text is cut when it is sent and refused when it arrives.

use super::{ASKED_MAX, REASON_MAX, VERSION_MAX};
use crate::message::{
    Cast, Frame, Join, Joined, Known, Member, NAME_MAX, NotJoined, STORY_MAX, Says, Sender, Standing, Story, Told,
};

/// How many members, or forgotten members, one message may list (§11).
pub(super) const MEMBERS_MAX: usize = 2048;

/// Walks over a message and looks at everything that could be too long.
pub(super) struct Limits {
    cut: bool,
    over: Option<&'static str>,
}

impl Limits {
    /// Cuts what is too long; names the list that cannot be cut, if there is one.
    pub(super) fn cut(look: impl FnOnce(&mut Limits)) -> Option<&'static str> {
        let mut limits = Limits { cut: true, over: None };
        look(&mut limits);
        limits.over
    }

    /// Names the first thing that is too long.
    pub(super) fn check(look: impl FnOnce(&mut Limits)) -> Option<&'static str> {
        let mut limits = Limits { cut: false, over: None };
        look(&mut limits);
        limits.over
    }

    pub(super) fn sender(&mut self, sender: &mut Sender) {
        self.text(&mut sender.name, NAME_MAX, "the name is too long");
    }

    pub(super) fn cast(&mut self, cast: &mut Cast) {
        match cast {
            Cast::Hello(hello) => self.version(&mut hello.version),
            Cast::Hi(hi) => self.leader(&mut hi.leader),
            Cast::Goodbye(goodbye) => self.leader(&mut goodbye.leader),
            Cast::Answer(answer) => self.standing(&mut answer.standing),
            Cast::Welcome(_) | Cast::Heartbeat(_) | Cast::Notice(_) | Cast::Question(_) => {}
        }
    }

    pub(super) fn frame(&mut self, frame: &mut Frame) {
        match frame {
            Frame::Open(open) => self.sender(&mut open.from),
            Frame::Answer(answer) => self.standing(&mut answer.standing),
            Frame::Checked(checked) => self.standing(&mut checked.standing),
            Frame::Join(Join { version, .. }) => self.version(version),
            Frame::Joined(Joined { story, members, .. }) => {
                self.story(story);
                self.members(members);
            }
            Frame::NotJoined(NotJoined::NotLeader(standing)) => self.standing(standing),
            Frame::Members(members) => {
                self.members(&mut members.changed);
                self.list(members.gone.len());
            }
            Frame::Reigns(reigns) => self.story(&mut reigns.story),
            Frame::Yields(known) | Frame::Report(known) | Frame::Told(Told::Alive(known)) => self.known(known),
            Frame::Voice(voice) => match &mut voice.says {
                Says::LeaderAlive(known) => self.known(known),
                Says::Better(_) | Says::Taken(_) | Says::Higher(_) | Says::Backed => {}
            },
            Frame::Handover(handover) => {
                if let Some(to) = &mut handover.to {
                    self.text(to, ASKED_MAX, "the name that is asked for is too long");
                }
            }
            Frame::HandoverDone(done) => {
                if let Some(reason) = &mut done.refused {
                    self.reason(reason);
                }
            }
            Frame::ViaFailed(reason) => self.reason(reason),
            Frame::NotJoined(NotJoined::Cloned | NotJoined::Full) | Frame::Told(Told::OnIt | Told::NotI) => {}
            Frame::Question(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Beat(_) | Frame::Named(_) => {}
            Frame::Meet(meet) => self.list(meet.followers.len()),
            Frame::Canvass(_) | Frame::Leaves | Frame::Tell(_) | Frame::Abdicate(_) | Frame::Decided(_) => {}
            Frame::Check(_) | Frame::Via(_) | Frame::ViaReady => {}
        }
    }

    fn leader(&mut self, leader: &mut Option<Known>) {
        if let Some(known) = leader {
            self.known(known);
        }
    }

    fn standing(&mut self, standing: &mut Standing) {
        if let Standing::Follows(known) = standing {
            self.known(known);
        }
    }

    fn known(&mut self, known: &mut Known) {
        self.text(&mut known.name, NAME_MAX, "the leader's name is too long");
    }

    fn story(&mut self, story: &mut Story) {
        self.text(&mut story.name, NAME_MAX, "the leader's name is too long");
        self.text(&mut story.text, STORY_MAX, "the story is too long");
    }

    fn members(&mut self, members: &mut [Member]) {
        self.list(members.len());
        for member in members {
            self.text(&mut member.name, NAME_MAX, "a member's name is too long");
            self.version(&mut member.version);
        }
    }

    fn list(&mut self, length: usize) {
        if length > MEMBERS_MAX {
            self.over.get_or_insert("too many members");
        }
    }

    fn version(&mut self, version: &mut String) {
        self.text(version, VERSION_MAX, "the version is too long");
    }

    fn reason(&mut self, reason: &mut String) {
        self.text(reason, REASON_MAX, "the reason is too long");
    }

    fn text(&mut self, text: &mut String, max: usize, what: &'static str) {
        if text.len() > max {
            if self.cut {
                text.truncate(text.floor_char_boundary(max));
            } else {
                self.over.get_or_insert(what);
            }
        }
    }
}
