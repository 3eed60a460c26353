//! Knowledge that comes over from another store: as values, and as the rows that they become.

use super::codec::Unread;
use super::draft::Draft;
use super::storage::{
    Storage, Table, by_number, by_reign, number_first, number_of, reign_first, reign_of, split_topic, topic_prefix,
};
use super::{Trouble, requests};
use crate::data::{Context, Merge, Revision, Share};

/// The tables that are shared, in the order in which they go: what was forgotten comes after the reigns of which it was.
pub(super) const SHARED: [Table; 6] =
    [Table::Requests, Table::Trims, Table::Begins, Table::Merges, Table::Seen, Table::Forgotten];

/// A row: its key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// The rows of a share, and their table.
pub(super) fn to_rows(share: &Share) -> (Table, Vec<Pair>) {
    let pair = |reign: u64, number: u64| (reign.to_be_bytes().to_vec(), number.to_be_bytes().to_vec());
    let one = |revision: &Revision| pair(revision.reign.0, revision.number);
    match share {
        Share::Rows(rows) => {
            let row = |(birth, row): &(Revision, crate::data::Row)| {
                (by_number(*birth).to_vec(), requests::to_bytes(row.id, row.hash, &row.key))
            };
            (Table::Requests, rows.iter().map(row).collect())
        }
        Share::Trims(trims) => {
            let row = |(topic, upto): &(String, Revision)| (trim_key(topic, *upto), upto.number.to_be_bytes().to_vec());
            (Table::Trims, trims.iter().map(row).collect())
        }
        Share::Begins(begins) => {
            let row = |(reign, position): &(crate::data::ReignId, Revision)| {
                (reign.0.to_be_bytes().to_vec(), by_reign(*position).to_vec())
            };
            (Table::Begins, begins.iter().map(row).collect())
        }
        Share::Merges(merges) => {
            let row = |(at, with): &(Revision, Revision)| (by_reign(*at).to_vec(), by_reign(*with).to_vec());
            (Table::Merges, merges.iter().map(row).collect())
        }
        Share::Forgotten(forgotten) => (Table::Forgotten, forgotten.iter().map(one).collect()),
        Share::Seen(seen) => (Table::Seen, seen.iter().map(one).collect()),
    }
}

/// The share that these rows of a table are.
pub(super) fn of_rows(table: Table, rows: &[Pair]) -> Result<Share, Unread> {
    let all = || {
        let one = |(key, value): &Pair| Some(Revision::new(reign_of(key)?, number_of(value)?));
        Some(match table {
            Table::Requests => {
                let row = |(key, value): &Pair| Some((number_first(key)?, requests::of_bytes(value).ok()?));
                Share::Rows(rows.iter().map(row).collect::<Option<_>>()?)
            }
            Table::Trims => Share::Trims(rows.iter().map(|(key, value)| trim_of(key, value)).collect::<Option<_>>()?),
            Table::Begins => {
                let row = |(key, value): &Pair| Some((reign_of(key)?, reign_first(value)?));
                Share::Begins(rows.iter().map(row).collect::<Option<_>>()?)
            }
            Table::Merges => {
                let row = |(key, value): &Pair| Some((reign_first(key)?, reign_first(value)?));
                Share::Merges(rows.iter().map(row).collect::<Option<_>>()?)
            }
            Table::Forgotten => Share::Forgotten(rows.iter().map(one).collect::<Option<_>>()?),
            Table::Seen => Share::Seen(rows.iter().map(one).collect::<Option<_>>()?),
            _ => return None,
        })
    };
    all().ok_or(Unread::Garbage("a row that is shared"))
}

/// (topic, reign): where it is noted up to which number of a reign a topic was trimmed.
pub(super) fn trim_key(topic: &str, upto: Revision) -> Vec<u8> {
    let mut key = topic_prefix(topic);
    key.extend_from_slice(&upto.reign.0.to_be_bytes());
    key
}

/// The topic, the reign and the number of a row of trims.
pub(super) fn trim_of(key: &[u8], value: &[u8]) -> Option<(String, Revision)> {
    let (topic, reign) = split_topic(key)?;
    Some((topic.to_owned(), Revision::new(reign_of(reign)?, number_of(value)?)))
}

impl<R: Storage> Draft<'_, R> {
    /// Takes over knowledge of a store that is joined.
    pub(super) fn take_share(&mut self, share: &Share) -> Result<(), Trouble<R::Error>> {
        match share {
            Share::Rows(rows) => {
                for (birth, row) in rows {
                    self.take_request(*birth, row)?;
                }
            }
            Share::Trims(trims) => {
                let mut rest = &trims[..];
                while let Some((topic, _)) = rest.first() {
                    let (own, others) = rest.split_at(rest.iter().take_while(|(other, _)| other == topic).count());
                    let context: Context = own.iter().map(|(_, upto)| *upto).collect();
                    self.trim_through(topic, &context)?;
                    rest = others;
                }
            }
            Share::Begins(begins) => {
                for (reign, position) in begins {
                    let key = reign.0.to_be_bytes();
                    if self.get(Table::Begins, &key, |_| Ok(()))?.is_none() {
                        self.put_counted(Table::Begins, &key, None, &by_reign(*position))?;
                    }
                }
            }
            Share::Merges(merges) => {
                for (at, with) in merges {
                    self.put_merge(*at, *with)?;
                }
            }
            Share::Seen(seen) => {
                for revision in seen {
                    self.see(*revision)?;
                }
            }
            Share::Forgotten(forgotten) => {
                for revision in forgotten {
                    self.forget_tombstone(*revision)?;
                }
            }
        }
        Ok(())
    }

    fn put_merge(&mut self, at: Revision, with: Revision) -> Result<(), Trouble<R::Error>> {
        let key = by_reign(at);
        if self.get(Table::Merges, &key, |_| Ok(()))?.is_none() {
            self.head.facts.merges += 1;
            self.put_counted(Table::Merges, &key, None, &by_reign(with))?;
        }
        Ok(())
    }

    /// The end of a joined whole.
    pub(super) fn merge(&mut self, revision: Revision, merge: &Merge) -> Result<(), Trouble<R::Error>> {
        let forgotten = self.head.forgotten.clone();
        self.forget_tombstones_of(&forgotten)?;
        self.forget_requests(merge.floor)?;
        self.head.facts.pruned |= merge.pruned;
        self.put_merge(revision, merge.with)
    }
}
