use super::super::for_tests::{A, B, Member, NODE, add, at, delete, put, request};
use super::super::limits::{Limits, VALUE};
use super::super::{Facts, lists, recount};
use super::*;
use crate::data::{Before, Condition, KeyEntry};
use crate::ident::NodeId;
use crate::time::Wall;
use bytes::Bytes;
use uuid::Uuid;

const FAR: NodeId = NodeId(Uuid::from_u128(99));

fn member() -> Member {
    Member::new(Limits::default())
}

fn bytes(value: &str) -> Bytes {
    Bytes::copy_from_slice(value.as_bytes())
}

/// Something that was born far away, or here.
fn import(id: u128, birth: Revision, saved: Saved) -> Request {
    Request { id: RequestId(id), at: Wall(id as u64), node: FAR, ask: Ask::Import { birth: birth.tagged(), saved } }
}

fn record(id: u128, birth: Revision, value: &str) -> Request {
    import(id, birth, Saved::Record { topic: "t".to_owned(), value: bytes(value) })
}

fn sibling(id: u128, birth: Revision, value: Option<&str>) -> Request {
    import(id, birth, Saved::Sibling { key: "k".to_owned(), value: value.map(bytes) })
}

fn answer(member: &mut Member, request: Request) -> Answer {
    member.order(B, vec![request]).answers[0].answer
}

fn key(member: &Member) -> KeyEntry {
    lists::key(&member.store, "k").expect("memory does not fail").expect("the key is there").1
}

fn values(member: &mut Member) -> Vec<Option<String>> {
    member.commit();
    let text = |value: Bytes| String::from_utf8(value.to_vec()).expect("text");
    key(member).siblings.into_iter().map(|sibling| sibling.value.map(text)).collect()
}

fn own(values: &[Option<&str>]) -> Vec<Option<String>> {
    values.iter().map(|value| value.map(str::to_owned)).collect()
}

/// Births of a reign that is not known here.
fn far(number: u64) -> Revision {
    at(crate::data::ReignId(0xfa << 32), number)
}

#[test]
fn what_is_new_comes_in_with_its_origin_and_a_birth_of_this_reign() {
    let mut member = member();
    assert_eq!(answer(&mut member, record(1, far(70), "r")), Answer::Done(at(B, 1)));
    assert_eq!(answer(&mut member, sibling(2, far(71), Some("v"))), Answer::Done(at(B, 2)));
    assert_eq!(answer(&mut member, sibling(3, far(72), None)), Answer::Beside(at(B, 3)));
    assert_eq!(values(&mut member), own(&[Some("v"), None]));
    let (_, record) = lists::record(&member.store, RequestId(1)).expect("memory does not fail").expect("it is there");
    assert_eq!((record.at, record.node, &record.births[..]), (Wall(1), FAR, &[at(B, 1)][..]));
    let first = key(&member).siblings[0].clone();
    assert_eq!((first.birth, first.request, first.at, first.node), (at(B, 2), RequestId(2), Wall(2), FAR));
    let facts = Facts::read(&member.store).expect("memory does not fail");
    assert_eq!((facts.records, facts.keys, facts.conflicts, facts.requests), (1, 1, 1, 2));
    assert_eq!(recount(&member.store), Ok(facts.sum));
}

#[test]
fn importing_twice_changes_nothing_whatever_happened_in_between() {
    let mut member = member();
    let all = || [record(1, far(1), "r"), sibling(2, far(2), Some("v")), sibling(3, far(3), Some("w"))];
    member.order(A, all().to_vec());
    let known = [Answer::Known(at(A, 1)), Answer::Known(at(A, 2)), Answer::Known(at(A, 3))];
    for deed in [None, Some(put("k", "x")), Some(delete("k"))] {
        if let Some(deed) = deed {
            member.ask(A, member.ledger.position().number.into(), deed);
        }
        let answers = member.order(B, all().to_vec());
        assert_eq!(
            (answers.batch, answers.answers.into_iter().map(|judged| judged.answer).collect()),
            (None, known.to_vec())
        );
        member.commit();
    }
}

#[test]
fn what_was_born_here_is_known_also_when_it_is_gone_and_forgotten() {
    // Nothing is left of the rows of requests, nor of tombstones.
    let mut member = Member::new(Limits { requests: 1, tombstones: 0, ..Limits::default() });
    member.ask(A, 1, put("k", "v"));
    member.ask(A, 2, add("t", "r"));
    member.ask(A, 3, delete("k"));
    member.ask(A, 4, Ask::Trim { topic: "t".to_owned(), before: Before::Keep(0) });
    member.ask(A, 5, put("other", "v"));
    member.commit();
    assert_eq!(answer(&mut member, sibling(1, at(A, 1), Some("v"))), Answer::Known(at(A, 1)));
    assert_eq!(answer(&mut member, record(2, at(A, 2), "r")), Answer::Known(at(A, 2)));
    assert_eq!(answer(&mut member, record(2, at(A, 99), "r")), Answer::Done(at(B, 6)), "that one was not seen here");
    let zero = record(9, Revision::ZERO, "made by hand");
    assert_eq!(answer(&mut member, zero), Answer::Done(at(B, 7)), "nothing is born before the first change");
}

#[test]
fn a_value_that_is_here_is_never_overwritten() {
    let mut member = member();
    member.ask(A, 1, put("k", "here"));
    assert_eq!(answer(&mut member, sibling(2, far(1), Some("there"))), Answer::Beside(at(B, 2)));
    assert_eq!(answer(&mut member, sibling(3, far(2), Some("here"))), Answer::Beside(at(B, 3)), "another request's");
    assert_eq!(values(&mut member), own(&[Some("here"), Some("there"), Some("here")]));
    member.ask(B, 4, delete("k"));
    assert_eq!(answer(&mut member, sibling(5, far(3), Some("late"))), Answer::Beside(at(B, 5)));
    assert_eq!(values(&mut member), own(&[None, Some("there"), Some("late")]), "what is deleted stays deleted");
}

