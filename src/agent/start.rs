//! How an agent starts and ends: everything that can go wrong at the start goes wrong here, before anybody hears of it.

use super::clock::{self, Alarm, within};
use super::closing::Closing;
use super::config::{Config, Options};
use super::connections::{self, Connections, Dialer};
use super::cut::Cut;
use super::data::{ASKS, Asked, Data, Snapshot};
use super::datagrams::{Datagrams, Setup};
use super::failure::Failure;
use super::host::{Host, State};
use super::identity::{self, Found};
use super::inbox::Inbox;
use super::journal::{self, Counts, Journal, Level};
use super::metrics::Metrics;
use super::patience::until_done;
use super::peers::Peers;
use super::reload::Reloader;
use super::routes::Routes;
use super::runners::{Needs, Runners};
use super::service::{self, Service};
use super::shared::{COMMANDS, EVENTS, Facts, Pulse, Shared};
use super::signals::Signals;
use super::upkeep::Upkeep;
use super::{api, disk, door, hooks, leader_file, links, replica, rereading, signals};
use crate::data::Revision;
use crate::event::{self, Event, Kind, Value};
use crate::ident::BootId;
use crate::message::Datagram;
use crate::protocol::{self, Durable, Node, Start};
use crate::store::data::{DataStore, Reader, SetAside};
use crate::store::{Opened, Store};
use crate::wire::Wire;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How long the end waits for each of: the API's clients, what is still to be sent, the disk.
const LAST_WORDS: Duration = Duration::from_millis(400);

/// How long the end waits for hooks: of all that is left, only the process's own limit is longer.
const LAST_HOOKS: Duration = Duration::from_secs(1);

/// Runs an agent from its configuration to its end. What stops it and may pass by itself is waited for.
///
/// # Errors
/// What does not pass by itself.
pub(super) async fn run(given: Given, journal: Journal) -> Result<(), Failure> {
    let Given { options, config, passed } = given;
    let made = Arc::new(OnceLock::new());
    let needs = Needs::default();
    let Signals { mut stop, reload } = signals::follow(Arc::clone(&made), needs.clone()).map_err(|e| threads(&e))?;
    let mut aside = Aside::default();
    let prepared = until_done(&mut stop, &journal, || Ground::prepare(&config, &mut aside)).await?;
    let Some(ground) = prepared else { return Ok(()) };
    let Some(sockets) = Sockets::open(&config, ground.found.node.boot, &journal, &mut stop, passed).await? else {
        return Ok(());
    };
    if !sockets.door.is_passed() {
        // The file is this agent's now.
        let _ = made.set(config.socket.clone());
    }
    let told = Told { stop, reload, needs, options };
    ground.run(aside, config, journal, sockets, told).await
}

/// What an agent is started with.
pub(super) struct Given {
    /// What the configuration was made from.
    pub(super) options: Options,
    pub(super) config: Config,
    /// The socket that the service manager holds open.
    pub(super) passed: Option<door::Passed>,
}

/// What the process is told from outside while it runs.
struct Told {
    stop: mpsc::Receiver<()>,   // bound: ONE
    reload: mpsc::Receiver<()>, // bound: ONE
    needs: Needs,
    options: Options,
}

/// All that the agent listens on.
struct Sockets {
    wire: Arc<Wire>,
    counts: Arc<Counts>,
    listener: TcpListener,
    peers: Peers,
    datagrams: Datagrams,
    heard: mpsc::Receiver<(SocketAddr, Datagram)>, // bound: DATAGRAMS
    routes: Routes,
    cut: Cut,
    unix: UnixListener,
    door: door::Door,
}

