use super::*;
use crate::agent::clock::within;
use crate::agent::cut::Cut;
use crate::agent::journal::{Journal, Level};
use crate::agent::routes::Routes;
use crate::message::{Ping, Pong, Via};
use bytes::BufMut;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LONG: Duration = Duration::from_secs(20);

struct Host {
    connections: Connections,
    inbox: mpsc::Receiver<Report>,
    at: SocketAddr,
    later: Vec<Input>,
}

impl Host {
    fn new() -> Host {
        Host::behind(Cut::default())
    }

    fn behind(cut: Cut) -> Host {
        let (journal, _) = Journal::start(Level::Error).expect("a thread");
        let listener = bind(Some([127, 0, 0, 1].into()), 0).expect("a port");
        let at = listener.local_addr().expect("bound");
        let dialer = Dialer { from: Some([127, 0, 0, 1].into()), routes: Routes::default(), cut };
        let counts = Arc::new(Counts::new(journal));
        let (connections, inbox) = Connections::new(listener, Arc::new(Wire::new("test")), dialer, counts);
        Host { connections, inbox, at, later: Vec::new() }
    }

    async fn next(&mut self) -> Input {
        while self.later.is_empty() {
            let report = within(LONG, self.inbox.recv()).await.expect("something happens").expect("it lives");
            let (first, second) = self.connections.input(report);
            self.later.extend(first.into_iter().chain(second));
        }
        self.later.remove(0)
    }

    fn send(&mut self, conn: ConnId, frame: &Frame) {
        assert_eq!(self.connections.send(&[conn], frame), []);
    }
}

fn ping(seq: u64) -> Frame {
    Frame::Ping(Ping { seq, deaf: false, rtt_us: None, hold_ms: 0, sick: false })
}

fn pong(seq: u64) -> Frame {
    Frame::Pong(Pong { seq, held_us: 0 })
}

fn bytes_of(frame: &Frame) -> Vec<u8> {
    let body = Wire::new("test").frame(frame).expect("short");
    let mut bytes = Vec::new();
    bytes.put_u32(u32::try_from(body.len()).expect("short"));
    bytes.put_slice(&body);
    bytes
}

/// Two hosts with a connection between them: the number at the dialling one, and at the other.
async fn pair() -> (Host, ConnId, Host, ConnId) {
    let (mut one, mut two) = (Host::new(), Host::new());
    let conn = ConnId(1);
    assert_eq!(one.connections.dial(conn, two.at), None);
    one.send(conn, &ping(1));
    assert_eq!(one.next().await, Input::Connected { conn });
    let Input::Accepted { conn: other, from } = two.next().await else { panic!("accepted first") };
    assert_eq!(from.ip(), one.at.ip());
    assert_eq!(two.next().await, Input::Frame { conn: other, frame: ping(1) });
    (one, conn, two, other)
}

#[tokio::test]
async fn frames_go_both_ways_in_order_and_an_end_is_a_reset() {
    let (mut one, conn, mut two, other) = pair().await;
    for seq in 2..100 {
        one.send(conn, &ping(seq));
        two.send(other, &pong(seq));
    }
    for seq in 2..100 {
        assert_eq!(two.next().await, Input::Frame { conn: other, frame: ping(seq) });
        assert_eq!(one.next().await, Input::Frame { conn, frame: pong(seq) });
    }
    two.send(other, &pong(100));
    two.connections.close(other);
    assert_eq!(one.next().await, Input::Frame { conn, frame: pong(100) }, "what was given is sent first");
    assert_eq!(one.next().await, Input::Closed { conn, how: Closed::Reset });
    within(LONG, two.connections.end()).await.expect("nothing is left");
}

