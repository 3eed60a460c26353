//! The tables: what is written in one transaction, and what is read back.

use super::rows::{REIGN_KEY, get, get_member, put, put_member, reign_key};
use super::{Identity, MEMBERS_MAX, REIGNS_MAX, REUNIONS_MAX, StoreError};
use crate::claim::Claim;
use crate::ident::NodeId;
use crate::protocol::{BroughtReport, Durable, Promise, Reign, Remembered, ReunionReport, Write};
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition, TableError,
    TableHandle, WriteTransaction,
};
use serde::de::DeserializeOwned;

/// The format of the rows and tables. It grows only when an older program could not read what a newer one wrote.
const SCHEMA: u64 = 1;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Facts of which there is one each.
const FACTS: TableDefinition<&str, &[u8]> = TableDefinition::new("facts");
/// At most [`MEMBERS_MAX`].
const MEMBERS: TableDefinition<&[u8; 16], &[u8]> = TableDefinition::new("members");
/// At most [`REIGNS_MAX`], in the order of their claims.
const REIGNS: TableDefinition<&[u8; REIGN_KEY], &[u8]> = TableDefinition::new("reigns");
/// At most [`REUNIONS_MAX`], numbered as they came.
const REUNIONS: TableDefinition<u64, &[u8]> = TableDefinition::new("reunions");
/// What members brought: at most [`REUNIONS_MAX`], numbered as it came. An earlier version had no such table.
const BROUGHT: TableDefinition<u64, &[u8]> = TableDefinition::new("brought");

const IDENTITY: &str = "identity";
const SHOWN: &str = "shown";
const PROMISED: &str = "promised";
/// The claim of the reign that was not seen to end: of all that the history has, the last that began.
const OPEN: &str = "open-reign";

/// Makes the tables of an empty database; looks at the format of any other.
pub(super) fn prepare(database: &Database) -> Result<(), StoreError> {
    let read = database.begin_read()?;
    let names: Vec<String> = read.list_tables()?.map(|table| table.name().to_owned()).collect();
    if !names.is_empty() {
        let schema = read.open_table(META)?.get("schema")?.map(|value| value.value());
        return match schema {
            Some(SCHEMA) => Ok(()),
            Some(later) if later > SCHEMA => Err(StoreError::Later(later)),
            _ => Err(StoreError::Damaged("its format is unknown".to_owned())),
        };
    }
    drop(read);
    let write = database.begin_write()?;
    write.open_table(META)?.insert("schema", SCHEMA)?;
    write.open_table(FACTS)?;
    write.open_table(MEMBERS)?;
    write.open_table(REIGNS)?;
    write.open_table(REUNIONS)?;
    write.commit()?;
    Ok(())
}

/// Reads every row.
pub(super) fn read_all(database: &Database) -> Result<(), StoreError> {
    let read = database.begin_read()?;
    identity(&read)?;
    durable(&read)?;
    reigns(&read, usize::MAX)?;
    reunions(&read, usize::MAX)?;
    brought(&read, usize::MAX)?;
    Ok(())
}

pub(super) fn identity(read: &ReadTransaction) -> Result<Option<Identity>, StoreError> {
    fact(&read.open_table(FACTS)?, IDENTITY)
}

pub(super) fn durable(read: &ReadTransaction) -> Result<Durable, StoreError> {
    let facts = read.open_table(FACTS)?;
    let mut members = Vec::new();
    for row in read.open_table(MEMBERS)?.iter()? {
        members.push(get_member(row?.1.value())?);
    }
    Ok(Durable { shown: fact(&facts, SHOWN)?, promised: fact(&facts, PROMISED)?, members })
}

pub(super) fn reigns(read: &ReadTransaction, limit: usize) -> Result<Vec<Reign>, StoreError> {
    read.open_table(REIGNS)?.iter()?.rev().take(limit).map(|row| get(row?.1.value())).collect()
}

pub(super) fn reunions(read: &ReadTransaction, limit: usize) -> Result<Vec<ReunionReport>, StoreError> {
    read.open_table(REUNIONS)?.iter()?.rev().take(limit).map(|row| get(row?.1.value())).collect()
}

