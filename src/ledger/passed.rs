//! Requests and answers as bytes, between the member that took a request and the leader that judges it.

use super::codec::{Unread, decode, encode};
use crate::data::{Answer, Context, Request};
use bytes::Bytes;

/// A request, for the leader.
pub fn write_request(request: &Request) -> Bytes {
    encode(request).into()
}

/// A request as it came. What it says is judged later.
///
/// # Errors
/// Says why it was not read.
pub fn read_request(bytes: &[u8]) -> Result<Request, Unread> {
    decode(bytes)
}

/// What became of a request, for the member that took it.
pub fn write_answer(answer: &Answer) -> Bytes {
    encode(answer).into()
}

/// What became of a request.
///
/// # Errors
/// Says why it was not read.
pub fn read_answer(bytes: &[u8]) -> Result<Answer, Unread> {
    decode(bytes)
}

/// What a store has seen, for another one.
pub fn write_context(context: &Context) -> Bytes {
    encode(context).into()
}

/// What another store has seen.
///
/// # Errors
/// Says why it was not read.
pub fn read_context(bytes: &[u8]) -> Result<Context, Unread> {
    if bytes.is_empty() { Ok(Context::new()) } else { decode(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Ask, Before, Condition, Keep, Refusal, ReignId, RequestId, Revision, Saved, Tagged};
    use crate::ident::NodeId;
    use crate::time::Wall;

    #[test]
    fn what_is_asked_and_answered_is_read_as_it_was_written() {
        let (key, value) = ("k".to_owned(), Bytes::from_static(b"v"));
        let tagged = Tagged { number: 5, tag: 7 };
        let resolve = |present, keep| Ask::Resolve { key: key.clone(), conflict: tagged, present, keep };
        let asks = [
            Ask::Add { topic: key.clone(), value: value.clone() },
            Ask::Put { key: key.clone(), value: value.clone(), condition: Condition::Is(tagged) },
            Ask::Put { key: key.clone(), value: value.clone(), condition: Condition::Absent },
            Ask::Delete { key: key.clone(), condition: Condition::None },
            resolve(Some(tagged), Keep::Present),
            resolve(None, Keep::Other),
            resolve(None, Keep::Value(Some(value))),
            resolve(None, Keep::Value(None)),
            Ask::Trim { topic: key.clone(), before: Before::Cursor(tagged) },
            Ask::Trim { topic: key.clone(), before: Before::Keep(9) },
            Ask::Trim { topic: key.clone(), before: Before::Older(Wall(3)) },
            Ask::Import { birth: tagged, saved: Saved::Record { topic: key.clone(), value: Bytes::new() } },
            Ask::Import { birth: tagged, saved: Saved::Sibling { key: key.clone(), value: Some(Bytes::new()) } },
            Ask::Import { birth: tagged, saved: Saved::Sibling { key, value: None } },
        ];
        for ask in asks {
            let node = NodeId(uuid::Uuid::from_u128(3));
            let request = Request { id: RequestId(1 << 100), at: Wall(8), node, ask };
            assert_eq!(read_request(&write_request(&request)), Ok(request));
        }
        let revision = Revision::new(ReignId(4), 6);
        let refusals = [
            Refusal::Reused,
            Refusal::Changed(Some(revision)),
            Refusal::Changed(None),
            Refusal::Missing,
            Refusal::Malformed("the key is empty"),
            Refusal::Forgotten,
            Refusal::Full,
            Refusal::Crowded,
        ];
        let answers = [
            Answer::Done(revision),
            Answer::Known(revision),
            Answer::Beside(revision),
            Answer::Trimmed { revision: Some(revision), dropped: 3, more: true },
        ];
        for answer in answers.into_iter().chain(refusals.map(Answer::Refused)) {
            assert_eq!(read_answer(&write_answer(&answer)), Ok(answer));
        }
        assert!(read_request(b"").is_err() && read_answer(&[1, 0xc1]).is_err());
    }
}
