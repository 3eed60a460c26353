//! How an agent starts and ends: everything that can go wrong at the start goes wrong here, before anybody hears of it.

use super::clock::{self, Alarm, within};
use super::config::Config;
use super::connections::{self, Connections, Dialer};
use super::data::{ASKS, Data, Snapshot};
use super::datagrams::{Datagrams, Setup};
use super::failure::Failure;
use super::host::{Host, State};
use super::identity::{self, Found};
use super::inbox::Inbox;
use super::journal::{self, Counts, Journal, Level};
use super::peers::Peers;
use super::routes::Routes;
use super::service::Service;
use super::shared::{COMMANDS, EVENTS, Facts, Shared};
use super::{api, disk, door, links, replica, signals};
use crate::event::{self, Event, Kind, Value};
use crate::protocol::{self, Durable, Node, Start};
use crate::store::data::{DataStore, SetAside};
use crate::store::{Opened, Store};
use crate::wire::Wire;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How long the end waits for each of: the API's clients, what is still to be sent, the disk.
const LAST_WORDS: Duration = Duration::from_millis(400);

/// What was read before the sockets are opened.
pub(super) struct Ground {
    pub(super) config: Config,
    pub(super) journal: Journal,
    store: Store,
    set_aside: Option<PathBuf>,
    data: DataStore,
    data_aside: Option<SetAside>,
    found: Found,
    durable: Durable,
    seed: u64,
}

impl Ground {
    /// Opens the store and finds out who this agent is.
    pub(super) fn prepare(config: Config, journal: Journal) -> Result<Ground, Failure> {
        let Opened { mut store, set_aside } = Store::open(&config.state_dir)?;
        let found = identity::find(&mut store, &config.state_dir)?;
        let durable = store.durable().map_err(|e| Failure::store(&config.state_dir, &e))?;
        let opened = DataStore::open(&config.state_dir.join("data")).map_err(Failure::from)?;
        let (data, data_aside) = (opened.store, opened.set_aside);
        let seed = identity::random()? as u64;
        Ok(Ground { config, journal, store, set_aside, data, data_aside, found, durable, seed })
    }

    /// What users are told first.
    fn events(&self) -> Vec<Event> {
        let at = clock::now().wall;
        let epoch = self.durable.shown.map_or(0, |claim| claim.epoch);
        let mut events = vec![self.started(at, epoch)];
        events.extend(self.set_aside.as_ref().map(|path| Event {
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
        events.extend(self.data_aside.as_ref().map(|aside| {
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

    fn started(&self, at: crate::time::Wall, epoch: u64) -> Event {
        let c = &self.config;
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
        fields.extend(c.rules.bind.map(|ip| ("bind", Value::Text(ip.to_string()))));
        let peers: Vec<String> = c.peers.iter().map(ToString::to_string).collect();
        for (name, list) in [("interface", &c.rules.only), ("deny_interfaces", &c.rules.deny), ("peer", &peers)] {
            fields.extend((!list.is_empty()).then(|| (name, Value::Text(list.join(",")))));
        }
        let text = format!("tanist {} started as {} in cluster {}", env!("CARGO_PKG_VERSION"), c.name, c.cluster);
        Event { kind: Kind::Started, level: event::Level::Info, at, epoch, cause: None, text, fields }
    }

    /// What the core is made from.
    fn node(&self, peers: Vec<SocketAddr>) -> Start {
        Start {
            node: self.found.node,
            name: self.config.name.clone(),
            port: self.config.port,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: self.config.settings.clone(),
            peers,
            seed: self.seed,
            durable: self.durable.clone(),
            data: self.data.position().number,
        }
    }

    fn facts(&self) -> Facts {
        Facts {
            cluster: self.config.cluster.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            quorum: self.config.settings.quorum,
            port: self.config.port,
            socket: self.config.socket.clone(),
            state_dir: self.config.state_dir.clone(),
            keyed: false,
        }
    }

    /// Opens every socket, runs the agent until it is told to stop, and ends it.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let (port, bind) = (self.config.port, self.config.rules.bind);
        let counts = Arc::new(Counts::new(self.journal.clone()));
        let wire = Arc::new(Wire::new(&self.config.cluster));
        let listener = connections::bind(bind, port).map_err(|e| taken("TCP", port, &e))?;
        let peers = Peers::find(self.config.peers.clone(), port, &self.journal).await;
        let routes = Routes::default();
        let setup = Setup { port, bind, groups: peers.groups() };
        let (datagrams, heard) =
            Datagrams::open(setup, wire.clone(), self.found.node.boot, counts.clone(), routes.clone())
                .map_err(|e| taken("UDP", port, &e))?;
        let found = links::follow(self.config.rules.clone()).map_err(|e| {
            Failure::io("the kernel does not tell its network interfaces", &e, "check what the service may do")
        })?;
        let (unix, door) = door::open(&self.config.socket)?;
        let stop = signals::follow(self.config.socket.clone()).map_err(|e| threads(&e))?;

        let (events, facts) = (self.events(), self.facts());
        let node = Node::new(self.node(peers.addresses()), clock::now());
        let replica::Started { replica, reports: replicated, reader, visible } =
            replica::start(self.data).map_err(|e| threads(&e))?;
        let (asks, to_ask) = mpsc::channel(ASKS);
        let source = Arc::new(move || reader.snapshot().map(Snapshot::Disk).map_err(|e| e.to_string()));
        let data = Data { asks, source, visible, write_timeout: self.config.write_timeout };
        let (disk, history, done) = disk::start(self.store).map_err(|e| threads(&e))?;
        let (connections, reports) =
            Connections::new(listener, wire.clone(), Dialer { from: bind, routes }, counts.clone());
        let (status, shown) = watch::channel(Arc::new(node.status()));
        let (commands, asked) = mpsc::channel(COMMANDS);
        let feed = broadcast::Sender::new(EVENTS);
        let shared =
            Shared { status: shown, events: feed.clone(), commands, store: Arc::new(history), facts: Arc::new(facts) };
        let alarm = Alarm::new().map_err(|e| Failure::io("no timer can be had", &e, "allow more open files"))?;
        let mut host = Host {
            node,
            wire,
            inbox: Inbox {
                alarm,
                stop,
                disk: done,
                sessions: reports,
                replica: replicated,
                commands: asked,
                asks: to_ask,
                links: found,
                peers: peers.follow(self.journal.clone()),
                datagrams: heard,
            },
            disk,
            replica,
            connections,
            datagrams,
            journal: self.journal,
            service: Service::new(),
            status,
            events: feed,
            no_link: links::none_fits(&self.config.rules),
            host_name: self.config.host_name,
            state: State::default(),
        };
        // Until here what is wrong is said once, by the agent itself.
        let _libraries = journal::listen(&host.journal);
        events.into_iter().for_each(|event| protocol::Host::tell(&mut host, event));
        let end = CancellationToken::new();
        let api = tokio::spawn(api::serve(unix, shared, Some(data), end.clone()));
        host.publish();
        host.service.ready();
        let host = host.run().await;
        finish(host, api, &end, &counts).await;
        drop(door);
        Ok(())
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
        )),
        _ => Failure::io(&what, e, "choose another with --port, or check --bind"),
    }
}

fn threads(e: &std::io::Error) -> Failure {
    Failure::io("no thread can be started", e, "allow this service more tasks")
}
