//! What an administrator may set: the file, then `TANIST_…` variables, then flags; every key has a default.

mod file;
mod hooks;
mod http;
mod paths;
#[cfg(test)]
mod tests;

use super::journal::Level;
use super::links::Rules;
use crate::message::NAME_MAX;
use crate::settings::{BadSettings, Settings};
use crate::wire::CLUSTER_MAX;
use file::File;
pub use hooks::Hooks;
pub use http::Http;
pub(super) use paths::host_name;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// The file that is read when none is named; it may be missing.
pub const DEFAULT_FILE: &str = "/etc/tanist/tanist.toml";

/// The UDP and TCP port.
pub const DEFAULT_PORT: u16 = 8264;

/// How many peers may be configured.
pub const PEERS: usize = 256;

/// How many names a list of interfaces may have.
pub const NAMES: usize = 256;

/// A path of a Unix socket is at most this long, in bytes.
const SOCKET_PATH_MAX: usize = 107;

/// The flags of `tanist agent`; each can be given as a variable too, and overrules the configuration file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Configuration file [default: /etc/tanist/tanist.toml, if it exists]
    #[arg(long, value_name = "FILE", env = "TANIST_CONFIG")]
    pub config: Option<PathBuf>,
    /// Label of this machine [default: host name]
    #[arg(long, env = "TANIST_NAME")]
    pub name: Option<String>,
    /// Members of other clusters are not heard [default: office]
    #[arg(long, value_name = "NAME", env = "TANIST_CLUSTER")]
    pub cluster: Option<String>,
    /// Where identity and promises are kept
    #[arg(long, value_name = "DIR", env = "TANIST_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Unix socket of the local API
    #[arg(long, value_name = "PATH", env = "TANIST_SOCKET")]
    pub socket: Option<PathBuf>,
    /// UDP and TCP port [default: 8264]
    #[arg(long, env = "TANIST_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Keep to one address of this machine [default: every eligible interface]
    #[arg(long, value_name = "ADDRESS", env = "TANIST_BIND")]
    pub bind: Option<IpAddr>,
    /// Only these interfaces, of whatever kind; `*` stands for any characters
    #[arg(long, value_name = "NAME", env = "TANIST_INTERFACE", value_delimiter = ',')]
    pub interface: Vec<String>, // bound: NAMES
    /// Never these interfaces
    #[arg(long, value_name = "NAME", env = "TANIST_DENY_INTERFACES", value_delimiter = ',')]
    pub deny_interfaces: Vec<String>, // bound: NAMES
    /// Addresses, names or IPv4 multicast groups that are greeted too
    #[arg(long, value_name = "ADDRESS", env = "TANIST_PEER", value_delimiter = ',')]
    pub peer: Vec<String>, // bound: PEERS
    /// Interval between heartbeats, 5ms to 5s [default: 250ms]
    #[arg(long, value_name = "DURATION", env = "TANIST_HEARTBEAT", value_parser = humantime::parse_duration)]
    pub heartbeat: Option<Duration>,
    /// Who leads when the role is free, 0 to 255; 0 never leads [default: 100]
    #[arg(long, env = "TANIST_PRIORITY")]
    pub priority: Option<u8>,
    /// How long a start without any link waits before this machine leads itself [default: 30s]
    #[arg(long, value_name = "DURATION", env = "TANIST_LONE_AFTER", value_parser = humantime::parse_duration)]
    pub lone_after: Option<Duration>,
    /// A member that was not heard for so long is forgotten [default: 7d]
    #[arg(long, value_name = "DURATION", env = "TANIST_FORGET_AFTER", value_parser = humantime::parse_duration)]
    pub forget_after: Option<Duration>,
    /// How long a write waits for a leader [default: 10s]
    #[arg(long, value_name = "DURATION", env = "TANIST_WRITE_TIMEOUT", value_parser = humantime::parse_duration)]
    pub write_timeout: Option<Duration>,
    /// Only members of this group, and root, may write, hand over and run programs with the role [default: everybody]
    #[arg(long, value_name = "GROUP", env = "TANIST_WRITE_GROUP")]
    pub write_group: Option<String>,
    /// Serve the local API, the status page and the metrics on this TCP address too, for example 127.0.0.1:8265 [default:
    /// none]
    #[arg(long, value_name = "ADDRESS:PORT", env = "TANIST_HTTP")]
    pub http: Option<String>,
    /// Take writes and handovers there too [default: false]
    #[arg(long, value_name = "BOOL", env = "TANIST_HTTP_WRITES", num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    pub http_writes: Option<bool>,
    /// How much is logged [default: info]
    #[arg(long, value_name = "LEVEL", env = "TANIST_LOG")]
    pub log: Option<Level>,
    /// How many voices win a claim; only 1 is available yet [default: 1]
    #[arg(long, value_name = "N", env = "TANIST_QUORUM")]
    pub quorum: Option<u32>,
    /// What `tanist demo` cuts its network with: a file that names addresses that are out of reach, one a line
    #[arg(long, value_name = "FILE", hide = true)]
    pub demo_cut: Option<PathBuf>,
}

