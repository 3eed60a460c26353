//! The API on TCP: off unless it is asked for, read-only unless told otherwise, never in the way of the role; and what it says
//! in numbers, which Prometheus itself checks, together with the alerts and the dashboard of `docs/`.

use crate::site::{Agent, LONG, Site};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

/// An address of the site's own for the API.
fn address(site: &Site) -> SocketAddr {
    TcpListener::bind((site.ip, 0)).expect("a port").local_addr().expect("bound")
}

fn start(site: &Site, address: SocketAddr, more: &[&str]) -> Agent {
    let mut agent = Agent::spawn(site.command().args(["--http", &address.to_string()]).args(more));
    agent.line("is served on http://");
    agent.line("event=leading");
    agent
}

/// What is answered to a request whose head, but for its end, is this.
fn raw(address: SocketAddr, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it is served");
    stream.set_read_timeout(Some(LONG)).expect("set");
    let length = body.len();
    write!(stream, "{request}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    raw(address, &format!("{method} {path} HTTP/1.1\r\nHost: {address}"), "")
}

#[test]
fn tcp_answers_questions_of_this_machine_and_takes_no_writes() {
    let site = Site::new();
    let address = address(&site);
    let mut agent = start(&site, address, &[]);
    for path in ["/", "/metrics", "/v1/status", "/v1/is-leader", "/v1/members", "/v1/history", "/v1/conflicts"] {
        let answer = ask(address, "GET", path);
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.contains("x-content-type-options: nosniff\r\n"), "{path}: {answer}");
    }
    assert!(ask(address, "HEAD", "/v1/is-leader").starts_with("HTTP/1.1 200"));
    let page = ask(address, "GET", "/");
    let (head, body) = page.split_once("\r\n\r\n").expect("a body");
    let nonce = head.split("script-src 'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).expect("a nonce");
    assert!(head.contains("default-src 'none'") && nonce.len() == 32, "{head}");
    assert_eq!(body.matches(&format!("nonce=\"{nonce}\"")).count(), 2, "the script and the style");
    assert!(!ask(address, "GET", "/").contains(nonce), "another one each time");
    for (method, path) in [("POST", "/v1/handover"), ("PUT", "/v1/keys/a"), ("DELETE", "/v1/keys/a"), ("OPTIONS", "/")]
    {
        let answer = ask(address, method, path);
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("http_writes = true"), "{method}: {answer}");
    }
    let stranger = raw(address, "GET /v1/keys HTTP/1.1\r\nHost: evil.example:8265", "");
    assert!(stranger.starts_with("HTTP/1.1 421") && stranger.contains("no name of this machine"), "{stranger}");
    assert!(site.ask("/").starts_with("HTTP/1.1 200"), "the socket serves the same");
    agent.signal(Signal::SIGTERM);
    let (status, _) = agent.end();
    assert!(status.success() && TcpStream::connect(address).is_err(), "it ends with the agent");
}

#[test]
fn tcp_takes_writes_where_that_is_wanted_but_not_from_pages_of_strangers() {
    let site = Site::new();
    let address = address(&site);
    let _agent = start(&site, address, &["--http-writes"]);
    let put = format!("PUT /v1/keys/a HTTP/1.1\r\nHost: {address}");
    assert!(raw(address, &put, "1").starts_with("HTTP/1.1 200"));
    let own = format!("{put}\r\nOrigin: http://{address}");
    assert!(raw(address, &own, "2").starts_with("HTTP/1.1 200"));
    let strange = raw(address, &format!("{put}\r\nOrigin: http://evil.example"), "3");
    assert!(strange.starts_with("HTTP/1.1 403") && strange.contains("evil.example"), "{strange}");
    assert!(ask(address, "GET", "/v1/keys/a").ends_with("\r\n\r\n2"), "what was refused was not done");
}

#[test]
fn a_port_that_another_program_has_costs_one_line_and_not_the_role() {
    let site = Site::new();
    let other = TcpListener::bind((site.ip, 0)).expect("a port");
    let address = other.local_addr().expect("bound");
    let mut agent = Agent::spawn(site.command().args(["--http", &address.to_string()]));
    agent.line("event=leading");
    let line = agent.seen.iter().find(|line| line.contains("cannot be served")).cloned();
    let line = line.unwrap_or_else(|| agent.line("cannot be served"));
    assert!(line.contains("another program has it: stop that one, or choose another"), "{line}");
    assert!(site.ask("/v1/is-leader").starts_with("HTTP/1.1 200"));
    drop(other);
    agent.line("is served on http://");
    assert!(ask(address, "GET", "/v1/is-leader").starts_with("HTTP/1.1 200"));
    assert_eq!(agent.seen.iter().filter(|line| line.contains("cannot be served")).count(), 1, "it is said once");
}

