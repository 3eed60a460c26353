//! The API over a real socket, before a loop that is played: a real ledger over memory, behind the agent's own channel.
//! Unit tests use it, and so do the tests of the client and of the commands (`tests/data/`).

use std::collections::VecDeque;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tanist::agent::data::{Asked, Data, Outcome, Snapshot};
use tanist::agent::rights::Rights;
use tanist::agent::shared::{Facts, Pulse, Shared};
use tanist::agent::{History, api};
use tanist::data::{Answer, Ask, Judged, ReignId, Request, RequestId, Revision};
use tanist::ident::{BootId, Incarnation, NodeId};
use tanist::ledger::limits::{Limits, PIECE};
use tanist::ledger::{Ledger, Memory, Scan, Values};
use tanist::protocol::{RoleName, Status};
use tanist::store::Store;
use tanist::time::Wall;
use tokio::net::UnixListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a request waits in these tests for what does not come.
pub(crate) const WAIT: Duration = Duration::from_millis(200);

/// A reign whose tag is this number.
pub(crate) fn reign(tag: u32) -> ReignId {
    ReignId(u64::from(tag) << 32)
}

/// What comes of it, in time.
pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("in time")
}

/// What the played loop does with requests.
#[derive(Clone, Debug)]
pub(crate) enum Mood {
    /// It orders and commits them.
    Serve,
    /// It orders and commits them, and the answer to so many of them is lost.
    Forget(usize),
    /// It says this to each.
    Say(Outcome),
    /// It orders and commits so many of them, and says this to the others.
    Then(usize, Outcome),
    /// It keeps them until its mood changes.
    Hold,
}

/// The loop.
pub(crate) struct Loop {
    pub(crate) ledger: Ledger,
    pub(crate) store: Memory,
    pub(crate) reign: ReignId,
    pub(crate) epoch: u64,
    pub(crate) mood: Mood,
    /// What is committed is not shown.
    pub(crate) lags: bool,
    queue: VecDeque<Asked>,
    shown: Arc<Mutex<Arc<Memory>>>,
    visible: watch::Sender<Revision>,
}

impl Loop {
    /// Does what there is to do.
    fn work(&mut self) {
        match self.mood.clone() {
            Mood::Hold => {}
            Mood::Say(outcome) => {
                for asked in self.queue.drain(..) {
                    let _ = asked.reply.send(outcome.clone());
                }
            }
            Mood::Serve => self.serve(),
            Mood::Then(0, outcome) => {
                self.mood = Mood::Say(outcome);
                self.work();
            }
            Mood::Then(times, outcome) => {
                self.mood = Mood::Then(times - self.queue.len().min(times), outcome);
                self.serve();
            }
            Mood::Forget(times) => {
                let lost: Vec<Asked> = self.queue.drain(..).collect();
                self.mood = if lost.len() < times { Mood::Forget(times - lost.len()) } else { Mood::Serve };
                for asked in lost {
                    // The answer goes nowhere.
                    let (reply, _) = oneshot::channel();
                    self.queue.push_back(Asked { request: asked.request, reply });
                }
                self.serve();
            }
        }
    }

    fn serve(&mut self) {
        let asked: Vec<Asked> = self.queue.drain(..).collect();
        let (mut requests, replies): (VecDeque<_>, Vec<_>) =
            asked.into_iter().map(|asked| (asked.request, asked.reply)).unzip();
        let mut answers: Vec<Judged> = Vec::new();
        while !requests.is_empty() {
            let ordered = self.ledger.order(&self.store, self.reign, 0, &mut requests).expect("memory does not fail");
            answers.extend(ordered.answers);
        }
        self.commit();
        for (judged, reply) in answers.into_iter().zip(replies) {
            let _ = reply.send(Outcome::Judged { answer: judged.answer, copies: 2, epoch: self.epoch });
        }
    }

