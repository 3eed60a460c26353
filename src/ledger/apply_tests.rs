use super::super::for_tests::{A, NODE, at};
use super::*;
use crate::data::RequestId;
use crate::time::Wall;

fn sibling(birth: u64, value: Option<&'static str>) -> Sibling<Slice<'static>> {
    let value = value.map(|value| Slice(value.as_bytes()));
    Sibling { birth: at(A, birth), request: RequestId(1), at: Wall(1), node: NODE, value }
}

#[test]
fn a_write_replaces_what_it_names_and_what_looks_the_same() {
    let births = |numbers: &[u64]| Replaces::Births(numbers.iter().map(|number| at(A, *number)).collect());
    type Case = (&'static [Option<&'static str>], Replaces, &'static [u64], &'static str);
    const FOUR: &[Option<&str>] = &[Some("a"), Some("b"), Some("a"), None];
    let cases: [Case; 9] = [
        (&[], Replaces::First, &[], "there is nothing to replace"),
        (&[Some("a")], Replaces::First, &[1], "the value"),
        (&[None], Replaces::First, &[1], "a deletion"),
        (&[Some("a"), Some("b")], Replaces::First, &[1], "a conflict stays"),
        (FOUR, Replaces::First, &[1, 3], "a conflict with the same value goes too"),
        (&[None, Some("b"), None], Replaces::First, &[1, 3], "two deletions are one"),
        (FOUR, births(&[2]), &[2], "a resolution replaces what it names"),
        (FOUR, births(&[3]), &[1, 3], "and what looks the same"),
        (FOUR, births(&[4, 2, 9]), &[2, 4], "and passes over what is gone already"),
    ];
    for (values, replaces, gone, why) in cases {
        let siblings: Vec<_> = (1..).zip(values).map(|(birth, value)| sibling(birth, *value)).collect();
        let found: Vec<u64> =
            (1..).zip(replaced(&siblings, &replaces)).filter(|(_, gone)| *gone).map(|(n, _)| n).collect();
        assert_eq!(found, gone, "{why}");
        let new = Sibling { birth: at(A, 100), ..sibling(1, Some("new")) };
        let after: Vec<u64> = after_write(new, siblings, &replaces).iter().map(|s| s.birth.number).collect();
        let stay = (1..=values.len() as u64).filter(|birth| !gone.contains(birth));
        assert_eq!(after, std::iter::once(100).chain(stay).collect::<Vec<_>>(), "the new one comes first: {why}");
    }
}

#[test]
fn what_replaces_nothing_comes_last() {
    for values in [&[][..], &[None], &[Some("a"), None, Some("b")]] {
        let siblings: Vec<_> = (1..).zip(values).map(|(birth, value)| sibling(birth, *value)).collect();
        assert!(!replaced(&siblings, &Replaces::Nothing).contains(&true));
        let new = Sibling { birth: at(A, 100), ..sibling(1, Some("a")) };
        let after: Vec<u64> = after_write(new, siblings, &Replaces::Nothing).iter().map(|s| s.birth.number).collect();
        assert_eq!(after, (1..=values.len() as u64).chain([100]).collect::<Vec<_>>(), "also beside its own value");
    }
}

#[test]
fn a_joined_key_takes_what_is_here_by_its_birth() {
    let present = || Some(KeyEntry { key: "k", siblings: vec![sibling(1, Some("a")), sibling(2, None)] });
    let new = Sibling { birth: at(A, 3), request: RequestId(1), at: Wall(1), node: NODE, value: None };
    let joined = |siblings| JoinedKey { key: "k".to_owned(), siblings };
    let mixed = joined(vec![Carried::New(new), Carried::Held(at(A, 2)), Carried::Held(at(A, 1))]);
    let made = assembled(&mixed, present()).expect("both are there");
    assert_eq!(made.siblings, vec![sibling(3, None), sibling(2, None), sibling(1, Some("a"))]);
    assert_eq!(assembled(&joined(Vec::new()), present()).map(|made| made.siblings.len()), Some(0));
    for missing in [at(A, 3), at(super::super::for_tests::B, 1)] {
        assert!(assembled(&joined(vec![Carried::Held(missing)]), present()).is_none());
        assert!(assembled(&joined(vec![Carried::Held(missing)]), None).is_none());
    }
}
