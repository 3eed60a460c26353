//! Section 5: starting.

use crate::lan::Lan;
use crate::script::s;
use crate::transcript::story;

/// Three machines are switched on within a second. One leads and all name it.
#[test]
fn an_office_of_three_settles() {
    story("an_office_of_three_settles", 20, |seed| {
        let mut lan = Lan::office(seed, 3);
        lan.watch();
        lan.run(s(60));
        lan.expect_no_leader_change();
    });
}
