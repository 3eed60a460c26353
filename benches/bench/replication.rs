//! What is written: how fast it is durable on two machines, how many writes there are a second, and what faults, a slow
//! disk, a million records and a reunion of leaders do to that. etcd and Redis stand beside it on the same ground.

mod clients;
mod ground;
mod many;
mod reunion;
mod rivals;
mod slow;
mod speed;
mod tables;
mod trouble;

use super::rows::Found;
use super::scene::{self, Scene};
use super::{docs, machine};

/// A scene, and what plays it.
type Played = (&'static str, fn(&Scene) -> Result<(), String>);

const SCENES: [Played; 6] = [
    ("speed", speed::play),
    ("trouble", trouble::play),
    ("slow disk", slow::play),
    ("million", many::play),
    ("reunion", reunion::play),
    ("large reunion", reunion::play_large),
];

/// Plays one scene.
///
/// # Errors
/// Those of the scene.
pub(crate) fn inside(scene: &Scene) -> Result<(), String> {
    let (_, play) = SCENES.into_iter().find(|(name, _)| *name == scene.name).ok_or("no such scene")?;
    play(scene)
}

/// Plays all scenes and prints the tables.
///
/// # Errors
/// When a scene failed.
pub(crate) fn run() -> Result<(), String> {
    let (mut figures, mut failed) = (Vec::new(), Ok(()));
    for (name, _) in SCENES.into_iter().filter(|(name, _)| scene::wanted(name)) {
        // What the others show is worth having all the same.
        failed = failed.and(scene::started(name, &mut figures));
    }
    let tables = tables::all(&Found::new(figures));
    let text = format!("{}{tables}", machine::described("cargo bench --bench replication"));
    docs::part("replication", &text).and(failed)
}
