//! A stand-in for an agent of a large office: it serves the page of a real agent, and made-up answers to what that asks.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use tanist::event::Cause;
use tanist::ident::NodeId;
use tanist::message::MemberState;
use tanist::protocol::{RoleName, Trouble};
use tanist::time::Wall;
use tanist::view::{History, Machine, Member, Members, Own, Reign, Stamp, Status};
use uuid::Uuid;

/// A name that would be markup if it were not text.
pub const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// What the stand-in says.
pub struct Crowd {
    /// The page, as a real agent answered: head and body.
    page: Vec<u8>,
    status: Value,
    members: Value,
    history: Value,
    conflicts: Value,
}

fn id(n: usize) -> NodeId {
    NodeId(Uuid::from_u128(0x6f00_0000_0000_4000_8000_0000_0000_0000 + ((n as u128) << 100) + n as u128))
}

fn name(n: usize) -> String {
    match n {
        7 => HOSTILE.to_owned(),
        11 => "a-machine-with-a-very-long-name-that-nobody-would-type.office.example".to_owned(),
        _ => format!("{}-{n:03}", ["desk", "lab", "hall", "office"][n % 4]),
    }
}

fn machine(n: usize) -> Machine {
    let address = SocketAddr::from(([192, 0, 2, n as u8], 8264));
    let host = Some(address.ip().to_string());
    Machine { id: id(n), name: name(n), address: Some(address), host, port: Some(8264) }
}

fn member(n: usize) -> Member {
    let Machine { id, name, address, host, port } = machine(n);
    let state = match n % 29 {
        17 => MemberState::Silent,
        23 => MemberState::Left,
        _ => MemberState::Alive,
    };
    let alive = state == MemberState::Alive;
    let lag = if n % 31 == 9 { 40 + n as u64 } else { 0 };
    Member {
        id,
        name,
        address,
        host,
        port,
        own: n == 3,
        role: if n == 0 { RoleName::Leading } else { RoleName::Following },
        successor: n == 1,
        state,
        last_heard_ms: Some(if alive { 90 + 7 * n as u64 } else { 3_700_000 }),
        revision: alive.then_some(52_104 - lag),
        lag: alive.then_some(lag),
        rtt_us: alive.then_some(300 + 11 * n as u64),
        version: "0.1.0".to_owned(),
        priority: 100,
        via: (n == 5).then(|| machine(4)),
        place: (alive && n > 0).then_some(n),
        because: match n {
            0 => "leads".to_owned(),
            1 => "named successor".to_owned(),
            _ => format!("round trip {}.{} ms", n / 10, n % 10),
        },
    }
}

fn reigns() -> Vec<Reign> {
    let causes = [Cause::Handover, Cause::Died, Cause::Silent, Cause::Goodbye, Cause::Store, Cause::Reunion];
    let at = |hours: u64| Stamp(Wall(1_795_000_000_000_000 + hours * 3_600_000_000));
    let reign = |n: usize| Reign {
        epoch: 40 - n as u64,
        leader: machine(if n == 2 { 7 } else { (n * n) % 5 }),
        began: at(60 - 3 * n as u64),
        ended: (n > 0).then(|| at(63 - 3 * n as u64)),
        cause: causes[n % causes.len()],
        text: format!("{} noticed: its connection was reset; 3.2 ms from the first sign to the new leader", name(4)),
    };
    (0..20).map(reign).collect()
}

impl Crowd {
    /// So many members.
    pub fn new(page: Vec<u8>, members: usize) -> Crowd {
        let status = Status {
            node: Own { id: id(3), name: name(3), version: "0.1.0".to_owned(), boot: "1".to_owned() },
            cluster: "office".to_owned(),
            role: RoleName::Following,
            epoch: 40,
            leader: Some(machine(0)),
            successor: Some(machine(1)),
            via: None,
            revision: 52_104,
            digest: "0".repeat(32),
            conflicts: 1,
            trouble: vec![Trouble::DoubleName],
            kept_aside: 0,
            members,
            quorum: 1,
            keyed: false,
            since: reigns()[0].began,
        };
        let side =
            |n: usize, value: &str| json!({"at": reigns()[3].began, "node": id(n), "deleted": false, "value": value});
        let mut conflict = side(7, "<b>upstairs</b>");
        conflict["id"] = json!("40-17");
        conflict["key"] = json!("config/<i>printer</i>");
        conflict["present"] = side(2, "hall");
        let history = History { reigns: reigns(), reunions: Vec::new(), drills: Vec::new() };
        let all = Members { members: (0..members).map(member).collect() };
        let value = |result: Result<Value, serde_json::Error>| result.expect("JSON");
        Crowd {
            page,
            status: value(serde_json::to_value(status)),
            members: value(serde_json::to_value(all)),
            history: value(serde_json::to_value(history)),
            conflicts: json!({"conflicts": [conflict], "cursor": "40-99", "next": null}),
        }
    }

    /// Nobody leads any more, and nobody does yet.
    pub fn without_a_leader(mut self) -> Crowd {
        self.status["leader"] = Value::Null;
        self.members["members"][0]["state"] = json!("silent");
        self.members["members"][0]["role"] = json!("following");
        self
    }

    /// Serves it for as long as the test runs.
    pub fn serve(self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let crowd = Arc::new(self);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let crowd = Arc::clone(&crowd);
                std::thread::spawn(move || crowd.answer(stream));
            }
        });
        address
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines().map_while(Result::ok);
        let Some(asked) = lines.next() else { return };
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        let path = asked.split(' ').nth(1).unwrap_or_default();
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let body = match path {
            "/" => {
                let _ = stream.write_all(&self.page);
                return;
            }
            "/v1/status" => &self.status,
            "/v1/members" => &self.members,
            "/v1/history" => &self.history,
            "/v1/conflicts" => &self.conflicts,
            "/v1/events" => {
                let at = reigns()[0].began;
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n";
                let event = |level, text: &str| json!({"at": at, "event": "following", "epoch": 40, "level": level, "text": text});
                let lines = [event("info", "following desk-000: epoch 40"), event("warn", HOSTILE)];
                let _ = stream.write_all(format!("{head}{}\n{}\n", lines[0], lines[1]).as_bytes());
                // Until the page goes away.
                let _ = stream.read(&mut [0]);
                return;
            }
            other => panic!("the page asks for {other}"),
        };
        let body = body.to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length";
        let _ = stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes());
    }
}