/// Whoever takes all that there is by TCP takes nothing from the machine's own users.
#[test]
fn a_crowd_on_tcp_is_told_so_and_locks_nobody_out() {
    let site = Site::new();
    let address = address(&site);
    let _agent = start(&site, address, &[]);
    let mut crowd = Vec::new();
    for _ in 0..120 {
        let mut stream = TcpStream::connect(address).expect("it is served");
        write!(stream, "GET /v1/events HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("sent");
        crowd.push(stream);
    }
    let (mut served, mut turned) = (0, 0);
    for stream in &mut crowd {
        stream.set_read_timeout(Some(LONG)).expect("set");
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        match &answer {
            b"HTTP/1.1 200" => served += 1,
            b"HTTP/1.1 429" => turned += 1,
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    assert_eq!((served, turned), (64, 56), "one address has as many streams as one may have");
    assert!(site.ask("/v1/leader").starts_with("HTTP/1.1 200"));
}

/// What Prometheus says of a text that it is given.
fn promtool(arguments: &[&str], text: &str) -> bool {
    let spawned = Command::new("promtool").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut tool) = spawned else {
        assert!(std::env::var_os("TANIST_TESTS_MUST_RUN").is_none(), "there is no promtool here");
        eprintln!("skipped: there is no promtool here");
        return false;
    };
    tool.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let out = tool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&out.stdout);
    // It says what could be better on standard error, which is the test's.
    assert!(out.status.success(), "promtool {arguments:?}: {said}\n{text}");
    true
}

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).expect("it is there")
}

/// The value of a sample, by its name and labels.
fn value(metrics: &str, sample: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in {metrics}")).parse().expect("a number")
}

#[test]
fn the_metrics_are_what_happened_and_prometheus_takes_them() {
    let site = Site::new();
    let address = address(&site);
    let _agent = start(&site, address, &["--http-writes=true", "--name", "desk \"1\""]);
    for n in 0..3 {
        let put = format!("PUT /v1/keys/{n} HTTP/1.1\r\nHost: {address}");
        assert!(raw(address, &put, "hall").starts_with("HTTP/1.1 200"));
    }
    let refused = format!("PUT /v1/keys/1 HTTP/1.1\r\nHost: {address}\r\nIf-None-Match: *");
    assert!(raw(address, &refused, "attic").starts_with("HTTP/1.1 412"));
    let answer = ask(address, "GET", "/metrics");
    let (head, metrics) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    for (sample, expected) in [
        ("tanist_role{role=\"leading\"}", 1.0),
        ("tanist_role{role=\"following\"}", 0.0),
        ("tanist_epoch", 1.0),
        ("tanist_leader_known", 1.0),
        ("tanist_successor_known", 0.0),
        ("tanist_leader_changes_total{cause=\"first\"}", 1.0),
        ("tanist_leader_changes_total{cause=\"died\"}", 0.0),
        ("tanist_members{state=\"alive\"}", 1.0),
        ("tanist_events_total{event=\"leading\"}", 1.0),
        ("tanist_suspicions_total", 0.0),
        ("tanist_revision", 3.0),
        ("tanist_lag", 0.0),
        ("tanist_writes_total{outcome=\"acknowledged\"}", 3.0),
        ("tanist_writes_total{outcome=\"refused\"}", 1.0),
        ("tanist_write_seconds_count", 3.0),
        ("tanist_write_seconds_bucket{le=\"+Inf\"}", 3.0),
        ("tanist_failover_seconds_count", 0.0),
        ("tanist_disk_failures_total{store=\"data\"}", 0.0),
        ("tanist_trouble{trouble=\"disk\"}", 0.0),
        ("tanist_ignored_total{reason=\"malformed\"}", 0.0),
    ] {
        assert_eq!(value(metrics, sample), expected, "{sample}");
    }
    for sample in [
        "tanist_heartbeats_sent_total",
        "tanist_write_seconds_sum",
        "tanist_disk_sync_seconds_count{store=\"data\"}",
        "tanist_disk_sync_seconds_count{store=\"state\"}",
        "tanist_store_bytes{store=\"data\"}",
        "tanist_store_bytes{store=\"state\"}",
    ] {
        assert!(value(metrics, sample) > 0.0, "{sample}");
    }
    assert!(metrics.contains("tanist_info{cluster=\"test\",name=\"desk \\\"1\\\"\",version="), "{metrics}");
    every_named_metric_exists(metrics);
    promtool(&["check", "metrics"], metrics);
}

/// The alerts and the dashboard ask for what there is.
fn every_named_metric_exists(metrics: &str) {
    let known: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    let named = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.filter(|word| word.starts_with("tanist_")).map(str::to_owned).collect()
    };
    for file in ["prometheus-alerts.yml", "grafana-dashboard.json"] {
        let named = named(&document(file));
        assert!(named.len() > 6, "{file} names {named:?}");
        for name in named {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
            assert!(known.contains(name.as_str()) || known.contains(family), "{file}: there is no {name}");
        }
    }
    let told = document("operations.md");
    for name in known {
        assert!(told.contains(&format!("`{name}`")), "docs/operations.md does not explain {name}");
    }
}