/// The cable between the two is cut and mended at one end.
#[tokio::test]
async fn behind_a_cut_cable_is_silence_and_nothing_ends() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("cut");
    let cut = Cut::follow(file.clone());
    let (mut one, mut two) = (Host::behind(cut.clone()), Host::new());
    assert_eq!(one.connections.dial(ConnId(1), two.at), None);
    one.send(ConnId(1), &ping(1));
    assert_eq!(one.next().await, Input::Connected { conn: ConnId(1) });
    let Input::Accepted { conn: other, .. } = two.next().await else { panic!("accepted first") };
    assert_eq!(two.next().await, Input::Frame { conn: other, frame: ping(1) });
    std::fs::write(&file, "127.0.0.1").expect("written");
    within(LONG, async {
        while !cut.has(two.at.ip()) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the file is seen");
    // What is open, what is dialled, and what the other end dials.
    one.send(ConnId(1), &ping(2));
    two.send(other, &pong(2));
    assert_eq!(one.connections.dial(ConnId(2), two.at), None);
    assert_eq!(two.connections.dial(ConnId(3), one.at), None);
    two.send(ConnId(3), &ping(3));
    assert_eq!(two.next().await, Input::Connected { conn: ConnId(3) }, "the kernel says so");
    let silence = Duration::from_millis(300);
    let (here, there) = tokio::join!(within(silence, one.next()), within(silence, two.next()));
    assert_eq!((here, there), (None, None));
    std::fs::remove_file(&file).expect("removed");
    let mut here = Vec::new();
    while here.len() < 4 {
        here.push(one.next().await);
    }
    assert!(here.contains(&Input::Frame { conn: ConnId(1), frame: pong(2) }), "{here:?}");
    assert!(here.contains(&Input::Connected { conn: ConnId(2) }), "{here:?}");
    assert!(here.iter().any(|input| matches!(input, Input::Frame { frame, .. } if *frame == ping(3))), "{here:?}");
    assert_eq!(two.next().await, Input::Frame { conn: other, frame: ping(2) });
}

#[tokio::test]
async fn a_dial_behind_a_cut_cable_is_nobodys_refusal() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("cut");
    std::fs::write(&file, "127.0.0.1").expect("written");
    let mut one = Host::behind(Cut::follow(file));
    let two = Host::new();
    assert_eq!(one.connections.dial(ConnId(1), two.at), None);
    assert_eq!(one.next().await, Input::Closed { conn: ConnId(1), how: Closed::Local });
}

#[tokio::test]
async fn a_dial_that_is_given_up_says_nothing() {
    let (mut one, mut two) = (Host::new(), Host::new());
    for conn in [ConnId(1), ConnId(2)] {
        assert_eq!(one.connections.dial(conn, two.at), None);
        one.send(conn, &ping(conn.0));
        if conn == ConnId(2) {
            assert_eq!(one.next().await, Input::Connected { conn });
        }
        one.connections.close(conn);
    }
    let Input::Accepted { conn, .. } = two.next().await else { panic!("accepted") };
    assert_eq!(two.next().await, Input::Frame { conn, frame: ping(2) }, "what is open sends what it was given");
    assert_eq!(two.next().await, Input::Closed { conn, how: Closed::Reset });
    assert_eq!(one.connections.dial(ConnId(3), two.at), None);
    one.send(ConnId(3), &ping(3));
    within(LONG, one.connections.end()).await.expect("nothing is left");
    let nothing = within(Duration::from_millis(100), two.next()).await;
    assert_eq!(nothing, None, "the first and the third were given up before they were open");
}

#[tokio::test]
async fn a_refusal_is_told_from_what_this_machine_could_not_do() {
    let mut host = Host::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    host.connections.dial(ConnId(1), free);
    assert_eq!(host.next().await, Input::Closed { conn: ConnId(1), how: Closed::Refused });
    // From a loopback address nothing leads out of the machine.
    host.connections.dial(ConnId(2), "192.0.2.1:9".parse().expect("an address"));
    assert_eq!(host.next().await, Input::Closed { conn: ConnId(2), how: Closed::Local });
}