    /// Somebody asks for these elsewhere.
    pub(crate) fn elsewhere(&mut self, asks: impl IntoIterator<Item = Ask>) -> Vec<Answer> {
        let highest = self.ledger.highest();
        let mut requests: VecDeque<_> = (highest..).zip(asks).map(|(n, ask)| request(self.reign, n, ask)).collect();
        let mut answers = Vec::new();
        while !requests.is_empty() {
            let ordered = self.ledger.order(&self.store, self.reign, 0, &mut requests).expect("memory does not fail");
            answers.extend(ordered.answers.iter().map(|judged| judged.answer));
        }
        self.commit();
        answers
    }

    /// Meets a group that did this while it was apart: what both wrote is in conflict then.
    pub(crate) fn meet(&mut self, reign: ReignId, asks: Vec<Ask>) {
        let mut store = Memory::new();
        let mut other = Ledger::open(&mut store, Limits::default()).expect("memory does not fail");
        let mut requests: VecDeque<_> = (0..).zip(asks).map(|(n, ask)| request(reign, n, ask)).collect();
        while !requests.is_empty() {
            other.order(&store, reign, 0, &mut requests).expect("memory does not fail");
        }
        let above = other.position().number;
        let mut scan = Scan::new(self.ledger.context().clone(), Values::All);
        self.ledger.begin_offer(&mut self.store).expect("memory does not fail");
        while let Some(piece) = other.offer(&mut store, &mut scan, PIECE).expect("memory does not fail") {
            let taken = self.ledger.take_offer(&mut self.store, self.reign, above, &piece).expect("it can be taken");
            if taken.complete {
                break;
            }
        }
        self.ledger.begin_join(&mut self.store, self.reign, above).expect("it is complete");
        while self.ledger.join_next(&mut self.store, PIECE).expect("memory does not fail").is_some() {}
        self.commit();
    }

    /// Commits what was ordered, and shows it.
    pub(crate) fn commit(&mut self) {
        let through = self.ledger.position();
        self.ledger.commit(&mut self.store, through).expect("memory does not fail");
        if !self.lags {
            self.show();
        }
    }

    /// How many look at what is visible.
    pub(crate) fn watchers(&self) -> usize {
        self.visible.receiver_count()
    }

    /// Shows what is committed.
    pub(crate) fn show(&mut self) {
        *self.shown.lock().expect("whole") = Arc::new(self.store.clone());
        self.visible.send_replace(self.ledger.committed());
    }
}

/// A request that another member took.
fn request(reign: ReignId, n: u64, ask: Ask) -> Request {
    let id = RequestId(u128::from(reign.0) << 64 | u128::from(n));
    Request { id, at: Wall(1_795_233_565_000_000 + n), node: NodeId(uuid::Uuid::from_u128(2)), ask }
}

/// What a test does to the loop.
type Deed = Box<dyn FnOnce(&mut Loop) + Send>;

