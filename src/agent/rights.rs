//! Who may change something: everybody, or the members of a group.

use super::clock;
use crate::time::Time;
use nix::unistd::{Gid, Group, Uid, User, geteuid, getgrouplist};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// For so long it is known whether a user is a member: whoever was added waits so long at most.
const KNOWN: Duration = Duration::from_secs(10);

/// Of so many users.
const USERS: usize = 1024;

/// The group whose members may change something. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rights {
    group: watch::Receiver<Option<String>>,
    /// Who was looked up for which group, when, and what came of it.
    known: Arc<Mutex<Known>>,
}

type Known = BTreeMap<(u32, String), (Time, bool)>;

impl Rights {
    /// Of a group that may be another later; everybody while there is none.
    pub fn new(group: watch::Receiver<Option<String>>) -> Self {
        Self { group, known: Arc::default() }
    }

    /// Everybody may.
    pub fn everybody() -> Self {
        Self::new(watch::Sender::new(None).subscribe())
    }

    /// Whether a user may; if not, the group that it would have to be in.
    pub(super) async fn may(&self, user: u32) -> Result<(), String> {
        let Some(group) = self.group.borrow().clone() else { return Ok(()) };
        if user == 0 || user == geteuid().as_raw() {
            return Ok(());
        }
        let now = clock::time();
        let key = (user, group.clone());
        let found = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        let is_member = match found {
            Some((at, is)) if now.since(at) < KNOWN => is,
            _ => {
                // Whoever keeps the users may be far away.
                let name = group.clone();
                let is = tokio::task::spawn_blocking(move || is_member(user, &name)).await.unwrap_or(false);
                let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= USERS {
                    known.clear();
                }
                known.insert(key, (now, is));
                is
            }
        };
        if is_member { Ok(()) } else { Err(group) }
    }
}

fn is_member(user: u32, group: &str) -> bool {
    let Ok(Some(group)) = Group::from_name(group) else { return false };
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(user)) else { return false };
    let Ok(name) = CString::new(user.name) else { return false };
    let groups: Vec<Gid> = getgrouplist(&name, user.gid).unwrap_or_default();
    user.gid == group.gid || groups.contains(&group.gid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn members_of_the_group_may_and_others_are_told_which_it_is() {
        let (set, group) = watch::channel(None);
        let rights = Rights::new(group);
        // A user that every Linux has, with a group of its own.
        let nobody = User::from_name("nobody").expect("users can be read").expect("it is there");
        let own = Group::from_gid(nobody.gid).expect("groups can be read").expect("it is there").name;
        assert_eq!(rights.may(nobody.uid.as_raw()).await, Ok(()), "everybody may");
        set.send_replace(Some("root".to_owned()));
        assert_eq!(rights.may(nobody.uid.as_raw()).await, Err("root".to_owned()));
        assert_eq!(rights.may(0).await, Ok(()));
        assert_eq!(rights.may(geteuid().as_raw()).await, Ok(()), "the agent's own user");
        set.send_replace(Some(own));
        assert_eq!(rights.may(nobody.uid.as_raw()).await, Ok(()), "another group is another question");
        set.send_replace(Some("no-such-group".to_owned()));
        assert_eq!(rights.may(nobody.uid.as_raw()).await, Err("no-such-group".to_owned()));
    }
}