impl Sockets {
    /// None when the agent was told to stop while it waited for one.
    async fn open(
        config: &Config,
        boot: BootId,
        journal: &Journal,
        stop: &mut mpsc::Receiver<()>,
        passed: Option<door::Passed>,
    ) -> Result<Option<Sockets>, Failure> {
        let (port, bind) = (config.port, config.rules.bind);
        let counts = Arc::new(Counts::new(journal.clone()));
        let wire = Arc::new(Wire::new(&config.cluster));
        let bound = || connections::bind(bind, port).map_err(|e| taken("TCP", port, &e));
        let Some(listener) = until_done(stop, journal, bound).await? else { return Ok(None) };
        let peers = Peers::find(config.peers.clone(), port, journal).await;
        let routes = Routes::default();
        let cut = config.demo_cut.clone().map_or_else(Cut::default, Cut::follow);
        let heard = || {
            let setup = Setup { port, bind, groups: peers.groups(), cut: cut.clone() };
            Datagrams::open(setup, wire.clone(), boot, counts.clone(), routes.clone())
                .map_err(|e| taken("UDP", port, &e))
        };
        let Some((datagrams, heard)) = until_done(stop, journal, heard).await? else { return Ok(None) };
        let made = match passed {
            Some(passed) => Some(passed.open()?),
            None => until_done(stop, journal, || door::open(&config.socket)).await?,
        };
        let Some((unix, door)) = made else { return Ok(None) };
        Ok(Some(Sockets { wire, counts, listener, peers, datagrams, heard, routes, cut, unix, door }))
    }
}

/// What was damaged and is set aside, by this try or an earlier one.
#[derive(Default)]
struct Aside {
    store: Option<PathBuf>,
    data: Option<SetAside>,
}

/// What was read before the sockets are opened.
struct Ground {
    store: Store,
    data: DataStore,
    found: Found,
    durable: Durable,
    seed: u64,
}

impl Ground {
    /// Opens the store and finds out who this agent is.
    fn prepare(config: &Config, aside: &mut Aside) -> Result<Ground, Failure> {
        let Opened { mut store, set_aside } = Store::open(&config.state_dir)?;
        aside.store = set_aside.or(aside.store.take());
        let found = identity::find(&mut store, &config.state_dir)?;
        let durable = store.durable().map_err(|e| Failure::store(&config.state_dir, &e))?;
        let opened = DataStore::open(&config.state_dir.join("data")).map_err(Failure::from)?;
        aside.data = opened.set_aside.or(aside.data.take());
        let seed = identity::random()? as u64;
        Ok(Ground { store, data: opened.store, found, durable, seed })
    }

    /// What users are told first.
    fn events(&self, aside: &Aside, config: &Config) -> Vec<Event> {
        let at = clock::now().wall;
        let epoch = self.durable.shown.map_or(0, |claim| claim.epoch);
        let mut events = vec![self.started(config, at, epoch)];
        events.extend(aside.store.as_ref().map(|path| Event {
            kind: Kind::StoreTrouble,
            level: event::Level::Warn,
            at,
            epoch,
            cause: None,
            text: format!(
                "the store was damaged: it is kept as {}, and a new one with a new id begins",
                path.display()
            ),
            fields: vec![("set_aside", Value::Text(path.display().to_string()))],
        }));
        events.extend(aside.data.as_ref().map(|aside| {
            let path = aside.path.as_ref().map_or_else(String::new, |path| format!(", and kept as {}", path.display()));
            Event {
                kind: Kind::StoreTrouble,
                level: event::Level::Warn,
                at,
                epoch,
                cause: None,
                text: format!("the data was damaged ({}): it is set aside{path}", aside.what),
                fields: vec![("set_aside", Value::Text(path))],
            }
        }));
        events.extend(self.found.event(at, epoch));
        events
    }