/// A served API, and the loop behind it.
pub(crate) struct Stage {
    pub(crate) socket: PathBuf,
    pub(crate) stop: CancellationToken,
    pub(crate) data: Data,
    deeds: mpsc::Sender<Deed>,
    pub(crate) shared: Shared,
    served: JoinHandle<()>,
    /// What goes with it.
    _kept: (watch::Sender<Arc<Status>>, tempfile::TempDir),
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default(), WAIT)
    }

    pub(crate) fn with(limits: Limits, write_timeout: Duration) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let (status, shows) = watch::channel(Arc::new(standing()));
        let stop = CancellationToken::new();
        let (data, deeds) = play(limits, write_timeout);
        let shared = shared(shows, dir.path());
        let served = tokio::spawn(api::serve(listener, shared.clone(), Some(data.clone()), stop.clone()));
        Self { socket, stop, data, deeds, shared, served, _kept: (status, dir) }
    }

    /// Does something to the loop, behind what it was asked before.
    pub(crate) async fn act<T: Send + 'static>(&self, deed: impl FnOnce(&mut Loop) -> T + Send + 'static) -> T {
        let (reply, done) = oneshot::channel();
        let deed: Deed = Box::new(move |play| {
            let _ = reply.send(deed(play));
        });
        assert!(self.deeds.send(deed).await.is_ok(), "it plays");
        in_time(done).await.expect("it was done")
    }

    pub(crate) async fn mood(&self, mood: Mood) {
        self.act(move |play| play.mood = mood).await;
    }

    /// The agent ends.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        in_time(self.served).await.expect("the API ended");
    }

    /// The agent goes and comes back with the same data.
    pub(crate) async fn restart(&mut self, away: Duration) {
        self.stop.cancel();
        in_time(&mut self.served).await.expect("the API ended");
        std::fs::remove_file(&self.socket).expect("a socket");
        tokio::time::timeout(away, std::future::pending::<()>()).await.expect_err("nothing ends it");
        let listener = UnixListener::bind(&self.socket).expect("a socket");
        self.stop = CancellationToken::new();
        let (shared, data, stop) = (self.shared.clone(), self.data.clone(), self.stop.clone());
        self.served = tokio::spawn(api::serve(listener, shared, Some(data), stop));
    }
}

/// Plays a loop: the API's side of it, and the way to it.
fn play(limits: Limits, write_timeout: Duration) -> (Data, mpsc::Sender<Deed>) {
    let mut store = Memory::new();
    let ledger = Ledger::open(&mut store, limits).expect("memory does not fail");
    let shown = Arc::new(Mutex::new(Arc::new(store.clone())));
    let (visible, seen) = watch::channel(Revision::ZERO);
    let (asks, mut asked) = mpsc::channel::<Asked>(4);
    let (deeds, mut doing) = mpsc::channel::<Deed>(4);
    let look = Arc::clone(&shown);
    let source = Arc::new(move || Ok(Snapshot::Memory(look.lock().expect("whole").clone())));
    let mut play = Loop {
        ledger,
        store,
        reign: reign(0xa),
        epoch: 7,
        mood: Mood::Serve,
        lags: false,
        queue: VecDeque::new(),
        shown,
        visible,
    };
    tokio::spawn(async move {
        loop {
            // One that holds requests takes none, so that they fill the channel.
            tokio::select! {
                deed = doing.recv() => match deed {
                    Some(deed) => deed(&mut play),
                    None => return,
                },
                request = asked.recv(), if !matches!(play.mood, Mood::Hold) => match request {
                    Some(request) => play.queue.push_back(request),
                    None => return,
                },
            }
            play.work();
        }
    });
    (Data { asks, source, visible: seen, write_timeout }, deeds)
}

fn standing() -> Status {
    let node = Incarnation { id: NodeId(uuid::Uuid::from_u128(1)), boot: BootId(1) };
    Status {
        node,
        name: "pc-1".into(),
        role: RoleName::Following,
        sure: true,
        gives_up: false,
        shown: None,
        leader: None,
        successor: None,
        via: None,
        since: Wall(1_795_233_565_123_456),
        trouble: Vec::new(),
        members: 2,
    }
}

fn shared(status: watch::Receiver<Arc<Status>>, dir: &Path) -> Shared {
    let store = Store::open(&dir.join("state")).expect("a store").store;
    let facts = Facts {
        cluster: "office".into(),
        version: "0.1.0".into(),
        quorum: 1,
        port: 8264,
        socket: dir.join("sock"),
        state_dir: dir.join("state"),
        keyed: false,
    };
    let (events, _) = broadcast::channel(8);
    let (commands, _) = mpsc::channel(4);
    let history = History::of(store).expect("a thread");
    Shared {
        status,
        pulse: Pulse::new(Duration::MAX),
        events,
        commands,
        store: Arc::new(history),
        rights: Rights::everybody(),
        reloads: mpsc::channel(1).0,
        metrics: Arc::default(),
        facts: Arc::new(facts),
    }
}
