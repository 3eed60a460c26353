//! The node: one step at a time.

use super::{Deadline, Input, MemberView, Output, Start, Status};
use crate::message::Sender;
use crate::time::Now;

/// The protocol of one agent, pure.
pub struct Node {}

impl Node {
    /// A node that has just started; it does nothing until its first [`Input::Links`].
    pub fn new(start: Start, now: Now) -> Self {
        let _ = (start, now);
        Node {}
    }

    /// Takes one input, then whatever is due, and gives back what is to be done, in order.
    pub fn step(&mut self, now: Now, input: Input) -> Vec<Output> {
        let _ = (now, input);
        Vec::new()
    }

    /// When to come back at the latest, and why.
    pub fn deadline(&self) -> Option<Deadline> {
        None
    }

    /// Who this agent says that it is; its id changes when another agent has it too.
    pub fn sender(&self) -> &Sender {
        unimplemented!()
    }

    /// A snapshot for users.
    pub fn status(&self) -> Status {
        unimplemented!()
    }

    /// Every member that this agent knows, itself included, in the order of succession.
    pub fn members(&self, now: Now) -> Vec<MemberView> {
        let _ = now;
        Vec::new()
    }
}
