use super::super::for_tests::{A, B, Member, NODE, add, at, delete, is, put, put_if, request};
use super::super::limits::{KEY, Limits, TOPIC, VALUE};
use super::super::{Appended, Facts, Unfit, lists, recount};
use super::*;
use crate::data::RequestId;
use crate::time::Wall;

fn member() -> Member {
    Member::new(Limits::default())
}

fn sibling(number: u64, value: Option<&'static str>) -> Sibling<&'static str> {
    Sibling { birth: at(A, number), request: RequestId(1), at: Wall(1), node: NODE, value }
}

#[test]
fn a_condition_is_about_the_first_sibling() {
    let value = || vec![sibling(1, Some("1")), sibling(2, Some("2"))];
    let deleted = || vec![sibling(1, None), sibling(2, Some("2"))];
    let changed = |number| Err(Refusal::Changed(Some(at(A, number))));
    let other = at(ReignId(A.0 + (1 << 32)), 1);
    let first = || Ok(Replaces::First);
    let cases = [
        (Demand::Value(Condition::None), Vec::new(), first(), "anything goes"),
        (Demand::Value(Condition::None), value(), first(), "anything goes"),
        (Demand::Value(Condition::Absent), Vec::new(), first(), "there is none"),
        (Demand::Value(Condition::Absent), deleted(), first(), "what is deleted is absent, whatever its conflicts"),
        (Demand::Value(Condition::Absent), value(), changed(1), "there is one"),
        (Demand::Value(is(at(A, 1))), value(), first(), "it is the one"),
        (Demand::Value(is(at(A, 2))), value(), changed(1), "a conflict is not the value"),
        (Demand::Value(is(other)), value(), changed(1), "the number alone is not the version"),
        (Demand::Value(is(at(A, 1))), deleted(), Err(Refusal::Changed(None)), "a deletion is no value"),
        (Demand::Value(is(at(A, 1))), Vec::new(), Err(Refusal::Changed(None)), "there is none"),
        (Demand::SomeValue(Condition::None), value(), first(), "it is there to be deleted"),
        (Demand::SomeValue(Condition::None), deleted(), Err(Refusal::Missing), "it is deleted already"),
        (Demand::SomeValue(Condition::None), Vec::new(), Err(Refusal::Missing), "it never was"),
        (Demand::SomeValue(is(at(A, 2))), value(), changed(1), "the condition comes first"),
    ];
    for (demand, siblings, expected, why) in cases {
        assert_eq!(look(demand, &siblings), expected, "{why}: {demand:?}");
    }
}

#[test]
fn a_conflict_is_settled_by_who_has_read_both_and_alone() {
    let value = || vec![sibling(1, Some("1")), sibling(2, Some("2")), sibling(3, None)];
    let deleted = || vec![sibling(1, None), sibling(2, Some("2"))];
    let (one, two, three) = (at(A, 1).tagged(), at(A, 2).tagged(), at(A, 3).tagged());
    let strange = at(B, 2).tagged();
    let both = |value: Option<&'static str>, conflict| {
        Ok((value.map(Bytes::from), Replaces::Births(vec![at(A, 1), at(A, conflict)])))
    };
    let (kept, other, new) = (Keep::Present, Keep::Other, Keep::Value(Some("3".into())));
    let (missing, changed) = (|| Err(Refusal::Missing), |present| Err(Refusal::Changed(present)));
    let cases = [
        (two, Some(one), &kept, value(), both(Some("1"), 2), "as it is"),
        (two, Some(one), &other, value(), both(Some("2"), 2), "as the other has it"),
        (three, Some(one), &other, value(), both(None, 3), "the other side had deleted it"),
        (two, Some(one), &new, value(), both(Some("3"), 2), "as its author says"),
        (two, Some(one), &Keep::Value(None), value(), both(None, 2), "its author deletes it"),
        (two, None, &kept, deleted(), both(None, 2), "it stays deleted"),
        (two, None, &other, deleted(), both(Some("2"), 2), "it comes back"),
        (two, Some(two), &kept, value(), changed(Some(at(A, 1))), "its author has read another value"),
        (two, None, &kept, value(), changed(Some(at(A, 1))), "its author took it for deleted"),
        (two, Some(one), &kept, deleted(), changed(None), "it was deleted meanwhile"),
        (one, Some(one), &kept, value(), missing(), "the value is no conflict"),
        (strange, Some(one), &kept, value(), missing(), "the number alone is no birth"),
        (two, Some(two), &kept, vec![sibling(4, Some("4"))], missing(), "it was settled already"),
        (two, Some(one), &kept, Vec::new(), missing(), "there is no such key"),
    ];
    for (conflict, read, keep, siblings, expected, why) in cases {
        assert_eq!(settle(conflict, read, keep.clone(), &siblings), expected, "{why}");
    }
}