pub(super) fn brought(read: &ReadTransaction, limit: usize) -> Result<Vec<BroughtReport>, StoreError> {
    match read.open_table(BROUGHT) {
        Ok(table) => table.iter()?.rev().take(limit).map(|row| get(row?.1.value())).collect(),
        Err(TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn set_identity(write: &WriteTransaction, identity: &Identity) -> Result<(), StoreError> {
    write.open_table(FACTS)?.insert(IDENTITY, put(identity).as_slice())?;
    Ok(())
}

/// Carries out one write within a transaction.
pub(super) fn apply(transaction: &WriteTransaction, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Shown(claim) => shown(transaction, claim),
        Write::Promised(promise) => promised(transaction, promise),
        Write::Reign(reign) => keep_reign(transaction, reign),
        Write::Reunion(reunion) => keep_row(transaction, REUNIONS, &put(reunion)),
        Write::Brought(brought) => keep_row(transaction, BROUGHT, &put(brought)),
        Write::Member(member) => remember(transaction, member),
        Write::Forget(id) => {
            transaction.open_table(MEMBERS)?.remove(id.0.as_bytes())?;
            Ok(())
        }
        Write::Identity(id) => renew_identity(transaction, *id),
    }
}

/// The epoch that is shown never falls (§3, P3).
fn shown(transaction: &WriteTransaction, claim: &Claim) -> Result<(), StoreError> {
    let mut facts = transaction.open_table(FACTS)?;
    let before: Option<Claim> = fact(&facts, SHOWN)?;
    if before.is_none_or(|before| before.epoch <= claim.epoch) {
        facts.insert(SHOWN, put(claim).as_slice())?;
    }
    Ok(())
}

/// The epoch that is promised never falls. Within one epoch the later promise counts: an own claim that was withdrawn
/// may be followed by backing another (§7.3).
fn promised(transaction: &WriteTransaction, promise: &Promise) -> Result<(), StoreError> {
    let mut facts = transaction.open_table(FACTS)?;
    let before: Option<Promise> = fact(&facts, PROMISED)?;
    if before.is_none_or(|before| before.claim.epoch <= promise.claim.epoch) {
        facts.insert(PROMISED, put(promise).as_slice())?;
    }
    Ok(())
}

fn renew_identity(transaction: &WriteTransaction, id: NodeId) -> Result<(), StoreError> {
    let before: Option<Identity> = fact(&transaction.open_table(FACTS)?, IDENTITY)?;
    let machine = before.map(|identity| identity.machine).unwrap_or_default();
    set_identity(transaction, &Identity { id, machine })
}

/// A reign that is written again, after a restart or when it was resumed, keeps its first beginning. One that this agent
/// did not see end, because it was not running, ends when the next begins.
fn keep_reign(transaction: &WriteTransaction, reign: &Reign) -> Result<(), StoreError> {
    let mut facts = transaction.open_table(FACTS)?;
    let mut reigns = transaction.open_table(REIGNS)?;
    let mut row = reign.clone();
    if let Some(first) = row_of(&reigns, &reign.claim)? {
        row.began = first.began;
    }
    let open: Option<Claim> = fact(&facts, OPEN)?;
    let left = match open.filter(|open| *open != reign.claim && reign.ended.is_none()) {
        Some(open) => row_of(&reigns, &open)?,
        None => None,
    };
    if let Some(mut left) = left.filter(|left| left.ended.is_none()) {
        // A clock that was set back must not end it before it began.
        left.ended = Some(row.began.max(left.began));
        reigns.insert(&reign_key(&left.claim), put(&left).as_slice())?;
    }
    if reign.ended.is_none() {
        facts.insert(OPEN, put(&reign.claim).as_slice())?;
    }
    reigns.insert(&reign_key(&row.claim), put(&row).as_slice())?;
    while reigns.len()? > REIGNS_MAX as u64 {
        reigns.pop_first()?;
    }
    Ok(())
}

fn row_of(
    reigns: &impl ReadableTable<&'static [u8; REIGN_KEY], &'static [u8]>,
    claim: &Claim,
) -> Result<Option<Reign>, StoreError> {
    reigns.get(&reign_key(claim))?.map(|row| get(row.value())).transpose()
}

fn keep_row(transaction: &WriteTransaction, table: TableDefinition<u64, &[u8]>, row: &[u8]) -> Result<(), StoreError> {
    let mut rows = transaction.open_table(table)?;
    let next = rows.last()?.map_or(0, |last| last.0.value().saturating_add(1));
    rows.insert(next, row)?;
    while rows.len()? > REUNIONS_MAX as u64 {
        rows.pop_first()?;
    }
    Ok(())
}

fn remember(transaction: &WriteTransaction, member: &Remembered) -> Result<(), StoreError> {
    let mut members = transaction.open_table(MEMBERS)?;
    members.insert(member.id.0.as_bytes(), put_member(member).as_slice())?;
    while members.len()? > MEMBERS_MAX as u64 {
        let mut oldest: Option<Remembered> = None;
        for row in members.iter()? {
            let member = get_member(row?.1.value())?;
            if oldest.as_ref().is_none_or(|oldest| (member.heard, member.id) < (oldest.heard, oldest.id)) {
                oldest = Some(member);
            }
        }
        let oldest = oldest.expect("there are members beyond the limit");
        members.remove(oldest.id.0.as_bytes())?;
    }
    Ok(())
}

fn fact<T: DeserializeOwned>(
    facts: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<Option<T>, StoreError> {
    facts.get(name)?.map(|value| get(value.value())).transpose()
}
