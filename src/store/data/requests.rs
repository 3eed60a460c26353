//! Which rows of the request table have the id of a request, without a tree by id: that would be read all over.
//!
//! A fingerprint of the id leads to the numbers of the births: 16 bytes a row, and at most an eighth more. They lie in
//! many short sorted lists, so that a row is found by halving one, and put in by moving a few hundred others.

use crate::data::RequestId;
use xxhash_rust::xxh3::xxh3_64;

/// How many lists there are when there is any row. A million rows make lists of 250.
const LISTS: usize = 4096;

/// The numbers of births by the ids of their requests.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Each sorted, by the first bits of the fingerprint: together at most [`crate::ledger::limits::REQUESTS`] rows and
    /// those of one batch.
    lists: Vec<Vec<(u64, u64)>>,
}

impl Requests {
    /// Of these rows, of which there are about so many.
    pub(super) fn load(count: u64, rows: impl Iterator<Item = (RequestId, u64)>) -> Requests {
        let mut rows = rows.peekable();
        let mut requests = Requests::default();
        if rows.peek().is_some() {
            let each = usize::try_from(count).unwrap_or(0) / LISTS;
            requests.lists.resize_with(LISTS, || Vec::with_capacity(each + each / 8));
        }
        for (id, number) in rows {
            let print = print(id);
            requests.lists[which(print)].push((print, number));
        }
        for list in &mut requests.lists {
            list.sort_unstable();
        }
        requests
    }

    fn list(&mut self, print: u64) -> &mut Vec<(u64, u64)> {
        if self.lists.is_empty() {
            self.lists.resize_with(LISTS, Vec::new);
        }
        &mut self.lists[which(print)]
    }

    pub(super) fn insert(&mut self, id: RequestId, number: u64) {
        let row = (print(id), number);
        let list = self.list(row.0);
        if list.len() == list.capacity() {
            list.reserve_exact(list.len() / 8 + 4);
        }
        list.insert(list.partition_point(|other| *other < row), row);
    }

    pub(super) fn remove(&mut self, id: RequestId, number: u64) {
        let row = (print(id), number);
        let list = self.list(row.0);
        if let Ok(at) = list.binary_search(&row) {
            list.remove(at);
        }
    }

    /// The numbers of all births that may belong to this id, in order.
    pub(super) fn find(&self, id: RequestId) -> impl Iterator<Item = u64> + '_ {
        let print = print(id);
        let list = self.lists.get(which(print)).map_or(&[][..], Vec::as_slice);
        let from = list.partition_point(|other| other.0 < print);
        list[from..].iter().take_while(move |other| other.0 == print).map(|other| other.1)
    }
}

fn print(id: RequestId) -> u64 {
    xxh3_64(&id.0.to_be_bytes())
}

fn which(print: u64) -> usize {
    (print >> 52) as usize % LISTS
}

/// The number that a key begins with.
pub(super) fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(..8)?.try_into().ok()?))
}

/// The id that a row of requests begins with.
pub(super) fn id_of(row: &[u8]) -> Option<RequestId> {
    Some(RequestId(u128::from_be_bytes(row.get(..16)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_until_it_is_removed() {
        let mut requests = Requests::default();
        assert_eq!(requests.find(RequestId(1)).count(), 0);
        for n in 0..20_000_u64 {
            requests.insert(RequestId(u128::from(n % 10_000)), n);
        }
        let found = |requests: &Requests, id| requests.find(RequestId(id)).collect::<Vec<_>>();
        assert_eq!(found(&requests, 7), [7, 10_007]);
        requests.remove(RequestId(7), 7);
        requests.remove(RequestId(7), 8);
        assert_eq!((found(&requests, 7), found(&requests, 8)), (vec![10_007], vec![8, 10_008]));
        assert!(found(&requests, 10_000).is_empty());
        let room: usize = requests.lists.iter().map(|list| list.capacity() * 16).sum();
        assert!(room < 24 * 20_000 + LISTS * 64, "{room} bytes");
    }

    #[test]
    fn two_rows_of_one_number_are_two() {
        let mut requests = Requests::default();
        requests.insert(RequestId(1), 5);
        requests.insert(RequestId(1), 5);
        requests.remove(RequestId(1), 5);
        assert_eq!(requests.find(RequestId(1)).collect::<Vec<_>>(), [5]);
    }
}
