//! The local API on TCP: an address, and whether it takes writes.

use super::file::File;
use super::{ConfigError, From, Place, Warning};
use std::net::SocketAddr;

/// Where the local API is served on TCP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Http {
    /// The address and port.
    pub address: SocketAddr,
    /// It takes more than questions.
    pub writes: bool,
}

/// What flags, variables and the file say of it. An address that other machines reach is a warning: there is no password.
pub(super) fn http(
    file: &File,
    address: Option<String>,
    writes: Option<bool>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Http>, ConfigError> {
    let writes = writes.or_else(|| file.flag("http_writes"));
    let Some(From { value, place }) = file.text("http", address).filter(|from| !from.value.is_empty()) else {
        if writes == Some(true) {
            warnings.push(Warning("http_writes has no effect without http".to_owned()));
        }
        return Ok(None);
    };
    let http = match value.parse() {
        Ok(address) => Http { address, writes: writes.unwrap_or(false) },
        Err(_) => return Err(refuse(&place, &value, "is no address with a port, like 127.0.0.1:8265")),
    };
    if http.address.port() == 0 {
        return Err(refuse(&place, &value, "has no port: nobody would find it"));
    }
    if !http.address.ip().is_loopback() {
        let may = if http.writes { "read and change everything" } else { "read everything" };
        let text = format!("http = \"{}\": every machine that reaches this address may {may} here", http.address);
        warnings.push(Warning(text));
    }
    Ok(Some(http))
}

fn refuse(place: &Place, value: &str, why: &str) -> ConfigError {
    place.refuse("http", format!("{value:?} {why}"))
}
