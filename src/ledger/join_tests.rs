use super::super::for_tests::{A, B, at};
use super::Pick::{Mine, Theirs};
use super::*;
use crate::data::ReignId;

fn tip(reign: ReignId, number: u64, request: u128) -> Tip {
    Tip { birth: at(reign, number), request: RequestId(request), seen: false, executed: false }
}

/// The leader's siblings, the member's, those that stay, and why.
type Case<'a> = (&'a [Tip], &'a [Tip], &'a [Pick], &'static str);

/// The other side has seen its birth.
fn seen(tip: Tip) -> Tip {
    Tip { seen: true, ..tip }
}

/// The other side has executed its request.
fn executed(tip: Tip) -> Tip {
    Tip { executed: true, ..tip }
}

#[test]
fn what_stays_of_a_key_when_groups_meet() {
    let (mine, theirs) = (tip(A, 5, 1), tip(B, 7, 2));
    let cases: [Case<'_>; 13] = [
        (&[], &[], &[], "nothing"),
        (&[mine], &[], &[Mine(0)], "the other side never heard of it"),
        (&[seen(mine)], &[], &[], "the other side has seen it and has it no more"),
        (&[executed(mine)], &[], &[], "it has seen its request, under another birth"),
        (&[], &[theirs], &[Theirs(0)], "it is new here"),
        (&[], &[seen(theirs)], &[], "it was replaced here"),
        (&[mine], &[theirs], &[Mine(0), Theirs(0)], "a conflict: neither has seen the other"),
        (&[seen(mine)], &[theirs], &[Theirs(0)], "theirs was written over mine"),
        (&[mine], &[executed(theirs)], &[Mine(0)], "mine was written over theirs, which was sent here too"),
        (&[seen(mine)], &[seen(mine)], &[Mine(0)], "both have it"),
        (&[executed(mine)], &[executed(tip(B, 7, 1))], &[Theirs(0)], "one request: the greater birth stays"),
        (&[executed(tip(A, 8, 1))], &[executed(tip(B, 7, 1))], &[Mine(0)], "on either side"),
        (&[executed(mine)], &[executed(theirs)], &[Mine(0), Theirs(0)], "sent on both sides in opposite order: births"),
    ];
    for (mine, theirs, expected, why) in cases {
        assert_eq!(join(mine, theirs), expected, "{why}");
    }
}

#[test]
fn the_leaders_first_stays_the_first_and_else_the_members_order_counts() {
    let [a, b, c, d] = [1, 2, 3, 4].map(|number| tip(A, number, u128::from(number)));
    let held = |tips: &[Tip]| tips.iter().copied().map(seen).collect::<Vec<_>>();
    let cases: [Case<'_>; 6] = [
        (&held(&[a, b]), &held(&[b, a]), &[Mine(0), Mine(1)], "both have both"),
        (&[a, b], &[c, d], &[Mine(0), Mine(1), Theirs(0), Theirs(1)], "conflicts come behind"),
        (&[seen(a), b], &[c, d], &[Theirs(0), Theirs(1), Mine(1)], "the first is gone"),
        (&[seen(a), seen(b)], &[c, seen(b)], &[Theirs(0), Mine(1)], "what both have stands where the member has it"),
        (&[], &[c, d], &[Theirs(0), Theirs(1)], "there is none"),
        (
            &[executed(a), b],
            &[c, executed(tip(B, 9, 1))],
            &[Theirs(1), Mine(1), Theirs(0)],
            "the first stays, as it was born later",
        ),
    ];
    for (mine, theirs, expected, why) in cases {
        assert_eq!(join(mine, theirs), expected, "{why}");
    }
}
