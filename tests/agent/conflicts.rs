//! A split as users see it: both sides write one key, they meet, and a person settles what nobody else can.

use crate::data::runtime;
use crate::site::{Agent, LONG, Site, free_port};
use nix::sys::signal::Signal;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tanist::client::{Client, Condition, Reading};

/// What a command says to this agent's socket, when it ends well.
fn tanist(site: &Site, arguments: &[&str]) -> String {
    let mut command = Command::new(crate::site::TANIST);
    let output = command.env("TANIST_SOCKET", &site.socket).args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn start(site: &Site, name: &str) -> Agent {
    Agent::spawn(site.command().args(["--name", name]))
}

/// Waits until readers of both see the same.
async fn same(sites: [&Site; 2]) {
    let until = Instant::now() + LONG;
    loop {
        let [a, b] = sites.map(|site| Client::at(&site.socket));
        let (a, b) = (a.status().await, b.status().await);
        if let (Ok(a), Ok(b)) = (&a, &b)
            && (a.revision, &a.digest) == (b.revision, &b.digest)
            && a.leader == b.leader
        {
            return;
        }
        assert!(Instant::now() < until, "{a:?} {b:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn value(site: &Site, key: &str) -> Option<String> {
    let value = Client::at(&site.socket).get(key, Reading::default()).await.expect("it reads")?;
    Some(String::from_utf8(value.value.into()).expect("text"))
}

#[test]
fn what_both_sides_of_a_split_wrote_is_a_conflict_until_somebody_settles_it() {
    let (first, mut second) = (Site::new(), Site::new());
    // They do not hear each other: another port.
    let (mut one, mut two) = (start(&first, "one"), start(&second, "two"));
    one.line("event=leading");
    two.line("event=leading");
    runtime().block_on(async {
        for (site, side) in [(&first, "here"), (&second, "there")] {
            let client = Client::at(&site.socket);
            client.put("both", side, Condition::None).await.expect("a lone leader serves");
            client.put(side, side, Condition::None).await.expect("a lone leader serves");
            client.add("jobs", side).await.expect("a lone leader serves");
        }
    });
    assert_eq!(tanist(&second, &["conflicts"]), "no conflicts\n");
    two.signal(Signal::SIGTERM);
    assert!(two.end().0.success());
    second.port = first.port;
    let mut two = start(&second, "two");
    two.line("following one");
    runtime().block_on(async {
        same([&first, &second]).await;
        for site in [&first, &second] {
            let client = Client::at(&site.socket);
            assert_eq!(client.conflicts(None).await.expect("it reads").conflicts.len(), 1);
            assert_eq!(value(site, "both").await.as_deref(), Some("here"), "the leader's value stays");
            assert_eq!(value(site, "there").await.as_deref(), Some("there"), "what one side wrote is no conflict");
            assert_eq!(client.records("jobs", None).await.expect("it reads").records.len(), 2);
            assert_eq!(client.status().await.expect("it answers").conflicts, 1);
        }
    });
    let shown = tanist(&second, &["conflicts"]);
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let (id, present) = (lines[1][0], &lines[1]);
    assert_eq!(
        (&present[1..4], &lines[2][..2]),
        (&["both", "present", "here"][..], &["other", "there"][..]),
        "{shown}"
    );
    assert!(present.contains(&"one") && lines[2].contains(&"two"), "who wrote them: {shown}");
    let version = present.last().expect("a version");
    tanist(&second, &["conflicts", "resolve", id, "--other", "--if-version", version]);
    runtime().block_on(async {
        same([&first, &second]).await;
        for site in [&first, &second] {
            assert_eq!(value(site, "both").await.as_deref(), Some("there"));
        }
    });
    // It does not come back, whoever leads.
    one.signal(Signal::SIGKILL);
    one.end();
    two.line("event=leading");
    let mut one = start(&first, "one");
    one.line("following two");
    runtime().block_on(same([&first, &second]));
    for site in [&first, &second] {
        assert_eq!(tanist(site, &["conflicts"]), "no conflicts\n");
        assert_eq!(runtime().block_on(value(site, "both")).as_deref(), Some("there"));
    }
}

/// What is trimmed does not come back from a machine that was away with it.
#[test]
fn what_was_trimmed_does_not_come_back() {
    let (first, mut second) = (Site::new(), Site::new());
    second.port = first.port;
    let mut one = start(&first, "one");
    one.line("event=leading");
    let mut two = start(&second, "two");
    two.line("following one");
    runtime().block_on(async {
        let client = Client::at(&first.socket);
        for n in 0..20 {
            client.add("jobs", n.to_string()).await.expect("added");
        }
        same([&first, &second]).await;
    });
    two.signal(Signal::SIGKILL);
    two.end();
    assert_eq!(tanist(&first, &["trim", "jobs", "--keep", "3"]), "dropped 17 records of jobs\n");
    one.signal(Signal::SIGKILL);
    one.end();
    // The one that has all of them leads alone and adds one more; then the other comes with its trim.
    second.port = free_port(second.ip);
    let mut two = Agent::spawn(second.command().args(["--name", "two", "--lone-after", "1s"]));
    two.line("event=leading");
    runtime().block_on(async {
        let client = Client::at(&second.socket);
        client.add("jobs", "more").await.expect("added");
        // What was pending at its end is acknowledged with that, at the latest.
        assert_eq!(client.records("jobs", None).await.expect("it reads").records.len(), 21);
    });
    let first = Site { port: second.port, ..first };
    let one = start(&first, "one");
    runtime().block_on(async {
        same([&first, &second]).await;
        for site in [&first, &second] {
            let records = Client::at(&site.socket).records("jobs", None).await.expect("it reads").records;
            let values: Vec<String> =
                records.iter().map(|r| String::from_utf8_lossy(r.content.bytes()).into_owned()).collect();
            assert_eq!(values, ["17", "18", "19", "more"]);
            let topics = Client::at(&site.socket).topics(None).await.expect("it reads").topics;
            assert_eq!((topics[0].records, topics[0].bytes), (4, 10));
        }
    });
    drop((one, two));
}