#[test]
fn who_settles_a_conflict_loses_nothing_that_was_not_read() {
    let (mut member, mut others) = (member(), [B, ReignId(0xc << 32)].map(|reign| (reign, self::member())));
    member.order(A, vec![request(1, put("k", "a"))]);
    for (n, (reign, other)) in (2..).zip(&mut others) {
        other.order(*reign, vec![request(n, put("k", &n.to_string()))]);
        member.meet(A, other);
    }
    let c = others[1].0;
    let siblings = |member: &mut Member| {
        member.commit();
        let (_, entry) = lists::key(&member.store, "k").expect("memory does not fail").expect("it is there");
        let values = entry.siblings.into_iter().map(|sibling| sibling.value);
        values.map(|value| value.map(|value| String::from_utf8(value.into()).expect("text"))).collect::<Vec<_>>()
    };
    let some = |all: &[&str]| all.iter().map(|value| Some((*value).to_owned())).collect::<Vec<_>>();
    assert_eq!(siblings(&mut member), some(&["a", "2", "3"]));
    let resolve = |conflict: Revision, present: Revision, keep| Ask::Resolve {
        key: "k".to_owned(),
        conflict: conflict.tagged(),
        present: Some(present.tagged()),
        keep,
    };
    let Answer::Done(new) = member.ask(A, 4, put("k", "new")).answer else { panic!("a put is done") };
    let unread = resolve(at(B, 1), at(A, 1), Keep::Present);
    assert_eq!(member.ask(A, 5, unread).answer, Answer::Refused(Refusal::Changed(Some(new))), "that one is gone");
    assert_eq!(siblings(&mut member), some(&["new", "2", "3"]));
    let read = resolve(at(B, 1), new, Keep::Other);
    let Answer::Done(settled) = member.ask(A, 6, read.clone()).answer else { panic!("it is done") };
    assert_eq!(siblings(&mut member), some(&["2", "3"]), "the third was not asked of");
    assert_eq!(member.ask(A, 7, read.clone()).answer, Answer::Refused(Refusal::Missing), "it is no conflict any more");
    assert_eq!(member.ask(A, 6, read).answer, Answer::Known(settled));
    let anew = resolve(at(B, 1), settled, Keep::Other);
    assert_eq!(member.ask(A, 6, anew).answer, Answer::Known(settled), "sent again by an agent that has read it anew");
    let other = resolve(at(B, 1), settled, Keep::Present);
    assert_eq!(member.ask(A, 6, other).answer, Answer::Refused(Refusal::Reused));
    let deletes = resolve(at(c, 1), settled, Keep::Value(None));
    assert!(matches!(member.ask(A, 8, deletes).answer, Answer::Done(_)));
    assert_eq!(siblings(&mut member), [None], "a deletion is a tombstone like any");
}

#[test]
fn a_request_is_done_once_and_known_after() {
    let mut member = member();
    let done = |number| Judged { answer: Answer::Done(at(A, number)), by: at(A, number) };
    assert_eq!(member.ask(A, 1, put("k", "v")), done(1));
    assert_eq!(member.ask(A, 2, add("t", "v")), done(2));
    for committed in [false, true] {
        let says = |member: &mut Member, id, ask| member.ask(B, id, ask);
        let judged = |answer| Judged { answer, by: at(A, 2) };
        let known = |number| judged(Answer::Known(at(A, number)));
        let reused = judged(Answer::Refused(Refusal::Reused));
        assert_eq!(says(&mut member, 1, put("k", "v")), known(1), "committed: {committed}");
        assert_eq!(says(&mut member, 2, add("t", "v")), known(2));
        assert_eq!(says(&mut member, 1, put("k", "w")), reused);
        assert_eq!(says(&mut member, 1, delete("k")), reused);
        assert_eq!(says(&mut member, 2, add("t", "w")), reused);
        assert_eq!(says(&mut member, 2, add("u", "v")), reused);
        member.commit();
    }
    assert_eq!(member.ask(B, 2, put("k", "v")).answer, Answer::Done(at(B, 3)), "records have ids of their own");
}

#[test]
fn each_request_is_judged_by_those_before_it() {
    let mut member = member();
    let ordered = member.order(
        A,
        vec![
            request(1, put_if("k", "1", Condition::Absent)),
            request(2, put_if("k", "2", Condition::Absent)),
            request(3, put_if("k", "3", is(at(A, 1)))),
            request(1, put_if("k", "1", Condition::Absent)),
            request(4, delete("k")),
            request(5, delete("k")),
        ],
    );
    let by: Vec<u64> = ordered.answers.iter().map(|judged| judged.by.number).collect();
    let answers: Vec<Answer> = ordered.answers.into_iter().map(|judged| judged.answer).collect();
    let expected = [
        Answer::Done(at(A, 1)),
        Answer::Refused(Refusal::Changed(Some(at(A, 1)))),
        Answer::Done(at(A, 2)),
        Answer::Known(at(A, 1)),
        Answer::Done(at(A, 3)),
        Answer::Refused(Refusal::Missing),
    ];
    assert_eq!(answers, expected);
    assert_eq!(by, [1, 1, 2, 2, 3, 3], "an answer waits for the change that it was judged by");
    let batch = ordered.batch.expect("three changes");
    assert_eq!((batch.after, batch.last), (Revision::ZERO, at(A, 3)));
}