#[tokio::test]
async fn what_is_no_frame_of_this_cluster_ends_the_connection() {
    let mut host = Host::new();
    for (what, bytes) in [("garbage", vec![0, 0, 0, 2, 0xc1, 0xc1]), ("too long", vec![0xff; 4])] {
        let mut stream = TcpStream::connect(host.at).await.expect("it listens");
        stream.write_all(&bytes_of(&ping(7))).await.expect("sent");
        let Input::Accepted { conn, .. } = host.next().await else { panic!("{what}: accepted") };
        assert_eq!(host.next().await, Input::Frame { conn, frame: ping(7) });
        stream.write_all(&bytes).await.expect("sent");
        assert_eq!(host.next().await, Input::Closed { conn, how: Closed::Local }, "{what}");
        let end = within(LONG, stream.read(&mut [0; 8])).await.expect("an end");
        assert!(end.is_err() || end.is_ok_and(|n| n == 0), "{what}");
    }
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off() {
    let mut host = Host::new();
    let mut stream = TcpStream::connect(host.at).await.expect("it listens");
    stream.write_all(&bytes_of(&ping(1))).await.expect("sent");
    let Input::Accepted { conn, .. } = host.next().await else { panic!("accepted") };
    host.next().await;
    let text = "x".repeat(400);
    let cut = (0..1_000_000).find_map(|_| host.connections.send(&[conn], &Frame::ViaFailed(text.clone())).pop());
    assert_eq!(cut, Some(Input::Closed { conn, how: Closed::Local }));
    assert_eq!(host.connections.send(&[conn], &ping(1)), [], "it is forgotten");
}

#[tokio::test]
async fn a_connection_is_passed_on_both_ways_and_ends_as_one() {
    let (mut one, conn, mut middle, other) = pair().await;
    let mut far = Host::new();
    one.send(conn, &Frame::Via(Via { to: crate::wire::samples::node(1) }));
    assert!(matches!(middle.next().await, Input::Frame { frame: Frame::Via(_), .. }));
    assert_eq!(middle.connections.pipe(other, far.at), None);
    assert_eq!(one.next().await, Input::Frame { conn, frame: Frame::ViaReady });
    one.send(conn, &ping(2));
    let Input::Accepted { conn: end, .. } = far.next().await else { panic!("accepted") };
    assert_eq!(far.next().await, Input::Frame { conn: end, frame: ping(2) });
    far.send(end, &pong(2));
    assert_eq!(one.next().await, Input::Frame { conn, frame: pong(2) });
    far.connections.close(end);
    assert_eq!(one.next().await, Input::Closed { conn, how: Closed::Reset });
    assert_eq!(middle.next().await, Input::Closed { conn: other, how: Closed::Reset });
}

#[tokio::test]
async fn a_pipe_that_cannot_be_laid_says_why_and_the_connection_stays() {
    let (mut one, conn, mut middle, other) = pair().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    assert_eq!(middle.connections.pipe(other, free), None);
    let Input::Frame { frame: Frame::ViaFailed(why), .. } = one.next().await else { panic!("it failed") };
    assert!(why.contains("refused"), "{why}");
    one.send(conn, &ping(3));
    assert_eq!(middle.next().await, Input::Frame { conn: other, frame: ping(3) });
}

#[tokio::test]
async fn one_address_cannot_take_every_place() {
    let mut host = Host::new();
    let mut streams = Vec::new();
    for _ in 0..FROM_ONE {
        let mut stream = TcpStream::connect(host.at).await.expect("it listens");
        stream.write_all(&bytes_of(&ping(1))).await.expect("sent");
        assert!(matches!(host.next().await, Input::Accepted { .. }));
        host.next().await;
        streams.push(stream);
    }
    let mut beyond = TcpStream::connect(host.at).await.expect("it listens");
    beyond.write_all(&bytes_of(&ping(1))).await.expect("sent");
    let report = within(LONG, host.inbox.recv()).await.expect("something happens").expect("it lives");
    assert_eq!(host.connections.input(report), (None, None), "the core does not hear of it");
    let end = within(LONG, beyond.read(&mut [0; 8])).await.expect("an end");
    assert!(end.is_err() || end.is_ok_and(|n| n == 0));
    assert_eq!(host.connections.dial(ConnId(1), host.at), None, "and there is room to dial");
}

#[tokio::test]
async fn long_frames_that_never_end_take_little_memory() {
    let mut host = Host::new();
    let mut streams = Vec::new();
    for n in 0..=LARGE {
        let mut stream = TcpStream::connect(host.at).await.expect("it listens");
        stream.write_all(&bytes_of(&ping(1))).await.expect("sent");
        assert!(matches!(host.next().await, Input::Accepted { .. }));
        host.next().await;
        let mut begun = u32::try_from(crate::wire::FRAME_MAX).expect("short").to_be_bytes().to_vec();
        begun.resize(200 * 1024, 0);
        // The last one may be closed while it is still sending.
        let sent = stream.write_all(&begun).await;
        assert!(sent.is_ok() || n == LARGE);
        streams.push(stream);
        // Every one but the last holds its place before the next one comes.
        while n < LARGE && host.connections.common.large.available_permits() > LARGE - n - 1 {
            tokio::task::yield_now().await;
        }
    }
    assert!(matches!(host.next().await, Input::Closed { how: Closed::Local, .. }), "one too many");
    // A place is free again when a connection ends.
    streams.clear();
    for _ in 0..LARGE {
        assert!(matches!(host.next().await, Input::Closed { .. }));
    }
    assert_eq!(host.connections.common.large.available_permits(), LARGE);
}
