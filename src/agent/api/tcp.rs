//! The local API on a TCP address, for browsers, scrapers and load balancers: it answers questions, and takes writes only
//! when it was told to. A browser of this machine runs pages of strangers, so what is asked for must be an address or a
//! name of this machine (DNS rebinding), and what a page of another origin would change is refused.

use super::clients::Clients;
use super::places::Bounds;
use super::{Ends, problem::problem};
use crate::agent::clock;
use crate::agent::config::{Http, host_name};
use crate::agent::journal::{Journal, Level};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpListener;

/// Connections that are served at one time, and how many of them one address may have: none is kept, and none of them is
/// taken from those of the Unix socket.
const CONNECTIONS: Bounds = Bounds { all: 128, each: 96, kept: 0 };

/// Streams of events and requests that wait.
pub(super) const WATCHERS: Bounds = Bounds { all: 96, each: 64, kept: 0 };

/// The pause after an address could not be had.
const AGAIN: Duration = Duration::from_secs(2);

/// Where the API is served on TCP, and where it is said when that cannot be.
#[derive(Debug)]
pub struct Tcp {
    http: Http,
    journal: Journal,
}

impl Tcp {
    pub(in crate::agent) fn new(http: Http, journal: Journal) -> Self {
        Self { http, journal }
    }

    /// The address. One that cannot be had is named once and tried again: the role and the Unix socket do without it.
    async fn listen(&self) -> TcpListener {
        let mut said = String::new();
        loop {
            let line = match TcpListener::bind(self.http.address).await {
                Ok(listener) => {
                    let takes = if self.http.writes { "and takes writes" } else { "to be read" };
                    let text = format!("the API is served on http://{}/ too, {takes}", self.http.address);
                    self.journal.line(Level::Info, text, Vec::new());
                    return listener;
                }
                Err(error) => failed(self.http.address, &error),
            };
            if line != said {
                self.journal.line(Level::Error, line.clone(), Vec::new());
                said = line;
            }
            clock::pause(AGAIN).await;
        }
    }

    /// Serves until the API ends.
    pub(super) async fn serve(self, router: Router, ends: Ends) {
        let router = guarded(router, self.http.writes);
        let clients = Clients::new(router, CONNECTIONS, ends.clone());
        let over = async {
            tokio::select! { () = ends.now.cancelled() => {}, () = ends.soon.cancelled() => {} }
        };
        tokio::pin!(over);
        tokio::select! {
            () = &mut over => {}
            () = async {
                let listener = self.listen().await;
                loop {
                    match clients.next(listener.accept()).await {
                        (turn, Ok((stream, from))) => {
                            // Events are small, and are not to wait for one another.
                            let _ = stream.set_nodelay(true);
                            clients.serve(stream, place_of(from.ip()), turn);
                        }
                        (_, Err(error)) => clients.missed(&error).await,
                    }
                }
            } => {}
        }
        clients.end().await;
    }
}

fn failed(address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another program has it: stop that one".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have it: correct it".to_owned(),
        _ => format!("{error}: correct it"),
    };
    format!("http = \"{address}\" cannot be served: {why}, or choose another; all else works, and it is tried again")
}

/// Whose places a connection takes: those of its address, or of its IPv6 network.
fn place_of(from: IpAddr) -> u32 {
    match from.to_canonical() {
        IpAddr::V4(four) => u32::from(four),
        IpAddr::V6(six) => {
            let network = (u128::from(six) >> 64) as u64;
            (network >> 32) as u32 ^ network as u32
        }
    }
}

/// The calls, for those that may be made.
fn guarded(router: Router, writes: bool) -> Router {
    router.layer(from_fn_with_state(writes, guard))
}

