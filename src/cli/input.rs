//! Values that users give: an argument, or standard input.

use super::{Fail, NO};
use crate::ledger::limits::VALUE;
use bytes::Bytes;
use clap::Args;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;

#[derive(Args)]
pub(super) struct Given {
    /// The value; standard input with `-` or without one
    #[arg(allow_negative_numbers = true)]
    value: Option<OsString>,
}

impl Given {
    /// The bytes as they are.
    pub(super) fn bytes(self) -> Result<Bytes, Fail> {
        match self.value {
            Some(value) if value != "-" => Ok(value.into_vec().into()),
            _ => stdin(),
        }
    }
}

/// The value on standard input.
pub(super) fn stdin() -> Result<Bytes, Fail> {
    read(std::io::stdin().lock())
}

/// All there is, unless it is more than a value may have.
fn read(from: impl Read) -> Result<Bytes, Fail> {
    let mut bytes = Vec::new();
    let most = VALUE as u64;
    let read = from.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| Fail::new(NO, format!("could not read the value from standard input: {error}")))?;
    if bytes.len() as u64 > most {
        let why = format!("standard input has more than {VALUE} bytes (1 MiB), which is all that a value may have");
        return Err(Fail::new(NO, format!("{why}: split it, or keep the name of a file in it")));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_taken_byte_for_byte_and_no_more_than_fits() {
        let given = |value: &str| Given { value: Some(value.into()) }.bytes().map_err(|fail| fail.line);
        assert_eq!(given("a b\n"), Ok("a b\n".into()));
        assert_eq!(given(""), Ok(Bytes::new()));
        assert_eq!(read(&b"\xff\n"[..]).map_err(|fail| fail.line), Ok(Bytes::from_static(b"\xff\n")));
        assert_eq!(read(&vec![0; VALUE][..]).map_err(|fail| fail.line).map(|read| read.len()), Ok(VALUE));
        let fail = read(&vec![0; VALUE + 1][..]).expect_err("too long");
        assert!(fail.line.is_some_and(|line| line.contains("1048576")));
    }
}
