//! The status page in a real browser: it follows a failover, says when its agent is gone, and stays readable with 200 members.
//! Pictures of it are kept in `target/tmp/page/`.

#![expect(clippy::disallowed_methods, reason = "tests of real processes have real deadlines")]

mod browser;
#[path = "../common/mod.rs"]
mod common;
mod crowd;

use browser::Browser;
use common::{Agent, Lan, in_time};
use crowd::{Crowd, HOSTILE};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use tanist::data::Condition;
use tokio::sync::Mutex;

/// A window of a desk and one of a phone, and the schemes.
const LOOKS: [(&str, u32, u32, bool); 4] = [
    ("desk-light", 1280, 900, false),
    ("desk-dark", 1280, 900, true),
    ("phone-light", 390, 844, false),
    ("phone-dark", 390, 844, true),
];

/// One browser at a time: two of them would make each other late.
static TURN: Mutex<()> = Mutex::const_new(());

/// Takes a picture of each look; the page is never wider than its window.
fn pictures(browser: &mut Browser, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    for (look, width, height, dark) in LOOKS {
        browser.looks(width, height, dark);
        browser.picture(&folder, &format!("{name}-{look}"));
        let wide = browser.value("document.documentElement.scrollWidth");
        assert!(wide.as_u64().is_some_and(|wide| wide <= u64::from(width)), "{name} is {wide} wide in {look}");
    }
}

/// Nothing that the page did left the agent that serves it, and nothing went wrong in it.
fn kept_to_itself(browser: &Browser, origin: &str, may_fail: bool) {
    let asked = browser.asked();
    assert!(asked.len() > 5, "{asked:?}");
    let own = |address: &&String| address.starts_with(&format!("{origin}/")) || address.starts_with("data:");
    assert_eq!(asked.iter().find(|address| !own(address)), None, "a request left the origin");
    assert_eq!(browser.complaints(may_fail), Vec::<String>::new());
}

/// Starts an agent that serves TCP, and says where.
async fn start(lan: &Lan, n: u8) -> (Agent, SocketAddr) {
    let port = TcpListener::bind((lan.address(n), 0)).expect("a port").local_addr().expect("bound").port();
    let address = SocketAddr::from((lan.address(n), port));
    (start_at(lan, n, address).await, address)
}

async fn start_at(lan: &Lan, n: u8, address: SocketAddr) -> Agent {
    let agent = lan.start_as(n, lan.command(n).args(["--http", &address.to_string()])).await;
    let mut again = tokio::time::interval(Duration::from_millis(5));
    in_time("TCP is served", async {
        while TcpStream::connect(address).is_err() {
            again.tick().await;
        }
    })
    .await;
    agent
}

/// Who leads, once all agree.
async fn leader(agents: &BTreeMap<u8, Agent>) -> String {
    let mut again = tokio::time::interval(Duration::from_millis(20));
    in_time("all follow one leader", async {
        loop {
            let mut named = Vec::new();
            for agent in agents.values() {
                let status = agent.client().status().await.ok();
                named
                    .push(status.filter(|s| s.members == agents.len() && s.successor.is_some()).and_then(|s| s.leader));
            }
            if let Some(Some(first)) = named.first()
                && named.iter().flatten().filter(|leader| leader.id == first.id).count() == agents.len()
            {
                return first.name.clone();
            }
            again.tick().await;
        }
    })
    .await
}

/// What the headline says.
const LEADER: &str = "document.querySelector('#leader').textContent";
/// How the newest reign in the list came about.
const WHY: &str = "document.querySelector('#reigns .why').textContent";

