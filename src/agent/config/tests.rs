use super::*;

fn of(text: &str) -> Result<Config, ConfigError> {
    let file = File::parse(Path::new("t.toml"), text.to_owned())?;
    merge(Options { state_dir: Some("/s".into()), socket: Some("/s/t.sock".into()), ..Options::default() }, &file)
}

#[test]
fn every_key_has_a_default() {
    let config = of("").expect("an empty file is fine");
    assert_eq!((config.cluster.as_str(), config.port, config.settings.clone()), ("office", 8264, Settings::default()));
    assert_eq!((config.write_timeout, config.log), (Duration::from_secs(10), Level::Info));
    assert!(!config.name.is_empty() && config.peers.is_empty() && config.rules == Rules::default());
    assert!(config.warnings.is_empty());
    assert_eq!(config.http, None, "nobody serves TCP unasked");
}

#[test]
fn an_address_that_others_reach_is_served_and_warned_of() {
    let warned = |text: &str| {
        let config = of(text).expect("valid");
        (config.http, config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    for (address, writes, says) in [
        ("127.0.0.9:1", false, ""),
        ("[::1]:8265", true, ""),
        ("0.0.0.0:8265", false, "may read everything here"),
        ("[::]:8265", true, "may read and change everything here"),
        ("192.0.2.1:8265", false, "http = \"192.0.2.1:8265\": every machine"),
    ] {
        let (http, warnings) = warned(&format!("http = '{address}'\nhttp_writes = {writes}"));
        assert_eq!(http, Some(Http { address: address.parse().expect("an address"), writes }));
        assert!(warnings.iter().all(|w| !says.is_empty() && w.contains(says)), "{address}: {warnings:?}");
        assert_eq!(warnings.is_empty(), says.is_empty(), "{address}");
    }
    let (http, warnings) = warned("http_writes = true");
    assert!(http.is_none() && warnings[0].contains("no effect without http"), "{warnings:?}");
    assert_eq!(warned("http = ''"), (None, Vec::new()));
}

#[test]
fn every_key_is_read() {
    let config = of("name = 'pc-3'\ncluster = 'lab'\nport = 9000\nbind = '127.0.0.2'\ninterface = 'eth*'\n\
         deny_interfaces = ['eth9', 'br-*']\npeer = ['10.0.0.1', 'pc-9:8265', '[fe80::1]:9', 'fd00::2', '239.1.2.3']\n\
         heartbeat = '10ms'\npriority = 0\nlone_after = '1m'\nforget_after = '1d'\nwrite_timeout = '3s'\n\
         http = '127.0.0.1:8265'\nhttp_writes = true\nlog = 'debug'\nquorum = 1\nwrite_group = 'root'\n\
         [hooks]\nleading = '/bin/true'\n")
    .expect("valid");
    assert_eq!((config.settings.write_timeout, config.write_timeout), (Duration::from_secs(3), Duration::from_secs(3)));
    assert_eq!((config.write_group.as_deref(), config.hooks.of("leading").count()), (Some("root"), 1));
    assert_eq!((config.name.as_str(), config.cluster.as_str(), config.port), ("pc-3", "lab", 9000));
    assert_eq!(config.rules.only, ["eth*"]);
    assert_eq!(config.rules.deny, ["eth9", "br-*"]);
    assert_eq!(config.rules.bind, Some("127.0.0.2".parse().expect("an address")));
    let peers: Vec<_> = config.peers.iter().map(|p| (p.host.as_str(), p.port)).collect();
    let expected = [("10.0.0.1", None), ("pc-9", Some(8265)), ("fe80::1", Some(9)), ("fd00::2", None)];
    assert_eq!(peers[..4], expected);
    assert_eq!(config.settings.heartbeat(), Duration::from_millis(10));
    assert_eq!((config.settings.priority, config.log), (0, Level::Debug));
    assert_eq!(config.settings.lone_after, Duration::from_secs(60));
    assert_eq!(config.http, Some(Http { address: ([127, 0, 0, 1], 8265).into(), writes: true }));
    let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings[0].contains("idle wired") && warnings[1].contains("bind"), "{warnings:?}");
}

#[test]
fn what_is_wrong_is_named_with_line_key_and_reason() {
    for (text, expected) in [
        ("port = 1\nkey_file = 'x'", "t.toml:2: unknown key `key_file`"),
        ("[hook]\nany = '/x'", "t.toml:1: unknown key `hook`"),
        ("write_group = 'no-such-group'", "t.toml:1: write_group: there is no group \"no-such-group\" on this machine"),
        ("http = '8265'", "t.toml:1: http: \"8265\" is no address with a port, like 127.0.0.1:8265"),
        ("http = 'localhost:8265'", "t.toml:1: http: \"localhost:8265\" is no address"),
        ("http = '127.0.0.1:0'", "t.toml:1: http: \"127.0.0.1:0\" has no port"),
        ("http_writes = 'yes'", "t.toml:1: http_writes: invalid type: string \"yes\", expected a boolean"),
        ("\nheartbeat = '1ms'", "t.toml:2: heartbeat: 1ms is out of bounds: it may be 5ms to 5s"),
        ("heartbeat = '6s'", "t.toml:1: heartbeat: 6s is out of bounds"),
        ("heartbeat = 'soon'", "t.toml:1: heartbeat: \"soon\" is no duration like 250ms or 3s"),
        ("heartbeat = 250", "t.toml:1: heartbeat: it must be in quotes, and have a unit: heartbeat = \"250ms\""),
        ("heartbeat = 250ms", "t.toml:1: heartbeat: it must be in quotes: heartbeat = \"250ms\""),
        ("port = 1\nname = front # desk", "t.toml:2: name: it must be in quotes: name = \"front\""),
        ("cluster = 5", "t.toml:1: cluster: it must be in quotes: cluster = \"5\""),
        ("port = five", "t.toml:1: port: "),
        ("quorum = 3", "t.toml:1: quorum: 3 is not available yet"),
        ("quorum = 0", "t.toml:1: quorum: 0 is out of bounds"),
        ("priority = 256", "t.toml:1: priority: 256 is out of bounds: it may be 0 to 255"),
        ("port = 0", "t.toml:1: port: 0 is out of bounds: it may be 1 to 65535"),
        ("port = 'a'", "t.toml:1: port: invalid type: string \"a\""),
        ("name = ''", "t.toml:1: name: must not be empty"),
        ("name = \"a\\nb\"", "t.toml:1: name: must not contain control characters"),
        (
            "cluster = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'",
            "t.toml:1: cluster: is 65 bytes",
        ),
        ("bind = 'here'", "t.toml:1: bind: \"here\" is no IP address"),
        ("log = 'loud'", "t.toml:1: log: \"loud\" is not error, warn, info, debug or trace"),
        ("lone_after = '0s'", "t.toml:1: lone_after: must be longer than zero"),
        ("forget_after = '0s'", "t.toml:1: forget_after: must be longer than zero"),
        ("write_timeout = '0s'", "t.toml:1: write_timeout: must be longer than zero"),
        ("peer = ['a b']", "t.toml:1: peer: \"a b\" is neither an address nor a name"),
        ("peer = 'a:0'", "t.toml:1: peer: \"a:0\" has no valid port"),
        ("interface = 3", "t.toml:1: interface: expected a text or a list of texts"),
        ("interface = 'much-too-long-for-one'", "t.toml:1: interface: \"much-too-long-for-one\" is too long"),
        ("port = 1\nport = 2", "t.toml:2: port: duplicate key"),
        ("port", "t.toml:1: "),
    ] {
        let error = of(text).expect_err(text).to_string();
        assert!(error.starts_with(expected) && !error.contains('\n'), "{text:?} gave {error:?}");
    }
}

#[test]
fn flags_overrule_the_file() {
    let file = File::parse(Path::new("t.toml"), "port = 1\nheartbeat = '1ms'\npeer = 'a'".into()).expect("valid");
    let options = Options {
        state_dir: Some("/s".into()),
        socket: Some("/s/t.sock".into()),
        port: Some(2),
        heartbeat: Some(Duration::from_secs(1)),
        peer: vec!["b".into(), String::new()],
        ..Options::default()
    };
    let config = merge(options.clone(), &file).expect("valid");
    assert_eq!((config.port, config.settings.heartbeat()), (2, Duration::from_secs(1)));
    assert_eq!(config.peers, [Peer { host: "b".into(), port: None }]);
    let error = merge(Options { heartbeat: Some(Duration::from_secs(9)), ..options }, &file).expect_err("too long");
    assert!(error.to_string().starts_with("--heartbeat or TANIST_HEARTBEAT: 9s is out of bounds"), "{error}");
}

/// Nobody cuts a real agent off by mistake.
#[test]
fn a_cut_network_is_for_loopback_addresses_only() {
    let of = |bind: Option<&str>| {
        let options = Options {
            state_dir: Some("/s".into()),
            socket: Some("/s/t.sock".into()),
            demo_cut: Some("/s/cut".into()),
            bind: bind.map(|ip| ip.parse().expect("an address")),
            ..Options::default()
        };
        merge(options, &File::parse(Path::new("t.toml"), String::new()).expect("empty"))
    };
    assert_eq!(of(Some("127.0.0.2")).expect("a demo").demo_cut, Some("/s/cut".into()));
    for bind in [None, Some("192.0.2.1"), Some("::1")] {
        let error = of(bind).expect_err("no demo").to_string();
        assert!(error.starts_with("--demo-cut: it is for the agents of `tanist demo`: leave it out"), "{error}");
    }
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("none.toml");
    assert!(check(&path).expect_err("missing").to_string().contains("there is no such file"));
    std::fs::write(&path, "heartbeat = '6ms'\nsocket = '/run/t.sock'\n").expect("written");
    assert_eq!(check(&path).expect("valid").len(), 1);
}