#[test]
fn what_has_no_effect_makes_no_batch_and_waits_for_what_it_saw() {
    let mut member = member();
    let refused = member.order(A, vec![request(1, delete("k"))]);
    assert_eq!((refused.batch, refused.answers[0].by), (None, Revision::ZERO));
    member.ask(A, 2, put("k", "v"));
    let refused = member.order(A, vec![request(3, put_if("k", "w", Condition::Absent))]);
    assert_eq!((refused.batch, refused.answers[0].by), (None, at(A, 1)), "pending, and not yet known to be kept");
}

#[test]
fn numbers_are_above_all_that_was_seen_or_told_of() {
    let mut member = member();
    let mut order = |reign, above, id| {
        let mut queue = VecDeque::from([request(id, put("k", "v"))]);
        let ordered = member.ledger.order(&member.store, reign, above, &mut queue).expect("memory does not fail");
        let batch = ordered.batch.expect("a put is always done");
        (batch.after, batch.last)
    };
    assert_eq!(order(A, 0, 1), (Revision::ZERO, at(A, 1)));
    assert_eq!(order(A, 0, 2), (at(A, 1), at(A, 2)));
    assert_eq!(order(A, 9, 3), (at(A, 2), at(A, 10)), "told of 9");
    assert_eq!(order(B, 5, 4), (at(A, 10), at(B, 11)), "a new reign goes on above");
}

#[test]
fn what_is_malformed_is_refused_by_name() {
    let mut member = member();
    let (long, topic) = ("k".repeat(KEY + 1), "t".repeat(TOPIC + 1));
    let big = Bytes::from(vec![0; VALUE + 1]);
    let resolve =
        |key: &str, keep| Ask::Resolve { key: key.to_owned(), conflict: at(A, 1).tagged(), present: None, keep };
    let asks = [
        put("", "v"),
        put(&long, "v"),
        delete(&long),
        Ask::Put { key: "k".to_owned(), value: big.clone(), condition: Condition::None },
        add("", "v"),
        add(&topic, "v"),
        add("a\0b", "v"),
        Ask::Add { topic: "t".to_owned(), value: big.clone() },
        resolve("k", Keep::Value(Some(big))),
        resolve("", Keep::Other),
        Ask::Trim { topic, before: Before::Keep(1) },
    ];
    for (id, ask) in (1..).zip(asks) {
        let answer = member.ask(A, id, ask.clone()).answer;
        assert!(matches!(answer, Answer::Refused(Refusal::Malformed(_))), "{answer:?}");
    }
}

#[test]
fn a_full_batch_leaves_the_rest_in_the_queue() {
    let mut member = member();
    let value = "v".repeat(VALUE);
    let mut queue: VecDeque<_> = (1..=3).map(|id| request(id, put("k", &value))).collect();
    let ordered = member.ledger.order(&member.store, A, 0, &mut queue).expect("memory does not fail");
    assert_eq!((ordered.answers.len(), queue.len()), (1, 2), "one value fills it");
    let mut queue: VecDeque<_> = (1..=CHANGES as u128 + 1).map(|id| request(10 + id, put("k", "v"))).collect();
    let ordered = member.ledger.order(&member.store, A, 0, &mut queue).expect("memory does not fail");
    assert_eq!((ordered.answers.len(), queue.len()), (CHANGES, 1));
}

#[test]
fn a_follower_takes_what_continues_and_nothing_else() {
    let (mut leader, mut follower) = (member(), member());
    let batches: Vec<Bytes> = (1..=3)
        .map(|id| leader.order(A, vec![request(id, put("k", "v")), request(10 + id, add("t", "v"))]))
        .map(|ordered| ordered.batch.expect("changes").bytes)
        .collect();
    let mut append = |at: usize| follower.ledger.append(&mut follower.store, &batches[at]);
    assert_eq!(append(1), Err(Trouble::Unfit(Unfit::NotNext)), "one is missing");
    assert_eq!((append(0), append(0)), (Ok(Appended::New), Ok(Appended::Known)));
    assert_eq!((append(1), append(2), append(1)), (Ok(Appended::New), Ok(Appended::New), Ok(Appended::Known)));
    assert_eq!(follower.ledger.position(), leader.ledger.position());
    let mut stranger = member();
    let other = stranger.order(B, vec![request(9, put("k", "v"))]).batch.expect("a change").bytes;
    assert_eq!(follower.ledger.append(&mut follower.store, &other), Err(Trouble::Unfit(Unfit::NotNext)));

    assert_eq!(follower.ledger.committed(), Revision::ZERO, "readers see nothing yet");
    assert_eq!(follower.ledger.commit(&mut follower.store, at(A, 5)), Ok(at(A, 4)), "half a batch is not committed");
    leader.commit();
    follower.commit();
    assert_eq!(leader.store, follower.store);
    let facts = Facts::read(&leader.store).expect("memory does not fail");
    assert_eq!((facts.keys, facts.records, facts.requests), (1, 3, 3));
    assert_eq!(recount(&leader.store), Ok(facts.sum));
}
