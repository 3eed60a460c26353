//! The members: `members` and `forget`.

use super::out::{Out, Tint};
use super::table::Table;
use super::who::{label, lasting, role};
use super::{Asking, Fail, NO, USAGE};
use crate::ident::NodeId;
use crate::message::MemberState;
use crate::protocol::RoleName;
use crate::view::{Machine, Member, Members};
use clap::Args;
use serde_json::json;
use std::time::Duration;

#[derive(Args)]
pub(super) struct ListOptions {
    /// Those that left too; JSON has them always
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Args)]
pub(super) struct ForgetOptions {
    /// The machine that is gone, by name or id
    #[arg(value_name = "NAME|ID", required_unless_present = "gone", conflicts_with = "gone")]
    name: Option<String>,
    /// All that left, or have been silent for ten minutes
    #[arg(long)]
    gone: bool,
    #[command(flatten)]
    asking: Asking,
}

/// Silent for so long, a member counts as gone.
const GONE_MS: u64 = 10 * 60 * 1000;

pub(super) async fn list(options: &ListOptions, out: Out) -> Result<(), Fail> {
    let members = options.asking.asked.client()?.members().await?;
    if options.asking.json { out.json(&members) } else { out.line(text(&members, options.all, out).join("\n")) }
}

pub(super) async fn forget(options: &ForgetOptions, out: Out) -> Result<(), Fail> {
    let client = options.asking.asked.client()?;
    let mut forgotten: Vec<Machine> = Vec::new();
    match (&options.name, options.gone) {
        (Some(name), _) => forgotten = client.forget(name).await?.forgotten,
        (None, true) => {
            for member in client.members().await?.members.into_iter().filter(is_gone) {
                forgotten.extend(client.forget(&member.id.to_string()).await?.forgotten);
            }
        }
        (None, false) => return Err(Fail::new(USAGE, "whom? name a machine that is gone, or say --gone")),
    }
    if options.asking.json {
        return out.json(&json!({ "forgotten": forgotten }));
    }
    if forgotten.is_empty() {
        return Err(Fail::new(NO, "nobody is gone: no member left, or has been silent for ten minutes"));
    }
    let line = |m: &Machine| format!("forgot {} ({})", m.name, m.id.short());
    out.line(forgotten.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// It left, or nobody has heard it for long.
fn is_gone(member: &Member) -> bool {
    match member.state {
        MemberState::Alive => false,
        MemberState::Silent => member.last_heard_ms.is_none_or(|ms| ms >= GONE_MS),
        MemberState::Left => true,
    }
}

fn text(members: &Members, everybody: bool, out: Out) -> Vec<String> {
    let all: Vec<(NodeId, &str)> = members.members.iter().map(|m| (m.id, m.name.as_str())).collect();
    let mut table = Table::new(&[
        "",
        "NAME",
        "ADDRESS",
        "ROLE",
        "STATE",
        "HEARD",
        "LAG",
        "ROUND TRIP",
        "VERSION",
        "PRIORITY",
        "PLACE",
        "BECAUSE",
    ]);
    let shown = |m: &&Member| everybody || m.state != MemberState::Left;
    for member in members.members.iter().filter(shown) {
        table.row(row(member, &all));
    }
    let mut lines = table.lines(out, 0);
    let hidden = members.members.len() - members.members.iter().filter(shown).count();
    if hidden > 0 {
        lines.push(out.tint(Tint::Faint, &format!("{hidden} that left: tanist members --all")));
    }
    let marks = "* this machine   place: in the line of succession, 1 is the named successor";
    lines.push(out.tint(Tint::Faint, marks));
    lines
}

fn row(member: &Member, all: &[(NodeId, &str)]) -> Vec<(String, Tint)> {
    let plain = |text: String| (text, Tint::Plain);
    let (state, tint) = match member.state {
        MemberState::Alive => ("alive", Tint::Good),
        MemberState::Silent => ("silent", Tint::Bad),
        MemberState::Left => ("left", Tint::Faint),
    };
    let heard = match member.last_heard_ms {
        _ if member.own => "-".to_owned(),
        Some(ms) => format!("{} ago", lasting(Duration::from_millis(ms))),
        None => "never".to_owned(),
    };
    let address = member.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let address = match &member.via {
        Some(via) => format!("{address} via {}", label(via.id, &via.name, all)),
        None => address,
    };
    let leads = member.role == RoleName::Leading;
    vec![
        plain(if member.own { "*" } else { "" }.to_owned()),
        (label(member.id, &member.name, all), if leads { Tint::Strong } else { Tint::Plain }),
        plain(address),
        (role(member.role).to_owned(), if leads { Tint::Strong } else { Tint::Plain }),
        (state.to_owned(), tint),
        plain(heard),
        plain(member.lag.map_or_else(|| "-".to_owned(), |lag| lag.to_string())),
        plain(member.rtt_us.map_or_else(|| "-".to_owned(), |us| crate::time::ms(Duration::from_micros(us)))),
        plain(member.version.clone()),
        plain(member.priority.to_string()),
        plain(member.place.map_or_else(|| "-".to_owned(), |place| place.to_string())),
        (member.because.clone(), Tint::Faint),
    ]
}