/// A configured peer: a host and, if it was given, a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// An address or a name.
    pub host: String,
    /// The port; the agent's own when missing.
    pub port: Option<u16>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str(&self.host),
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

/// The effective configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The label.
    pub name: String,
    /// It is the host name: the agent follows that.
    pub host_name: bool,
    /// The cluster.
    pub cluster: String,
    /// Where the store is.
    pub state_dir: PathBuf,
    /// The local API.
    pub socket: PathBuf,
    /// UDP and TCP.
    pub port: u16,
    /// Which interfaces.
    pub rules: Rules,
    /// Who is greeted too, at most [`PEERS`].
    pub peers: Vec<Peer>,
    /// What the core needs.
    pub settings: Settings,
    /// How long a write waits for a leader.
    pub write_timeout: Duration,
    /// Where the local API is served on TCP, if anywhere.
    pub http: Option<Http>,
    /// How much is logged.
    pub log: Level,
    /// Members of this group, root and the agent's own user may change something; everybody without it.
    pub write_group: Option<String>,
    /// What runs when something happens.
    pub hooks: Hooks,
    /// The file with the leader's name and address, where the service manager made a place for it.
    pub leader_file: Option<PathBuf>,
    /// Names addresses that are out of reach, in a demo.
    pub demo_cut: Option<PathBuf>,
    /// What `check` would warn of.
    pub warnings: Vec<Warning>, // bound: NAMES
}

/// Something that is allowed, and likely not meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a configuration was refused: one line that names the file and line, the key, and the reason.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{place}: {reason}")]
pub struct ConfigError {
    place: String,
    reason: String,
    /// The file may not be read by this user.
    pub denied: bool,
}

/// Where a value came from, for the message about it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Default,
    Given,
    Line(PathBuf, usize),
}

impl Place {
    fn refuse(&self, key: &str, reason: impl fmt::Display) -> ConfigError {
        let place = match self {
            Place::Default => format!("default of {key}"),
            Place::Given => format!("--{} or TANIST_{}", key.replace('_', "-"), key.to_uppercase()),
            Place::Line(path, line) => format!("{}:{line}: {key}", path.display()),
        };
        ConfigError { place, reason: reason.to_string(), denied: false }
    }
}

/// A value, and where it came from.
struct From<T> {
    value: T,
    place: Place,
}

/// The configuration that flags, variables and the file make together.
///
/// # Errors
/// Names the first thing that is wrong.
pub fn load(options: Options) -> Result<Config, ConfigError> {
    let (path, must) = match &options.config {
        Some(path) => (path.as_path(), true),
        None => (Path::new(DEFAULT_FILE), false),
    };
    let file = File::read(path, must)?;
    merge(options, &file)
}

/// Checks a configuration file by itself.
///
/// # Errors
/// Names the first thing that is wrong.
pub fn check(path: &Path) -> Result<Vec<Warning>, ConfigError> {
    check_file(&File::read(path, true)?)
}

/// Checks the text of a configuration file by itself; `path` is what it is called in the message.
///
/// # Errors
/// Names the first thing that is wrong.
pub fn check_text(path: &Path, text: &str) -> Result<Vec<Warning>, ConfigError> {
    check_file(&File::parse(path, text.to_owned())?)
}