#[tokio::test]
async fn the_page_follows_a_failover_and_comes_back_with_its_agent() {
    let _turn = TURN.lock().await;
    let Some(mut browser) = Browser::start() else { return };
    let mut lan = Lan::new();
    lan.cluster = "office".to_owned();
    let (one, another) = (start(&lan, 1).await, start(&lan, 2).await);
    let addresses = [one.1, another.1];
    let mut agents = BTreeMap::from([(1, one.0), (2, another.0)]);
    for n in 3..=7 {
        agents.insert(n, lan.start(n).await);
    }
    let first = leader(&agents).await;
    let served = if first == "pc-1" { 2 } else { 1 };
    let (own, address) = (format!("pc-{served}"), addresses[usize::from(served) - 1]);
    for n in 0..5 {
        agents[&1].client().put(&format!("config/{n}"), "hall", Condition::None).await.expect("written");
    }
    let origin = format!("http://{address}");
    browser.looks(1280, 900, false);
    browser.open(&format!("{origin}/"));
    browser.until(&format!("{LEADER} === '{first} leads' && document.querySelectorAll('#rows tr').length === 7"));
    browser.until("document.querySelectorAll('#members g').length === 7");
    browser.until("document.querySelector('#facts').textContent.includes('revision 5')");
    pictures(&mut browser, "seven");

    // Away from the agent that serves the page, which is to see all of it.
    let heir = (1..=7).find(|n| *n != served && first != format!("pc-{n}")).expect("others");
    agents[&1].client().handover(Some(&format!("pc-{heir}"))).await.expect("handed over");
    browser.until(&format!("{LEADER} === 'pc-{heir} leads' && {WHY} === '{first} handed over'"));
    browser.until("document.querySelectorAll('#members g.next').length === 1");
    let killed = Instant::now();
    drop(agents.remove(&heir));
    browser.until(&format!("/^pc-[1-7] leads$/.test({LEADER}) && {LEADER} !== 'pc-{heir} leads'"));
    eprintln!("the page named the new leader {:?} after the kill", killed.elapsed());
    let second = browser.value("document.querySelector('#leader b').textContent");
    browser.until(&format!("document.querySelector('#reigns b').textContent === {second}"));
    browser.until(&format!("{WHY} === 'pc-{heir}: its process ended'"));
    browser.until("document.querySelector('#events').textContent.includes('is gone')");
    browser.until("document.querySelectorAll('#members g.next').length === 1");
    pictures(&mut browser, "after-a-failover");
    let metrics = browser.value("fetch('/metrics').then((answer) => answer.text())");
    for cause in ["handover", "died"] {
        let sample = format!("tanist_leader_changes_total{{cause=\"{cause}\"}} 1\n");
        assert!(metrics.as_str().is_some_and(|text| text.contains(&sample)), "{sample} in {metrics}");
    }
    kept_to_itself(&browser, &origin, false);

    drop(agents.remove(&served));
    let gone = "document.querySelector('#gone')";
    browser.until(&format!("!{gone}.hidden && {gone}.textContent.includes('{own}')"));
    assert_eq!(browser.value("document.title"), format!("{own} does not answer"));
    pictures(&mut browser, "gone");
    let _again = start_at(&lan, served, address).await;
    browser.until(&format!("{gone}.hidden && !document.body.classList.contains('gone')"));
    browser.until(&format!("{LEADER}.endsWith(' leads')"));
    kept_to_itself(&browser, &origin, true);
}

/// The page as an agent serves it.
fn page(address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("it is served");
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("sent");
    let mut page = Vec::new();
    stream.read_to_end(&mut page).expect("read");
    assert!(page.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&page));
    page
}

/// No two members lie on one another, and none lies outside the picture.
const APART: &str = "(() => { const all = [...document.querySelectorAll('#members g')].map((g) => {
    const m = new DOMMatrix(g.style.transform); return [m.e, m.f, +g.querySelector('.body').getAttribute('r')]; });
    return all.every(([x, y, r], i) => Math.hypot(x, y) + r <= 320
        && all.slice(0, i).every(([a, b, s]) => Math.hypot(x - a, y - b) > r + s)); })()";

#[tokio::test]
async fn a_crowd_is_readable_and_a_name_is_never_markup() {
    let _turn = TURN.lock().await;
    let Some(mut browser) = Browser::start() else { return };
    let lan = Lan::new();
    let (_agent, address) = start(&lan, 1).await;
    let page = page(address);
    browser.open(&format!("http://{address}/"));
    browser.until(&format!("{LEADER} === 'There is no leader now' || {LEADER} === 'pc-1 leads'"));
    let mut origins = vec![format!("http://{address}/")];
    for members in [12, 40, 72, 73, 200] {
        let origin = format!("http://{}", Crowd::new(page.clone(), members).serve());
        origins.push(format!("{origin}/"));
        browser.looks(1280, 900, false);
        browser.open(&format!("{origin}/"));
        browser.until(&format!("document.querySelectorAll('#rows tr').length === {members}"));
        assert_eq!(browser.value(APART), true, "{members} members lie on one another");
        if ![12, 40, 200].contains(&members) {
            continue;
        }
        pictures(&mut browser, &format!("{members}-members"));
        for place in ["#rows", "#reigns", "#events"] {
            let text = browser.value(&format!("document.querySelector('{place}').textContent"));
            assert!(text.as_str().is_some_and(|text| text.contains(HOSTILE)), "{place}: {text}");
        }
        let markup = "document.querySelectorAll('main img, #conflicts i, #conflicts b b, #conflicts div b').length";
        assert_eq!(browser.value(markup), 0, "a name became markup");
    }
    let find = "(() => { const find = document.querySelector('#find'); find.value = 'HALL-1'; \
                find.dispatchEvent(new Event('input')); return document.querySelectorAll('#rows tr').length; })()";
    assert_eq!(browser.value(find), 25, "hall-102 to hall-198");
    let origin = format!("http://{}/", Crowd::new(page, 12).without_a_leader().serve());
    browser.open(&origin);
    browser.until(&format!("{LEADER} === 'There is no leader now' && document.body.classList.contains('none')"));
    assert_eq!(browser.value("document.querySelectorAll('#members .lead').length"), 0);
    pictures(&mut browser, "no-leader");
    origins.push(origin);
    let own = |address: &&String| address.starts_with("data:") || origins.iter().any(|own| address.starts_with(own));
    assert_eq!(browser.asked().iter().find(|address| !own(address)), None, "a request left its origin");
    assert_eq!(browser.complaints(false), Vec::<String>::new());
}