#[test]
fn the_dashboard_is_one_and_asks_what_prometheus_understands() {
    let dashboard: serde_json::Value = serde_json::from_str(&document("grafana-dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids.len(), panels.len(), "each has an id of its own");
    let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
    let annotations = dashboard["annotations"]["list"].as_array().expect("annotations").iter();
    let asked = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets")).chain(annotations);
    for (n, asks) in asked.enumerate() {
        let question = asks["expr"].as_str().expect("a question");
        let question =
            question.replace("$job", "tanist").replace("$__rate_interval", "1m").replace("$__interval", "1m");
        rules.push_str(&format!("      - record: asked:{n}\n        expr: '{question}'\n"));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("rules.yml");
    fs::write(&path, rules).expect("written");
    promtool(&["check", "rules", path.to_str().expect("text")], "");
}

/// Two machines, of which so many lead, and whether each knows a successor.
const SERIES: &str = r#"
      - { series: 'tanist_info{job="t",instance="a",cluster="office",name="pc-1"}', values: '1x60' }
      - { series: 'tanist_info{job="t",instance="b",cluster="office",name="pc-2"}', values: '1x60' }
      - { series: 'tanist_role{job="t",instance="a",role="leading"}', values: '1x60' }
      - { series: 'tanist_members{job="t",instance="a",state="alive"}', values: '2x60' }
      - { series: 'tanist_leader_known{job="t",instance="b"}', values: 'KNOWNx60' }
      - { series: 'tanist_successor_known{job="t",instance="a"}', values: 'NEXTx60' }
      - { series: 'tanist_role{job="t",instance="b",role="leading"}', values: 'OTHERx60' }
      - { series: 'tanist_trouble{job="t",instance="b",trouble="disk"}', values: 'DISKx60' }
      - { series: 'tanist_suspicions_total{job="t",instance="b"}', values: '0+SUSPECTSx60' }
      - { series: 'tanist_lag{job="t",instance="b"}', values: 'LAGx60' }
      - { series: 'tanist_leader_changes_total{job="t",instance="b",cause="died"}', values: '0+CHANGESx60' }
"#;

/// Every alert that these values raise, by name.
fn raised(values: &[(&str, &str)]) -> Option<BTreeSet<String>> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/prometheus-alerts.yml");
    let calm = [
        ("KNOWN", "1"),
        ("NEXT", "1"),
        ("OTHER", "0"),
        ("DISK", "0"),
        ("SUSPECTS", "0"),
        ("LAG", "0"),
        ("CHANGES", "0"),
    ];
    let series = calm.iter().fold(SERIES.to_owned(), |series, (word, calm)| {
        let value = values.iter().find(|(name, _)| name == word).map_or(*calm, |(_, value)| value);
        series.replace(word, value)
    });
    let names: Vec<String> = document("prometheus-alerts.yml")
        .lines()
        .filter_map(|line| Some(line.split_once("- alert: ")?.1.to_owned()))
        .collect();
    let silent = |name: &String| format!("      - {{ eval_time: 50m, alertname: {name}, exp_alerts: [] }}\n");
    let expected: String = names.iter().map(silent).collect();
    let test = format!(
        "rule_files: ['{}']\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:{series}    alert_rule_test:\n{expected}",
        rules.display()
    );
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("test.yml");
    fs::write(&path, test).expect("written");
    let Ok(out) = Command::new("promtool").args(["test", "rules"]).arg(&path).output() else {
        assert!(std::env::var_os("TANIST_TESTS_MUST_RUN").is_none(), "there is no promtool here");
        eprintln!("skipped: there is no promtool here");
        return None;
    };
    // It names each alert that was not expected.
    let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    let raised: BTreeSet<String> =
        names.into_iter().filter(|name| said.contains(&format!("alertname: {name},"))).collect();
    assert_eq!(out.status.success(), raised.is_empty(), "{said}");
    Some(raised)
}

#[test]
fn each_alert_is_raised_by_what_it_is_for() {
    for (values, expected) in [
        (vec![], vec![]),
        (vec![("KNOWN", "0")], vec!["TanistNoLeader"]),
        (vec![("OTHER", "1")], vec!["TanistSeveralLeaders"]),
        (vec![("NEXT", "0")], vec!["TanistNoSuccessor"]),
        (vec![("DISK", "1")], vec!["TanistDiskFails"]),
        (vec![("SUSPECTS", "2")], vec!["TanistHeartbeatsLost"]),
        (vec![("LAG", "2000")], vec!["TanistCopyBehind"]),
        (vec![("CHANGES", "1")], vec!["TanistLeaderChangesOften"]),
    ] {
        let Some(raised) = raised(&values) else { return };
        assert_eq!(raised, expected.into_iter().map(str::to_owned).collect(), "{values:?}");
    }
}
