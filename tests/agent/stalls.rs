//! An agent whose process stands still, and what it tells its users when it goes on.

use crate::site::{Agent, LONG, Site};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A question that waits for its answer.
struct Asked(&'static str, UnixStream);

impl Asked {
    fn new(site: &Site, what: &'static str) -> Self {
        let mut stream = UnixStream::connect(&site.socket).expect("the kernel takes the connection");
        stream.set_read_timeout(Some(LONG)).expect("set");
        write!(stream, "GET {what} HTTP/1.1\r\nHost: tanist\r\nConnection: close\r\n\r\n").expect("sent");
        Self(what, stream)
    }

    fn answer(mut self) -> String {
        let mut answer = String::new();
        self.1.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

fn put(site: &Site, value: &str) {
    let mut stream = UnixStream::connect(&site.socket).expect("it is served");
    stream.set_read_timeout(Some(LONG)).expect("set");
    let head = "PUT /v1/keys/k HTTP/1.1\r\nHost: tanist\r\nConnection: close\r\nContent-Length:";
    write!(stream, "{head} {}\r\n\r\n{value}", value.len()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// So many agents, of which the first leads and the second is its successor.
fn office(size: usize) -> (Vec<Site>, Vec<Agent>) {
    let mut sites: Vec<Site> = (0..size).map(|_| Site::new()).collect();
    let port = sites[0].port;
    let mut agents: Vec<Agent> = Vec::new();
    for (n, site) in sites.iter_mut().enumerate() {
        site.port = port;
        let mut agent = Agent::spawn(site.command().args(["--name", &format!("pc{n}")]));
        agent.line(if n == 0 { "event=leading" } else { "following pc0: epoch 1" });
        agents.push(agent);
        if n == 1 {
            agents[0].line("successor is pc1");
        }
    }
    (sites, agents)
}

#[test]
fn a_leader_that_was_replaced_while_it_stood_still_never_says_that_it_leads() {
    let (sites, mut agents) = office(3);
    put(&sites[0], "old");
    agents[0].signal(Signal::SIGSTOP);
    agents[2].line("following pc1: epoch 2");
    put(&sites[1], "new");
    let questions = ["/v1/is-leader", "/v1/leader", "/v1/status", "/v1/members", "/v1/keys/k?fresh=true"];
    let asked: Vec<Asked> = questions.into_iter().cycle().take(20).map(|what| Asked::new(&sites[0], what)).collect();
    agents[0].signal(Signal::SIGCONT);
    for asked in asked {
        let what = asked.0;
        no_longer_leads(what, &asked.answer());
    }
    let until = Instant::now() + Duration::from_millis(500);
    for what in questions.into_iter().cycle() {
        no_longer_leads(what, &Asked::new(&sites[0], what).answer());
        if Instant::now() >= until {
            break;
        }
    }
    agents[0].line("following pc1: epoch 2");
}

/// What the one that was replaced may say: that the other leads, what the other holds, or nothing for now.
fn no_longer_leads(what: &str, answer: &str) {
    if answer.starts_with("HTTP/1.1 503") {
        return;
    }
    assert_ne!(what, "/v1/is-leader", "{answer}");
    let says = match what {
        "/v1/keys/k?fresh=true" => answer.ends_with("\r\n\r\nnew"),
        "/v1/members" => !answer.contains("\"self\":true,\"role\":\"leading\""),
        "/v1/leader" => answer.contains("\"name\":\"pc1\"") && answer.contains("\"epoch\":2"),
        // For a moment it follows nobody yet.
        _ => answer.contains("\"role\":\"following\""),
    };
    assert!(says, "{what}: {answer}");
}

/// Of two that each lead alone the first may lead on; it says so when it does, in a reign above the other's.
#[test]
fn a_leader_that_leads_on_after_it_stood_still_says_so_in_its_new_reign() {
    let (sites, mut agents) = office(2);
    agents[0].signal(Signal::SIGSTOP);
    agents[1].line("event=leading");
    let asked: Vec<Asked> = (0..10).map(|_| Asked::new(&sites[0], "/v1/is-leader")).collect();
    agents[0].signal(Signal::SIGCONT);
    for answer in asked.into_iter().map(Asked::answer) {
        assert!(!answer.contains("\"epoch\":1"), "{answer}");
    }
    let leads = Asked::new(&sites[0], "/v1/is-leader").answer();
    assert!(leads.starts_with("HTTP/1.1 503") || leads.contains("\"epoch\":3"), "{leads}");
}
