//! The rules that one agent keeps, with every other one played by hand.

mod attack;
mod awaiting;
mod data;
mod direct;
mod disk;
mod doubles;
mod hosted;
mod lane;
mod leader;
mod pings;
mod promises;
mod reunion;
mod rules;
mod start;
mod veto;

use super::*;