fn check_file(file: &File) -> Result<Vec<Warning>, ConfigError> {
    // Where this user would keep the state and the socket says nothing about the file.
    let mut options = Options::default();
    if file.path("state_dir").is_none() {
        options.state_dir = Some("/var/lib/tanist".into());
    }
    if file.path("socket").is_none() {
        options.socket = Some("/run/tanist/tanist.sock".into());
    }
    Ok(merge(options, file)?.warnings)
}

fn merge(o: Options, file: &File) -> Result<Config, ConfigError> {
    let name = file.text("name", o.name);
    let host_name = name.is_none();
    let name = name.map_or_else(|| Ok(paths::host_name()), |v| label("name", v, NAME_MAX))?;
    let cluster = file
        .text("cluster", o.cluster)
        .map_or_else(|| Ok("office".to_owned()), |v| label("cluster", v, CLUSTER_MAX))?;
    let state_dir = path(file, "state_dir", o.state_dir)?.map_or_else(paths::state_dir, Ok)?;
    let socket = match path(file, "socket", o.socket)? {
        Some(path) => path,
        None => paths::socket()?,
    };
    if socket.as_os_str().len() > SOCKET_PATH_MAX {
        let reason = format!("{} is longer than the {SOCKET_PATH_MAX} bytes of a socket's path", socket.display());
        return Err(Place::Given.refuse("socket", reason));
    }
    let rules = Rules {
        only: names(file.list("interface", o.interface))?,
        deny: names(file.list("deny_interfaces", o.deny_interfaces))?,
        bind: file.parsed("bind", o.bind, |text| text.parse().map_err(|_| "is no IP address".to_owned()))?,
    };
    if o.demo_cut.is_some() && !matches!(rules.bind, Some(IpAddr::V4(ip)) if ip.is_loopback()) {
        let reason = "it is for the agents of `tanist demo`: leave it out, or give --bind an address of 127.0.0.0/8";
        return Err(ConfigError { place: "--demo-cut".to_owned(), reason: reason.to_owned(), denied: false });
    }
    let mut settings = settings(file, o.heartbeat, o.priority, o.lone_after, o.forget_after, o.quorum)?;
    let mut warnings = Vec::new();
    if settings.heartbeat() < Settings::HEARTBEAT_WARN {
        let heartbeat = humantime::format_duration(settings.heartbeat());
        warnings.push(Warning(format!("heartbeat = {heartbeat}: under 20ms is for idle wired machines only")));
    }
    if rules.bind.is_some() && !(rules.only.is_empty() && rules.deny.is_empty()) {
        warnings.push(Warning("interface and deny_interfaces have no effect together with bind".to_owned()));
    }
    let http = http::http(file, o.http, o.http_writes, &mut warnings)?;
    let timeout = file.duration("write_timeout", o.write_timeout, Duration::from_secs(10))?;
    if timeout.value.is_zero() {
        return Err(timeout.place.refuse("write_timeout", "must be longer than zero"));
    }
    settings.write_timeout = timeout.value;
    let write_group = write_group(file, o.write_group)?;
    if write_group.is_some() && http.is_some_and(|http| http.writes) {
        warnings.push(Warning(
            "http_writes has no effect together with write_group: on TCP nobody knows who asks".to_owned(),
        ));
    }
    let log = file.parsed("log", o.log, |text| {
        <Level as clap::ValueEnum>::from_str(text, false).map_err(|_| "is not error, warn, info, debug or trace".into())
    })?;
    Ok(Config {
        name,
        host_name,
        cluster,
        state_dir,
        leader_file: paths::leader_file(&socket),
        socket,
        port: file.number("port", o.port, DEFAULT_PORT, 1..=u64::from(u16::MAX))?.value,
        rules,
        peers: peers(file.list("peer", o.peer))?,
        settings,
        write_timeout: timeout.value,
        http,
        log: log.unwrap_or_default(),
        write_group,
        hooks: hooks::read(file)?,
        demo_cut: o.demo_cut,
        warnings,
    })
}

fn write_group(file: &File, given: Option<String>) -> Result<Option<String>, ConfigError> {
    let Some(found) = file.text("write_group", given) else { return Ok(None) };
    match nix::unistd::Group::from_name(&found.value) {
        Ok(Some(_)) => Ok(Some(found.value)),
        Ok(None) => {
            let reason = format!("there is no group {:?} on this machine: make it with groupadd", found.value);
            Err(found.place.refuse("write_group", reason))
        }
        Err(error) => Err(found.place.refuse("write_group", format!("{:?} cannot be looked up: {error}", found.value))),
    }
}

