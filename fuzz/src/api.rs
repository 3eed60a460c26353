//! The local API: a client's bytes on one end of a socket, the real router behind the other.

use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tanist::agent::History;
use tanist::agent::api;
use tanist::agent::rights::Rights;
use tanist::agent::shared::{Command, Facts, Pulse, Shared, Snapshot};
use tanist::protocol::{Node, Status};
use tanist::store::Store;
use tanist::time::Now;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// An answer may not be longer than this, in bytes, for a request that fits into the fuzzer's input: one for each of
/// the requests on the connection, and each of them small.
const ANSWER_MAX: usize = 4 << 20;

/// A request may wait for a leader, for an hour: after so long the agent stops, and everything has to end.
const PATIENCE: Duration = Duration::from_millis(50);

/// The past, which is read by a thread of its own: one for all runs.
fn history() -> Arc<History> {
    static HISTORY: OnceLock<Arc<History>> = OnceLock::new();
    let make = || {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("a store").store;
        Arc::new(History::of(store).expect("a thread"))
    };
    HISTORY.get_or_init(make).clone()
}

/// What a client sends on one connection, all of it.
pub fn local_api(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(client(data));
}

async fn client(data: &[u8]) {
    // The first byte says how the agent stands.
    let (role, data) = data.split_first().map_or((0, data), |(role, rest)| (*role, rest));
    let node = super::play::in_role(role);
    let (status, watched) = watch::channel(Arc::new(node.status()));
    let (events, _) = broadcast::channel(8);
    let (commands, asked) = mpsc::channel(4);
    let facts = Facts {
        cluster: "office".into(),
        version: "0.1.0".into(),
        quorum: 1,
        port: 8264,
        socket: "/run/tanist/tanist.sock".into(),
        state_dir: "/var/lib/tanist".into(),
        keyed: false,
    };
    let shared = Shared {
        status: watched,
        pulse: Pulse::new(Duration::MAX),
        events,
        commands,
        store: history(),
        rights: Rights::everybody(),
        reloads: mpsc::channel(1).0,
        metrics: Arc::default(),
        facts: Arc::new(facts),
    };
    let stop = CancellationToken::new();
    let (near, far) = UnixStream::pair().expect("a socket");
    let mut served = tokio::spawn(api::client(far, api::router(shared, stop.clone()), stop.clone()));
    tokio::spawn(answer(node, status, asked));
    let (mut reads, mut writes) = near.into_split();
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        // A connection that is reset has said what it had to say.
        let _ = reads.read_to_end(&mut heard).await;
        heard
    });
    let _ = writes.write_all(data).await;
    drop(writes);
    let in_time = tokio::time::timeout(PATIENCE, &mut served).await;
    stop.cancel();
    let served = match in_time {
        Ok(served) => served,
        Err(_) => served.await,
    };
    served.expect("no panic on a connection");
    let heard = heard.await.expect("no panic");
    assert!(heard.len() <= ANSWER_MAX, "{} bytes were answered", heard.len());
    assert!(heard.is_empty() || heard.starts_with(b"HTTP/1."), "no HTTP: {:?}", &heard[..heard.len().min(40)]);
}

/// The loop, as far as the API knows it.
async fn answer(node: Node, shows: watch::Sender<Arc<Status>>, mut asked: mpsc::Receiver<Command>) {
    let status: Status = node.status();
    while let Some(command) = asked.recv().await {
        match command {
            Command::Look { reply } => drop(reply.send(())),
            // Nobody takes this agent's files away.
            Command::StoreTrouble { .. } => {}
            Command::Snapshot { reply } => {
                let now = Now::default();
                let _ = reply.send(Snapshot { status: status.clone(), members: node.members(now), made: now.time });
            }
            // Who names nobody gets what it asked for, at once: the API waits until another reign is shown.
            Command::Handover { to: None, reply } if status.leader.is_some() => {
                let _ = reply.send(Ok(()));
                shows.send_replace(Arc::new(Status { shown: None, ..status.clone() }));
            }
            Command::Refresh { reply } => drop(reply.send(Ok(()))),
            Command::Forget { who, reply } => drop(reply.send(if who.len() > 4 { Err(who) } else { Ok(()) })),
            Command::Attach { grace, reply, .. } => {
                drop(reply.send(if grace.is_zero() { Err("no room".to_owned()) } else { Ok(()) }))
            }
            Command::Detached | Command::Set { .. } => {}
            Command::Handover { to, reply } => drop(reply.send(Err(to.unwrap_or_default()))),
        }
    }
}
