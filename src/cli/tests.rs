use super::*;
use crate::view::data::Point;

#[test]
fn the_command_line_is_consistent() {
    command().debug_assert();
}

fn parsed(line: &[&str]) -> Result<Command, ErrorKind> {
    let words = std::iter::once("tanist").chain(line.iter().copied());
    Cli::try_parse_from(words).map(|cli| cli.command).map_err(|error| error.kind())
}

#[test]
fn commands_that_keep_the_data_in_order_take_what_they_should() {
    for line in [
        &["export"][..],
        &["export", "-", "--socket", "/tmp/sock"],
        &["export", "office.ndjson"],
        &["import"],
        &["import", "-", "--json"],
        &["import", "office.ndjson", "--all-or-nothing"],
        &["trim", "jobs", "--keep", "0"],
        &["trim", "jobs", "--older", "30d", "--json"],
        &["trim", "jobs", "--older", "1h 30m"],
        &["trim", "jobs", "--before", "5210.0a1b2c3d"],
        &["conflicts"],
        &["conflicts", "--json"],
        &["conflicts", "resolve", "5211.0a1b2c3d", "--present"],
        &["conflicts", "resolve", "5211.0a1b2c3d", "--other", "--if-version", "5210.0a1b2c3d"],
        &["conflicts", "resolve", "5211.0a1b2c3d", "--value", "-", "--if-absent", "--json"],
        &["conflicts", "resolve", "5211.0a1b2c3d", "--value", "-5", "--socket", "/tmp/sock"],
    ] {
        assert!(parsed(line).is_ok(), "{line:?}");
    }
}

#[test]
fn commands_of_the_data_take_what_they_should() {
    for line in [
        &["add", "jobs"][..],
        &["add", "jobs", "-"],
        &["add", "jobs", "value", "--json"],
        &["add", "jobs", "-5"],
        &["add", "jobs", "--", "--json"],
        &["records", "jobs"],
        &["records", "jobs", "--after", "5210.0a1b2c3d", "--follow"],
        &["topics", "--json"],
        &["put", "a/b", "v"],
        &["put", "a/b", ""],
        &["put", "a/b", "--if-version", "5210.0a1b2c3d"],
        &["put", "a/b", "v", "--if-absent", "--socket", "/tmp/sock"],
        &["get", "a/b", "--fresh", "--json"],
        &["delete", "a/b", "--if-version", "5210.0a1b2c3d"],
        &["keys"],
        &["keys", "a/", "--json"],
        &["update", "a/b", "--", "sed", "-e", "s/a/b/", "--json"],
        &["update", "a/b", "--json", "--", "tr", "a", "b"],
        &["watch"],
        &["watch", "--data", "a/"],
        &["watch", "--data", "", "--after", "0.00000000", "--json"],
    ] {
        assert!(parsed(line).is_ok(), "{line:?}: {:?}", parsed(line).err());
    }
    for (line, kind) in [
        (&["add"][..], ErrorKind::MissingRequiredArgument),
        (&["add", "jobs", "a", "b"], ErrorKind::UnknownArgument),
        (&["add", "jobs", "--if-absent"], ErrorKind::UnknownArgument),
        (&["records", "jobs", "--after", "5210"], ErrorKind::ValueValidation),
        (&["put", "a", "v", "--if-absent", "--if-version", "1.00000000"], ErrorKind::ArgumentConflict),
        (&["put", "a", "v", "--if-version", "\"1.00000000\""], ErrorKind::ValueValidation),
        (&["get"], ErrorKind::MissingRequiredArgument),
        (&["delete", "a", "--if-absent"], ErrorKind::UnknownArgument),
        (&["update", "a"], ErrorKind::MissingRequiredArgument),
        (&["update", "a", "sed"], ErrorKind::UnknownArgument),
        (&["trim", "jobs"], ErrorKind::MissingRequiredArgument),
        (&["trim", "--keep", "1"], ErrorKind::MissingRequiredArgument),
        (&["trim", "jobs", "--keep", "1", "--older", "1d"], ErrorKind::ArgumentConflict),
        (&["trim", "jobs", "--keep", "-1"], ErrorKind::UnknownArgument),
        (&["trim", "jobs", "--older", "30"], ErrorKind::ValueValidation),
        (&["conflicts", "5211.0a1b2c3d"], ErrorKind::InvalidSubcommand),
        (&["conflicts", "resolve", "--other"], ErrorKind::MissingRequiredArgument),
        (&["conflicts", "resolve", "5211.0a1b2c3d"], ErrorKind::MissingRequiredArgument),
        (&["conflicts", "resolve", "5211.0a1b2c3d", "--other", "--present"], ErrorKind::ArgumentConflict),
        (&["conflicts", "resolve", "5211", "--other"], ErrorKind::ValueValidation),
        (&["watch", "--after", "1.00000000"], ErrorKind::MissingRequiredArgument),
        (&["export", "a", "b"], ErrorKind::UnknownArgument),
        (&["import", "a", "--all-or-nothing=true"], ErrorKind::TooManyValues),
        (&["import", "a", "--force"], ErrorKind::UnknownArgument),
        (&["topics", "jobs"], ErrorKind::UnknownArgument),
    ] {
        assert_eq!(parsed(line).err(), Some(kind), "{line:?}");
    }
}

#[test]
fn what_was_typed_is_what_is_meant() {
    let Ok(Command::Put(put)) = parsed(&["put", "k", "v", "--if-version", "7.0000000a"]) else { panic!("no put") };
    assert_eq!((put.key.as_str(), put.if_version), ("k", "7.0000000a".parse::<Point>().ok()));
    let Ok(Command::Update(update)) = parsed(&["update", "k", "--", "sed", "-e", "s/a/b/"]) else {
        panic!("no update")
    };
    assert_eq!(update.command, ["sed", "-e", "s/a/b/"]);
}