async fn guard(State(writes): State<bool>, request: Request, next: Next) -> Response {
    if let Err((status, why)) = admit(writes, &host_name(), request.method(), request.uri(), request.headers()) {
        return problem(status, why);
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    // No page of another origin gets to see an answer, as whatever it asks for it.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    response
}

/// Whether a request is served, on a machine that is called so.
fn admit(writes: bool, own: &str, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let named = uri.authority().map_or(host, |authority| authority.as_str());
    if hosts.next().is_some() || !(is_own(host, own) && is_own(named, own)) {
        let detail = format!(
            "{named:?} is no name of this machine: ask for its address, for localhost, or for {own}, so that no page of \
             another site can ask in your name"
        );
        return Err((StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    if !writes {
        let detail = "this address is there to be read: write on the Unix socket, or set http_writes = true";
        return Err((StatusCode::FORBIDDEN, detail.to_owned()));
    }
    match headers.get(header::ORIGIN) {
        None => Ok(()),
        Some(origin) if origin.to_str().is_ok_and(|origin| origin == format!("http://{host}")) => Ok(()),
        Some(origin) => Err((
            StatusCode::FORBIDDEN,
            format!("a page of {origin:?} may change nothing here: use curl or the command"),
        )),
    }
}

/// Whether a host, with a port or without, is an address, `localhost`, or what this machine is called.
fn is_own(host: &str, own: &str) -> bool {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !bare.ends_with(':') => bare,
        _ => host,
    };
    let short = own.split('.').next().unwrap_or(own);
    let name = bare.trim_end_matches('.');
    let six = bare.strip_prefix('[').and_then(|six| six.strip_suffix(']'));
    bare.parse::<std::net::Ipv4Addr>().is_ok()
        || six.is_some_and(|six| six.parse::<std::net::Ipv6Addr>().is_ok())
        || ["localhost", own, short].iter().any(|known| !known.is_empty() && name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    #[test]
    fn addresses_localhost_and_the_own_name_are_this_machine() {
        for host in [
            "127.0.0.1:8265",
            "192.0.2.7",
            "[::1]:8265",
            "[fe80::1]",
            "localhost:8265",
            "LOCALHOST",
            "pc-1",
            "PC-1:8265",
            "pc-1.office.example:80",
            "pc-1.office.example.",
        ] {
            assert!(is_own(host, "pc-1.office.example"), "{host}");
        }
        for host in [
            "",
            ":8265",
            "evil.example:8265",
            "pc-1.evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "127.0.0.1:8265:1",
            "0x7f.1",
            "[::1].evil.example",
            "pc-2",
            "user@127.0.0.1",
        ] {
            assert!(!is_own(host, "pc-1.office.example"), "{host}");
        }
        assert!(!is_own("", ""), "a machine without a name has none");
    }

    fn asked(writes: bool, method: Method, uri: &str, headers: &[(header::HeaderName, &str)]) -> Result<(), u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.clone(), value.parse().expect("a value"));
        }
        let uri = uri.parse().expect("an address");
        admit(writes, "pc-1", &method, &uri, &map).map_err(|(status, why)| {
            assert!(why.len() > 20, "{why}");
            status.as_u16()
        })
    }

    #[test]
    fn only_questions_to_this_machine_are_served_and_writes_of_its_own_pages() {
        let host = (header::HOST, "127.0.0.1:8265");
        let origin = |origin| (header::ORIGIN, origin);
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(asked(false, method.clone(), "/", slice::from_ref(&host)), Ok(()));
            assert_eq!(asked(false, method.clone(), "/", &[(header::HOST, "evil.example:8265")]), Err(421));
            assert_eq!(asked(false, method.clone(), "/", &[]), Err(421), "it does not say whom it asks");
            assert_eq!(asked(false, method.clone(), "/", &[host.clone(), host.clone()]), Err(421), "twice");
            assert_eq!(asked(false, method.clone(), "http://evil.example/", slice::from_ref(&host)), Err(421));
            assert_eq!(asked(false, method, "http://pc-1:8265/", slice::from_ref(&host)), Ok(()));
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
            assert_eq!(asked(false, method.clone(), "/", slice::from_ref(&host)), Err(403), "{method}");
            assert_eq!(asked(true, method.clone(), "/", slice::from_ref(&host)), Ok(()));
            let own = [host.clone(), origin("http://127.0.0.1:8265")];
            assert_eq!(asked(true, method.clone(), "/", &own), Ok(()));
            for other in ["http://evil.example", "null", "http://127.0.0.1:80", "https://127.0.0.1:8265"] {
                assert_eq!(asked(true, method.clone(), "/", &[host.clone(), origin(other)]), Err(403), "{other}");
            }
            assert_eq!(asked(true, method, "/", &[(header::HOST, "evil.example")]), Err(421));
        }
    }

    #[test]
    fn a_network_shares_its_places() {
        let of = |ip: &str| place_of(ip.parse().expect("an address"));
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
    }
}