#[test]
fn an_id_that_means_another_thing_is_refused() {
    let mut member = member();
    member.ask(A, 1, put("k", "v"));
    member.ask(A, 2, add("t", "r"));
    let reused = Answer::Refused(Refusal::Reused);
    assert_eq!(answer(&mut member, sibling(1, far(1), Some("w"))), reused);
    assert_eq!(answer(&mut member, sibling(1, far(1), None)), reused);
    assert_eq!(answer(&mut member, record(2, far(2), "s")), reused);
    let other = import(2, far(2), Saved::Record { topic: "u".to_owned(), value: bytes("r") });
    assert_eq!(answer(&mut member, other), reused);
    assert_eq!(member.ask(B, 1, put("k", "v")).answer, Answer::Known(at(A, 1)));
    assert_eq!(answer(&mut member, record(1, far(3), "r")), Answer::Done(at(B, 3)), "records have ids of their own");
    let import = sibling(5, far(4), Some("w"));
    assert_eq!(answer(&mut member, import.clone()), Answer::Beside(at(B, 4)));
    let written = Request { ask: Ask::Delete { key: "k".to_owned(), condition: Condition::None }, ..import };
    let known = Answer::Known(at(B, 4));
    assert_eq!(answer(&mut member, written), known, "an export does not say what was asked for: the id is known");
}

#[test]
fn a_key_has_so_many_values_and_so_many_bytes_of_them() {
    let mut member = member();
    for n in 1..=SIBLINGS as u64 {
        let expected = if n == 1 { Answer::Done(at(B, 1)) } else { Answer::Beside(at(B, n)) };
        assert_eq!(answer(&mut member, sibling(n.into(), far(n), Some("v"))), expected);
    }
    let crowded = Answer::Refused(Refusal::Crowded);
    assert_eq!(answer(&mut member, sibling(1000, far(1000), Some("v"))), crowded);
    assert_eq!(answer(&mut member, sibling(7, far(7), Some("v"))), Answer::Known(at(B, 7)), "it is here");
    assert_eq!(member.ask(B, 1001, put("k", "w")).answer, Answer::Done(at(B, 65)));
    assert_eq!(values(&mut member).len(), 1, "those of one value go together");

    let mut member = self::member();
    let large = "v".repeat(VALUE);
    let fit = 1 + (ENTRY / VALUE) as u64;
    for n in 1..=fit {
        let expected = if n == 1 { Answer::Done(at(B, 1)) } else { Answer::Beside(at(B, n)) };
        assert_eq!(answer(&mut member, sibling(n.into(), far(n), Some(&large))), expected);
        member.commit();
    }
    assert_eq!(answer(&mut member, sibling(1000, far(1000), Some("v"))), crowded);
    assert_eq!(answer(&mut member, sibling(1001, far(1001), None)), Answer::Beside(at(B, fit + 1)), "it has no bytes");
}

#[test]
fn each_import_is_judged_by_those_before_it() {
    let mut member = member();
    let asked = vec![
        record(1, far(1), "r"),
        record(1, far(1), "r"),
        sibling(2, far(2), None),
        sibling(3, far(3), Some("v")),
        sibling(2, far(2), None),
        request(4, put("k", "w")),
        sibling(5, far(5), Some("u")),
    ];
    let answers: Vec<Answer> = member.order(B, asked).answers.into_iter().map(|judged| judged.answer).collect();
    let expected = [
        Answer::Done(at(B, 1)),
        Answer::Known(at(B, 1)),
        Answer::Done(at(B, 2)),
        Answer::Beside(at(B, 3)),
        Answer::Known(at(B, 2)),
        Answer::Done(at(B, 4)),
        Answer::Beside(at(B, 5)),
    ];
    assert_eq!(answers, expected);
    assert_eq!(values(&mut member), own(&[Some("w"), Some("v"), Some("u")]));
}

#[test]
fn what_was_imported_on_two_sides_is_one_when_they_meet() {
    let (mut leader, mut other) = (member(), member());
    let all = || vec![record(1, far(1), "r"), sibling(2, far(2), Some("v")), sibling(3, far(3), Some("w"))];
    leader.order(A, all());
    other.order(B, all());
    leader.commit();
    other.commit();
    leader.meet(A, &mut other);
    assert_eq!(values(&mut leader), own(&[Some("v"), Some("w")]), "the same request is the same value");
    let facts = Facts::read(&leader.store).expect("memory does not fail");
    assert_eq!((facts.records, facts.keys, facts.conflicts), (1, 1, 1));
    assert_eq!(key(&leader).siblings[0].node, FAR);
    assert_ne!(FAR, NODE);
}

#[test]
fn what_is_malformed_is_refused_by_name() {
    let mut member = member();
    let big = Bytes::from(vec![0; VALUE + 1]);
    for saved in [
        Saved::Record { topic: String::new(), value: Bytes::new() },
        Saved::Record { topic: "a\0b".to_owned(), value: Bytes::new() },
        Saved::Record { topic: "t".to_owned(), value: big.clone() },
        Saved::Sibling { key: String::new(), value: None },
        Saved::Sibling { key: "k".to_owned(), value: Some(big) },
    ] {
        let answer = answer(&mut member, import(1, far(1), saved.clone()));
        assert!(matches!(answer, Answer::Refused(Refusal::Malformed(_))), "{saved:?}: {answer:?}");
    }
}
