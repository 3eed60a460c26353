//! Conflicts: `conflicts` and `conflicts resolve`.

use super::input::stdin;
use super::keys::wrote;
use super::out::{Out, Tint};
use super::show::{age, glance, in_line};
use super::table::Table;
use super::who::label;
use super::{Asking, Fail};
use crate::client::{Client, Condition, Keep};
use crate::ident::NodeId;
use crate::view::Stamp;
use crate::view::data::{Conflict, Content, Point};
use clap::{Args, Subcommand};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Subcommand)]
enum Command {
    /// Settle a conflict, and print the version of the value that the key has then
    ///
    /// The conflict and the present value are replaced by the one that is kept. Other conflicts of the key stay.
    Resolve(ResolveOptions),
}

#[derive(Args)]
struct ResolveOptions {
    /// The conflict, as `tanist conflicts` names it
    id: Point,
    #[command(flatten)]
    keep: Kept,
    /// Settle only while the present value has this version
    #[arg(long, value_name = "VERSION", conflicts_with = "if_absent")]
    if_version: Option<Point>,
    /// Settle only while the key is deleted
    #[arg(long)]
    if_absent: bool,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Kept {
    /// Keep what the key is now
    #[arg(long)]
    present: bool,
    /// Take the other value; where the other side had deleted the key, delete it
    #[arg(long)]
    other: bool,
    /// Write this value; standard input with `-`
    #[arg(long, allow_hyphen_values = true)]
    value: Option<OsString>,
}

impl Kept {
    fn keep(self) -> Result<Keep, Fail> {
        match self.value {
            Some(value) if value != "-" => Ok(Keep::Value(Some(value.into_vec().into()))),
            Some(_) => Ok(Keep::Value(Some(stdin()?))),
            None => Ok(if self.other { Keep::Other } else { Keep::Present }),
        }
    }
}

pub(super) async fn run(options: Options, out: Out) -> Result<(), Fail> {
    match options.command {
        Some(Command::Resolve(resolve)) => settle(resolve, out).await,
        None => list(&options.asking, out).await,
    }
}

async fn settle(options: ResolveOptions, out: Out) -> Result<(), Fail> {
    let client = options.asking.asked.client()?;
    let condition = match options.if_version {
        Some(version) => Condition::Is(version.0),
        None if options.if_absent => Condition::Absent,
        None => Condition::None,
    };
    let settled = client.resolve(options.id, &options.keep.keep()?, condition).await?;
    wrote(&settled, &options.asking, out)
}

async fn list(asking: &Asking, out: Out) -> Result<(), Fail> {
    let client = asking.asked.client()?;
    let (mut after, mut names, mut any): (Option<String>, _, _) = (None, Names::default(), false);
    loop {
        let page = client.conflicts(after.as_deref()).await?;
        if asking.json {
            out.json(&page)?;
        } else if !page.conflicts.is_empty() {
            if !any {
                names = Names::known_to(&client).await;
            }
            let mut lines = text(&page.conflicts, &names, out);
            if any {
                lines.remove(0);
            }
            any = true;
            out.line(lines.join("\n"))?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None if asking.json => return Ok(()),
            None if any => {
                let how = "settle one: tanist conflicts resolve ID --present | --other | --value VALUE";
                return out.line(out.tint(Tint::Faint, how));
            }
            None => return out.line("no conflicts"),
        }
    }
}

/// What machines are called.
#[derive(Default)]
struct Names(Vec<(NodeId, String)>);

impl Names {
    /// Those that the agent knows. A conflict can be read without them.
    async fn known_to(client: &Client) -> Names {
        let members = client.members().await.map_or_else(|_| Vec::new(), |members| members.members);
        Names(members.into_iter().map(|member| (member.id, member.name)).collect())
    }

    /// The name of a machine, or a piece of its id.
    fn of(&self, id: NodeId) -> String {
        let all: Vec<(NodeId, &str)> = self.0.iter().map(|(id, name)| (*id, name.as_str())).collect();
        let name = all.iter().find(|(other, _)| *other == id).map(|(_, name)| *name);
        name.map_or_else(|| id.short(), |name| in_line(&label(id, name, &all)))
    }
}

/// Two lines for each: what the key is, and what is in conflict with it.
fn text(conflicts: &[Conflict], names: &Names, out: Out) -> Vec<String> {
    let mut table = Table::new(&["ID", "KEY", "WHICH", "VALUE", "WRITTEN", "BY", "VERSION"]);
    for conflict in conflicts {
        let present = &conflict.present;
        let plain = |text: String| (text, Tint::Plain);
        let side = |which: &str, content: &Option<Content>, at: Stamp, node: NodeId| {
            [plain(which.to_owned()), shown(content.as_ref()), plain(age(at)), plain(names.of(node))]
        };
        let mut row = vec![(conflict.id.to_string(), Tint::Strong), plain(in_line(&conflict.key))];
        row.extend(side("present", &present.content, present.at, present.node));
        row.extend(present.version.map(|version| plain(version.to_string())));
        table.row(row);
        let mut row = vec![plain(String::new()), plain(String::new())];
        row.extend(side("other", &conflict.content, conflict.at, conflict.node));
        table.row(row);
    }
    table.lines(out, 0)
}

fn shown(content: Option<&Content>) -> (String, Tint) {
    match content {
        Some(content) => (glance(content), Tint::Plain),
        None => ("(deleted)".to_owned(), Tint::Faint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;
    use crate::view::data::Present;
    use uuid::Uuid;

    fn point(text: &str) -> Point {
        text.parse().expect("a point")
    }

    #[test]
    fn both_sides_are_shown_and_no_terminal_is_upset() {
        let node = |n: u128| NodeId(Uuid::from_u128(n << 112));
        let present = Present {
            version: Some(point("7.0000000a")),
            at: Stamp(Wall(0)),
            node: node(1),
            deleted: false,
            content: Some(Content::new("\x1b[31m red \u{9b}".as_bytes())),
        };
        let conflict = Conflict {
            id: point("5.0000000b"),
            key: "a\nb".to_owned(),
            at: Stamp(Wall(0)),
            node: node(2),
            deleted: true,
            content: None,
            present,
        };
        let names = Names(vec![(node(1), "pc\r1".to_owned())]);
        let lines = text(&[conflict], &names, Out::new());
        let words: Vec<Vec<&str>> = lines.iter().map(|line| line.split("  ").map(str::trim).collect()).collect();
        let words: Vec<Vec<&str>> =
            words.into_iter().map(|row| row.into_iter().filter(|word| !word.is_empty()).collect()).collect();
        assert_eq!(words[0], ["ID", "KEY", "WHICH", "VALUE", "WRITTEN", "BY", "VERSION"]);
        assert_eq!(words[1][..4], ["5.0000000b", "a\\nb", "present", "\\u{1b}[31m red \\u{9b}"]);
        assert_eq!((words[1][5], words[1][6]), ("pc\\r1", "7.0000000a"));
        assert_eq!((words[2][..2].to_vec(), words[2][3]), (vec!["other", "(deleted)"], node(2).short().as_str()));
        assert!(!lines.concat().contains(|c: char| c.is_control()), "{lines:?}");
    }
}
