//! Who this agent is: the id in its store, if that was made on this machine (protocol §4).

use super::failure::Failure;
use crate::event::{Event, Kind, Level, Value};
use crate::ident::{BootId, Incarnation, NodeId};
use crate::store::{Identity, Store};
use crate::time::Wall;
use std::fs;
use std::path::Path;

/// How many interfaces are looked at for an address that stands for the machine.
const INTERFACES: usize = 64;

/// The agent, and what users must be told about its id.
pub(super) struct Found {
    pub(super) node: Incarnation,
    /// The store was copied from another machine: the id that it had there.
    pub(super) copied: Option<NodeId>,
}

/// Takes the id from the store, or makes one.
///
/// # Errors
/// When the store cannot be read or written, or the kernel has no randomness.
pub(super) fn find(store: &mut Store, dir: &Path) -> Result<Found, Failure> {
    let machine = machine();
    let boot = BootId(random().map(|bits| bits as u64)?);
    let failed = |e| Failure::store(dir, &e);
    let known = store.identity().map_err(failed)?;
    let copied = match known {
        // A machine without a name of its own cannot be told from another.
        Some(known) if known.machine == machine || machine.is_empty() || known.machine.is_empty() => {
            return Ok(Found { node: Incarnation { id: known.id, boot }, copied: None });
        }
        Some(known) => Some(known.id),
        None => None,
    };
    let id = NodeId::from_random(random()?);
    store.set_identity(&Identity { id, machine }).map_err(failed)?;
    Ok(Found { node: Incarnation { id, boot }, copied })
}

impl Found {
    /// What to tell users when the store came from another machine.
    pub(super) fn event(&self, at: Wall, epoch: u64) -> Option<Event> {
        let was = self.copied?;
        Some(Event {
            kind: Kind::CloneDetected,
            level: Level::Warn,
            at,
            epoch,
            cause: None,
            text: "the state directory was copied from another machine: this one takes a new id and keeps the data"
                .to_owned(),
            fields: vec![("id", Value::Text(self.node.id.to_string())), ("was", Value::Text(was.to_string()))],
        })
    }
}

/// 128 random bits from the kernel.
pub(super) fn random() -> Result<u128, Failure> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| Failure::other(format!("the kernel gives no random bytes: {e}")))?;
    Ok(u128::from_ne_bytes(bytes))
}

/// What tells this machine from others: its machine id, else the least hardware address; empty when it has neither.
fn machine() -> String {
    let id = fs::read_to_string("/etc/machine-id").map(|id| id.trim().to_owned()).unwrap_or_default();
    if id.len() >= 32 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return id;
    }
    let interfaces = fs::read_dir("/sys/class/net").into_iter().flatten().flatten().take(INTERFACES);
    interfaces
        .filter(|entry| entry.path().join("device").exists())
        .filter_map(|entry| fs::read_to_string(entry.path().join("address")).ok())
        .map(|address| address.trim().to_owned())
        .filter(|address| address.len() == 17 && address != "00:00:00:00:00:00")
        .min()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_with_its_machine_and_a_boot_with_its_process() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(dir.path()).expect("a store").store;
        let first = find(&mut store, dir.path()).expect("an id");
        let again = find(&mut store, dir.path()).expect("an id");
        assert_eq!((first.node.id, first.copied), (again.node.id, None));
        assert_ne!(first.node.boot, again.node.boot);
        assert!(again.event(Wall(0), 0).is_none());
    }

    #[test]
    fn a_copied_store_gets_a_new_id_and_says_so() {
        if machine().is_empty() {
            return;
        }
        let dir = tempfile::tempdir().expect("a directory");
        let mut store = Store::open(dir.path()).expect("a store").store;
        let old = NodeId::from_random(7);
        store.set_identity(&Identity { id: old, machine: "elsewhere".into() }).expect("written");
        let found = find(&mut store, dir.path()).expect("an id");
        assert_eq!(found.copied, Some(old));
        assert_ne!(found.node.id, old);
        assert_eq!(found.event(Wall(1), 3).map(|e| (e.kind, e.epoch)), Some((Kind::CloneDetected, 3)));
        assert_eq!(find(&mut store, dir.path()).expect("an id").copied, None, "it is this machine's now");
    }
}