fn settings(
    file: &File,
    heartbeat: Option<Duration>,
    priority: Option<u8>,
    lone_after: Option<Duration>,
    forget_after: Option<Duration>,
    quorum: Option<u32>,
) -> Result<Settings, ConfigError> {
    let default = Settings::default();
    let heartbeat = file.duration("heartbeat", heartbeat, default.heartbeat())?;
    let lone_after = file.duration("lone_after", lone_after, default.lone_after)?;
    let forget_after = file.duration("forget_after", forget_after, default.forget_after)?;
    let quorum = file.number("quorum", quorum, default.quorum, 1..=u64::from(u32::MAX))?;
    let mut settings = default.clone().with_heartbeat(heartbeat.value);
    settings.priority = file.number("priority", priority, default.priority, 0..=255)?.value;
    settings.lone_after = lone_after.value;
    settings.forget_after = forget_after.value;
    settings.quorum = quorum.value;
    settings.validated().map_err(|why| match why {
        BadSettings::Heartbeat(_) => {
            let given = humantime::format_duration(heartbeat.value);
            heartbeat.place.refuse("heartbeat", format!("{given} is out of bounds: it may be 5ms to 5s"))
        }
        BadSettings::Quorum(n) => {
            quorum.place.refuse("quorum", format!("{n} is not available yet; leave it out or set it to 1"))
        }
        BadSettings::Zero("lone_after") => lone_after.place.refuse("lone_after", "must be longer than zero"),
        BadSettings::Zero(key) => forget_after.place.refuse(key, "must be longer than zero"),
    })
}

fn label(key: &str, v: From<String>, max: usize) -> Result<String, ConfigError> {
    let text = v.value;
    let reason = if text.is_empty() {
        "must not be empty".to_owned()
    } else if text.len() > max {
        format!("is {} bytes long; {max} are allowed", text.len())
    } else if text.chars().any(char::is_control) {
        "must not contain control characters".to_owned()
    } else {
        return Ok(text);
    };
    Err(v.place.refuse(key, reason))
}

fn path(file: &File, key: &'static str, given: Option<PathBuf>) -> Result<Option<PathBuf>, ConfigError> {
    let Some(from) = given.map(|value| From { value, place: Place::Given }).or_else(|| file.path(key)) else {
        return Ok(None);
    };
    if from.value.as_os_str().is_empty() {
        return Err(from.place.refuse(key, "must not be empty"));
    }
    Ok(Some(from.value))
}

fn names((key, list): (&'static str, From<Vec<String>>)) -> Result<Vec<String>, ConfigError> {
    if list.value.len() > NAMES {
        return Err(list.place.refuse(key, format!("has {} names; {NAMES} are allowed", list.value.len())));
    }
    match list.value.iter().find(|name| name.len() > 15 && !name.contains('*')) {
        Some(name) => Err(list.place.refuse(key, format!("{name:?} is too long for the name of an interface"))),
        None => Ok(list.value),
    }
}

fn peers((key, list): (&'static str, From<Vec<String>>)) -> Result<Vec<Peer>, ConfigError> {
    if list.value.len() > PEERS {
        return Err(list.place.refuse(key, format!("has {} entries; {PEERS} are allowed", list.value.len())));
    }
    list.value.iter().map(|text| peer(text).map_err(|why| list.place.refuse(key, why))).collect()
}

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT` or a bare IPv6 address.
fn peer(text: &str) -> Result<Peer, String> {
    let bare = |host: &str| Peer { host: host.to_owned(), port: None };
    if text.parse::<IpAddr>().is_ok() {
        return Ok(bare(text));
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return Ok(bare(inner));
    }
    let (host, port) = match text.rsplit_once(':') {
        None => (text, None),
        Some((host, port)) => match port.parse() {
            Ok(port @ 1..) => (host.trim_start_matches('[').trim_end_matches(']'), Some(port)),
            _ => return Err(format!("{text:?} has no valid port behind the colon")),
        },
    };
    let fine = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
    if host.is_empty() || host.len() > 253 || !host.chars().all(fine) {
        return Err(format!("{text:?} is neither an address nor a name"));
    }
    Ok(Peer { host: host.to_owned(), port })
}