    fn started(&self, c: &Config, at: crate::time::Wall, epoch: u64) -> Event {
        let ms = |d: Duration| Value::Number(u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        let mut fields = vec![
            ("version", Value::from(env!("CARGO_PKG_VERSION"))),
            ("id", Value::Text(self.found.node.id.to_string())),
            ("name", Value::from(c.name.as_str())),
            ("cluster", Value::from(c.cluster.as_str())),
            ("port", Value::from(u64::from(c.port))),
            ("heartbeat_ms", ms(c.settings.heartbeat())),
            ("priority", Value::from(u64::from(c.settings.priority))),
            ("quorum", Value::from(u64::from(c.settings.quorum))),
            ("lone_after_ms", ms(c.settings.lone_after)),
            ("forget_after_ms", ms(c.settings.forget_after)),
            ("write_timeout_ms", ms(c.write_timeout)),
            ("log", Value::from(c.log.as_str())),
            ("state_dir", Value::Text(c.state_dir.display().to_string())),
            ("socket", Value::Text(c.socket.display().to_string())),
            ("keyed", Value::Flag(false)),
        ];
        if let Some(http) = c.http {
            fields.push(("http", Value::Text(http.address.to_string())));
            fields.push(("http_writes", Value::Flag(http.writes)));
        }
        fields.extend(c.rules.bind.map(|ip| ("bind", Value::Text(ip.to_string()))));
        let peers: Vec<String> = c.peers.iter().map(ToString::to_string).collect();
        for (name, list) in [("interface", &c.rules.only), ("deny_interfaces", &c.rules.deny), ("peer", &peers)] {
            fields.extend((!list.is_empty()).then(|| (name, Value::Text(list.join(",")))));
        }
        let text = format!("tanist {} started as {} in cluster {}", env!("CARGO_PKG_VERSION"), c.name, c.cluster);
        Event { kind: Kind::Started, level: event::Level::Info, at, epoch, cause: None, text, fields }
    }

    /// What the core is made from.
    fn node(&self, config: &Config, peers: Vec<SocketAddr>) -> Start {
        Start {
            node: self.found.node,
            name: config.name.clone(),
            port: config.port,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: config.settings.clone(),
            peers,
            seed: self.seed,
            durable: self.durable.clone(),
            data: self.data.position().number,
        }
    }

    /// Runs the agent until it is told to stop, and ends it.
    async fn run(
        self,
        aside: Aside,
        config: Config,
        journal: Journal,
        sockets: Sockets,
        told: Told,
    ) -> Result<(), Failure> {
        let Told { stop, reload: hung_up, needs, options } = told;
        let Sockets { wire, counts, listener, peers, datagrams, heard, routes, cut, unix, door } = sockets;
        let found = links::follow(config.rules.clone()).map_err(|e| no_links(&e))?;
        let (events, facts) = (self.events(&aside, &config), facts(&config));
        let node = Node::new(self.node(&config, peers.addresses()), clock::now());
        let metrics = Arc::new(Metrics::new(counts.clone()));
        let started = replica::start(self.data, metrics.clone(), journal.clone()).map_err(|e| threads(&e))?;
        let replica::Started { replica, reports: replicated, reader, visible } = started;
        let (data, to_ask) = data(reader.clone(), visible, config.write_timeout);
        let (disk, history, done) = disk::start(self.store, metrics.clone()).map_err(|e| threads(&e))?;
        let dialer = Dialer { from: config.rules.bind, routes, cut };
        let (connections, reports) = Connections::new(listener, wire.clone(), dialer, counts.clone());
        let ((status, shown), (commands, asked)) = (watch::channel(Arc::new(node.status())), mpsc::channel(COMMANDS));
        let (feed, soon) = (broadcast::Sender::new(EVENTS), CancellationToken::new());
        let config = Arc::new(config);
        let (reloader, rights, reloads) = Reloader::new(options, Arc::clone(&config), hung_up);
        let shared = Shared {
            status: shown,
            pulse: Pulse::new(config.settings.replaced_gap()),
            events: feed.clone(),
            commands,
            store: Arc::new(history),
            rights,
            reloads,
            metrics: metrics.clone(),
            facts: Arc::new(facts),
        };
        let host = Host {
            node,
            wire,
            inbox: Inbox {
                alarm: Alarm::new().map_err(|e| no_timer(&e))?,
                stop,
                disk: done,
                sessions: reports,
                replica: replicated,
                commands: asked,
                asks: to_ask,
                links: found,
                peers: peers.follow(journal.clone()),
                datagrams: heard,
            },
            disk,
            replica,
            connections,
            datagrams,
            journal,
            service: Service::new(),
            runners: Runners::new(needs),
            status,
            pulse: shared.pulse.clone(),
            events: feed,
            metrics,
            no_link: links::none_fits(&config.rules),
            host_name: config.host_name,
            closing: Closing::new(door.is_passed().then(|| soon.clone())),
            state: State::default(),
        };
        live(host, events, Outside { unix, door, shared, data, reader, soon, reloader }, &counts).await;
        Ok(())
    }
}

/// The data, as the API sees it, and what is asked of it.
fn data(reader: Reader, visible: watch::Receiver<Revision>, write_timeout: Duration) -> (Data, mpsc::Receiver<Asked>) {
    let (asks, to_ask) = mpsc::channel(ASKS);
    let source = Arc::new(move || reader.snapshot().map(Snapshot::Disk).map_err(|e| e.to_string()));
    (Data { asks, source, visible, write_timeout }, to_ask)
}

/// What users reach, and what others may take away.
struct Outside {
    unix: UnixListener,
    door: door::Door,
    shared: Shared,
    data: Data,
    reader: Reader,
    /// No more is taken of users.
    soon: CancellationToken,
    reloader: Reloader,
}

/// From the first event to the last word.
async fn live(mut host: Host, events: Vec<Event>, outside: Outside, counts: &Counts) {
    // Until here what is wrong is said once, by the agent itself.
    let _libraries = journal::listen(&host.journal);
    let Outside { unix, door, shared, data, reader, soon, reloader } = outside;
    let end = CancellationToken::new();
    let config = reloader.config();
    let happens = shared.events.subscribe();
    let hooks = tokio::spawn(hooks::run(happens, config.clone(), shared.clone(), host.journal.clone(), end.clone()));
    let leader_file =
        config.borrow().leader_file.clone().map(|path| {
            tokio::spawn(leader_file::keep(path, shared.status.clone(), host.journal.clone(), end.clone()))
        });
    events.into_iter().for_each(|event| protocol::Host::tell(&mut host, event));
    let (anew, made) = mpsc::channel(1);
    let tcp = config.borrow().http.map(|http| api::Tcp::new(http, host.journal.clone()));
    let listeners = api::Listeners { unix, anew: made, tcp };
    let state = config.borrow().state_dir.clone();
    let upkeep = Upkeep::new(door, &state, anew, shared.commands.clone(), host.journal.clone());
    let upkeep = tokio::spawn(upkeep.run(end.clone()));
    tokio::spawn(rereading::run(reader, host.journal.clone(), end.clone()));
    tokio::spawn(reloader.run(shared.commands.clone(), host.journal.clone(), end.clone()));
    let api = tokio::spawn(api::serve_on(listeners, shared, Some(data), api::Ends { soon, now: end.clone() }));
    host.publish();
    host.service.ready();
    let host = host.run().await;
    finish(host, api, &end, counts).await;
    let _ = within(LAST_WORDS, upkeep).await;
    if let Some(leader_file) = leader_file {
        let _ = within(LAST_WORDS, leader_file).await;
    }
    let _ = within(LAST_HOOKS, hooks).await;
    service::ended();
}

fn facts(config: &Config) -> Facts {
    Facts {
        cluster: config.cluster.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        quorum: config.settings.quorum,
        port: config.port,
        socket: config.socket.clone(),
        state_dir: config.state_dir.clone(),
        keyed: false,
    }
}

/// Gives everything that was begun a moment to finish.
async fn finish(host: Host, api: tokio::task::JoinHandle<()>, end: &CancellationToken, counts: &Counts) {
    let Host { mut inbox, disk, replica, connections, journal, .. } = host;
    end.cancel();
    let _ = within(LAST_WORDS, connections.end()).await;
    let _ = within(LAST_WORDS, api).await;
    drop((disk, replica));
    let _ = within(LAST_WORDS, async { while inbox.disk.recv().await.is_some() {} }).await;
    let _ = within(LAST_WORDS, async { while inbox.replica.recv().await.is_some() {} }).await;
    let ignored = counts.all().filter(|c| c.1 > 0).map(|(name, n)| (name, Value::Number(n))).collect();
    journal.line(Level::Debug, "stopped; what was ignored is counted", ignored);
}

fn taken(what: &str, port: u16, e: &std::io::Error) -> Failure {
    let what = format!("{what} port {port} cannot be used");
    match e.kind() {
        std::io::ErrorKind::AddrInUse => Failure::other(format!(
            "{what}: another program, or another agent, has it: stop that one, or choose another with --port"
        ))
        .passing(),
        _ => Failure::io(&what, e, "choose another with --port, or check --bind"),
    }
}

fn threads(e: &std::io::Error) -> Failure {
    Failure::io("no thread can be started", e, "allow this service more tasks")
}

fn no_links(e: &std::io::Error) -> Failure {
    Failure::io("the kernel does not tell its network interfaces", e, "check what the service may do")
}

fn no_timer(e: &std::io::Error) -> Failure {
    Failure::io("no timer can be had", e, "allow more open files")
}
