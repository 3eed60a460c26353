//! `[hooks]`: which commands run when something happens.

use super::file::{File, List};
use super::{ConfigError, Place};
use crate::event::Kind;
use std::collections::BTreeMap;
use std::time::Duration;
use toml::Spanned;

/// How long a hook may take when nothing else is said, and at most.
const TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// How many words a command may have, and how long each may be, in bytes.
const WORDS: usize = 64;
const WORD_MAX: usize = 4096;

/// For every event, before its own hook; and for those that have none of their own.
const ANY: &str = "any";
const UNHANDLED: &str = "unhandled";
const TIME: &str = "timeout";

/// The table as it is written.
pub(super) type Table = BTreeMap<String, Spanned<List>>;

/// Commands that run when something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// By the word of an event, `any` or `unhandled`: a program and its arguments.
    commands: BTreeMap<String, Vec<String>>, // bound: WORDS for each of the events that there are
    /// How long each may take.
    pub timeout: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { commands: BTreeMap::new(), timeout: TIMEOUT }
    }
}

impl Hooks {
    /// The commands for an event, in the order in which they run.
    pub fn of(&self, event: &str) -> impl Iterator<Item = &[String]> {
        let own = self.commands.get(event).or_else(|| self.commands.get(UNHANDLED));
        self.commands.get(ANY).into_iter().chain(own).map(Vec::as_slice)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }
}

/// What the file says, checked.
pub(super) fn read(file: &File) -> Result<Hooks, ConfigError> {
    let mut hooks = Hooks::default();
    for (event, found) in file.hooks() {
        let place = file.place(found);
        let (key, list) = (format!("hooks.{event}"), found.get_ref());
        if event == TIME {
            hooks.timeout = timeout(&place, &key, list)?;
            continue;
        }
        let known = [ANY, UNHANDLED].contains(&event.as_str()) || Kind::ALL.iter().any(|kind| kind.as_str() == *event);
        if !known {
            let what = "there is no such event: docs/api.md lists them; besides there are any, unhandled and timeout";
            return Err(place.refuse(&key, what));
        }
        hooks.commands.insert(event.clone(), command(&place, &key, list)?);
    }
    Ok(hooks)
}

fn timeout(place: &Place, key: &str, list: &List) -> Result<Duration, ConfigError> {
    let List::One(text) = list else { return Err(place.refuse(key, "is one duration, like 10s")) };
    let timeout = humantime::parse_duration(text)
        .map_err(|error| place.refuse(key, format!("{text:?} is no duration like 10s: {error}")))?;
    if timeout.is_zero() || timeout > TIMEOUT_MAX {
        return Err(place.refuse(key, format!("{text} is out of bounds: it may be up to {}s", TIMEOUT_MAX.as_secs())));
    }
    Ok(timeout)
}

fn command(place: &Place, key: &str, list: &List) -> Result<Vec<String>, ConfigError> {
    let words = match list {
        List::One(program) => vec![program.clone()],
        List::Many(words) => words.clone(),
    };
    let reason = match words.first() {
        None => "needs a program".to_owned(),
        Some(program) if !program.starts_with('/') => {
            format!(
                "{program:?} is no absolute path: give the program as /usr/local/bin/… (arguments in a list behind it)"
            )
        }
        Some(program) if program.contains(char::is_whitespace) && words.len() == 1 => {
            format!(
                "{program:?}: give the program and its arguments as a list: [\"/usr/bin/logger\", \"-t\", \"office\"]"
            )
        }
        Some(_) if words.len() > WORDS => format!("has {} words; {WORDS} are allowed", words.len()),
        Some(_) if words.iter().any(|word| word.len() > WORD_MAX || word.contains('\0')) => {
            format!("has a word with a zero byte, or of more than {WORD_MAX} bytes")
        }
        Some(_) => return Ok(words),
    };
    Err(place.refuse(key, reason))
}

#[cfg(test)]
mod tests {
    use super::super::check_text;
    use super::*;
    use std::path::Path;

    fn refused(text: &str) -> String {
        check_text(Path::new("t.toml"), text).expect_err(text).to_string()
    }

    fn hooks(text: &str) -> Hooks {
        let file = File::parse(Path::new("t.toml"), text.to_owned()).expect("it can be read");
        read(&file).expect("it is right")
    }

    #[test]
    fn a_hook_is_for_its_event_and_any_comes_first() {
        let hooks =
            hooks("[hooks]\nleading = ['/bin/a', '-x']\nany = '/bin/b'\nunhandled = '/bin/c'\ntimeout = '3s'\n");
        let of = |event| hooks.of(event).map(|words| words.join(" ")).collect::<Vec<_>>();
        assert_eq!(of("leading"), ["/bin/b", "/bin/a -x"]);
        assert_eq!(of("following"), ["/bin/b", "/bin/c"]);
        assert_eq!(hooks.timeout, Duration::from_secs(3));
        assert!(Hooks::default().of("leading").next().is_none());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, said) in [
            ("[hooks]\nlead = '/bin/a'", "t.toml:2: hooks.lead: there is no such event"),
            ("[hooks]\nleading = 'bin/a'", "t.toml:2: hooks.leading: \"bin/a\" is no absolute path"),
            (
                "[hooks]\nleading = '/bin/a -x'",
                "t.toml:2: hooks.leading: \"/bin/a -x\": give the program and its arguments",
            ),
            ("[hooks]\nleading = []", "t.toml:2: hooks.leading: needs a program"),
            ("[hooks]\ntimeout = '0s'", "t.toml:2: hooks.timeout: 0s is out of bounds"),
            ("[hooks]\ntimeout = ['1s']", "t.toml:2: hooks.timeout: is one duration"),
        ] {
            let found = refused(text);
            assert!(found.starts_with(said), "{found}");
        }
    }
}
