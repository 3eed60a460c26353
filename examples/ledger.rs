//! A shared expense ledger for an office or a family: whoever pays enters it on whatever machine is at hand, and
//! everybody sees it at once. It is built on the agent's local API alone, through `tanist::client`.
//!
//!     cargo run --example ledger -- add --by anna --for coffee 12.50 --among anna,ben,cleo
//!     cargo run --example ledger                      # all entries, and how everybody stands
//!     cargo run --example ledger -- watch             # entries as they come, from any machine
//!     cargo run --example ledger -- correct ID 11.50  # another amount; 0 strikes the entry out
//!
//! An entry is a record of the topic `ledger`, so it never changes: a correction is an entry of its own that names the
//! one it corrects, and the last one counts. Two people who write at once, on two machines, or while the server changes,
//! each have their entry there, once.

use clap::{Parser, Subcommand};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use tanist::client::{Client, Error, Watch};
use tanist::view::Stamp;
use tanist::view::data::{Line, Record};
use uuid::Uuid;

const TOPIC: &str = "ledger";

#[derive(Parser)]
#[command(about = "A shared expense ledger", version)]
struct Cli {
    /// The agent's socket
    #[arg(long, env = "TANIST_SOCKET", global = true)]
    socket: Option<PathBuf>,
    /// One JSON object, or one a line
    #[arg(long, global = true)]
    json: bool,
    /// Enter twenty expenses of an imaginary office
    #[arg(long)]
    sample: bool,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Enter an expense
    Add {
        /// How much, as in 12.50
        amount: Amount,
        /// Who paid
        #[arg(long)]
        by: String,
        /// What it was for
        #[arg(long = "for")]
        for_: String,
        /// Who shares it, the payer included if so; whoever the ledger knows without this
        #[arg(long, value_delimiter = ',')]
        among: Vec<String>,
    },
    /// Give an entry another amount; 0 strikes it out
    Correct {
        /// The entry's id, or its first characters
        id: String,
        /// The right amount
        amount: Amount,
    },
    /// Show entries as they come
    Watch,
}

/// Money, in hundredths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Amount(i64);

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Amount, String> {
        let wrong = || format!("{text} is no amount: 12, 12.5 or 12.50");
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 12 || !digits(whole) || part.len() > 2 || !digits(part) {
            return Err(wrong());
        }
        let part = format!("{part:0<2}");
        let of = |text: &str| text.parse::<i64>().map_err(|_| wrong());
        Ok(Amount(of(whole)? * 100 + of(&part)?))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        f.pad(&format!("{sign}{}.{:02}", self.0.abs() / 100, self.0.abs() % 100))
    }
}

/// What a record says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Expense {
    cents: Amount,
    paid_by: String,
    what: String,
    among: BTreeSet<String>,
    entered_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    corrects: Option<Uuid>,
}

/// An entry, and what was noted of it.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    id: Uuid,
    at: Stamp,
    machine: String,
    #[serde(flatten)]
    expense: Expense,
    /// A later entry counts instead.
    corrected: bool,
}

/// How everybody stands, and from what.
#[derive(Serialize)]
struct Ledger {
    entries: Vec<Entry>,
    balance: BTreeMap<String, Amount>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("ledger: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), String> {
    let client = Client::find(cli.socket.as_deref()).map_err(words)?;
    if cli.sample {
        for (n, expense) in sample().into_iter().enumerate() {
            enter(&client, &expense).await.map_err(|why| format!("{why}, after {n} entries"))?;
        }
    }
    match cli.what {
        None => show(&read(&client).await?, cli.json),
        Some(What::Add { amount, by, for_, among }) => {
            let mut among: BTreeSet<String> = among.into_iter().filter(|name| !name.is_empty()).collect();
            if among.is_empty() {
                let known = read(&client).await?;
                among.extend(known.balance.into_keys());
                among.insert(by.clone());
            }
            let expense = Expense { cents: amount, paid_by: by, what: for_, among, entered_by: user(), corrects: None };
            tell(enter(&client, &expense).await?, cli.json);
        }
        Some(What::Correct { id, amount }) => {
            let known = read(&client).await?;
            let mut found = known.entries.iter().filter(|e| e.id.to_string().starts_with(&id));
            let old = found.next().ok_or_else(|| format!("there is no entry {id}"))?;
            if found.next().is_some() {
                return Err(format!("several entries begin with {id}"));
            }
            let first = old.expense.corrects.unwrap_or(old.id);
            let expense = Expense { cents: amount, entered_by: user(), corrects: Some(first), ..old.expense.clone() };
            tell(enter(&client, &expense).await?, cli.json);
        }
        Some(What::Watch) => watch(&client, cli.json).await?,
    }
    Ok(())
}

fn words(error: Error) -> String {
    error.to_string()
}

fn user() -> String {
    std::env::var("USER").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "somebody".to_owned())
}

/// Adds a record. The client sends it again with its id when the connection breaks or the leader changes, so it is there
/// once.
async fn enter(client: &Client, expense: &Expense) -> Result<Uuid, String> {
    let value = serde_json::to_vec(expense).expect("it has a form in JSON");
    client.add(TOPIC, value).await.map(|added| added.id).map_err(words)
}

fn tell(id: Uuid, json: bool) {
    if json { println!("{}", serde_json::json!({ "id": id })) } else { println!("{id}") }
}

/// Names of machines, by their id.
async fn machines(client: &Client) -> Result<BTreeMap<String, String>, String> {
    let members = client.members().await.map_err(words)?.members;
    Ok(members.into_iter().map(|member| (member.id.to_string(), member.name)).collect())
}

/// Everything, from this machine's own copy.
async fn read(client: &Client) -> Result<Ledger, String> {
    let names = machines(client).await?;
    let (mut entries, mut after) = (Vec::new(), None);
    loop {
        let page = client.records(TOPIC, after).await.map_err(words)?;
        if page.records.is_empty() {
            return Ok(account(entries));
        }
        entries.extend(page.records.iter().filter_map(|record| entry(record, &names)));
        after = Some(page.cursor);
    }
}

/// What another program has put into this topic is passed over.
fn entry(record: &Record, names: &BTreeMap<String, String>) -> Option<Entry> {
    let expense = serde_json::from_slice(record.content.bytes()).ok()?;
    let machine = record.node.to_string();
    let machine = names.get(&machine).cloned().unwrap_or(machine);
    Some(Entry { id: record.id, at: record.at, machine, expense, corrected: false })
}

/// Of each entry and its corrections the last one counts: by the time at which it was entered, and then by its id. All
/// machines come to the same.
fn account(mut entries: Vec<Entry>) -> Ledger {
    entries.sort_by_key(|entry| (entry.at, entry.id));
    let mut last: BTreeMap<Uuid, usize> = BTreeMap::new();
    for (n, entry) in entries.iter().enumerate() {
        last.insert(entry.expense.corrects.unwrap_or(entry.id), n);
    }
    let mut balance = BTreeMap::new();
    for (n, entry) in entries.iter_mut().enumerate() {
        entry.corrected = last[&entry.expense.corrects.unwrap_or(entry.id)] != n;
        if !entry.corrected {
            settle(&entry.expense, &mut balance);
        }
    }
    Ledger { entries, balance }
}

/// The payer is owed what was paid, and everybody who shares it owes a part. What cannot be divided goes to the first.
fn settle(expense: &Expense, balance: &mut BTreeMap<String, Amount>) {
    let payer = BTreeSet::from([expense.paid_by.clone()]);
    let among = if expense.among.is_empty() { &payer } else { &expense.among };
    let count = i64::try_from(among.len()).expect("a few");
    balance.entry(expense.paid_by.clone()).or_default().0 += expense.cents.0;
    for (n, name) in (0..).zip(among) {
        let part = expense.cents.0 / count + i64::from(n < expense.cents.0 % count);
        balance.entry(name.clone()).or_default().0 -= part;
    }
}

fn line(entry: &Entry) -> String {
    let Entry { id, at, machine, expense, corrected } = entry;
    let id = &id.to_string()[..];
    let among: Vec<&str> = expense.among.iter().map(String::as_str).collect();
    let mut what = format!("{} (for {})", expense.what, among.join(", "));
    if let Some(of) = expense.corrects {
        what = format!("{what}, corrects {of}");
    }
    let mark = if *corrected { " -- corrected since" } else { "" };
    let (who, amount) = (&expense.entered_by, expense.cents);
    format!("{}  {amount:>9}  {:<10} {what}; by {who} on {machine}  {id}{mark}", at.local(), expense.paid_by)
}

fn show(ledger: &Ledger, json: bool) {
    if json {
        println!("{}", serde_json::to_string(ledger).expect("it has a form in JSON"));
        return;
    }
    if ledger.entries.is_empty() {
        println!("nothing was entered yet: add an expense, or try --sample");
        return;
    }
    ledger.entries.iter().for_each(|entry| println!("{}", line(entry)));
    println!();
    for (name, amount) in &ledger.balance {
        let stands = match amount.0 {
            0 => "is even".to_owned(),
            owed if owed > 0 => format!("is owed {amount}"),
            owes => format!("owes {}", Amount(-owes)),
        };
        println!("{name:<10} {stands}");
    }
}

/// Tells of entries as they come, on whatever machine. When the agent restarts, it goes on where it was.
async fn watch(client: &Client, json: bool) -> Result<(), String> {
    let mut after = None;
    loop {
        let watch = Watch { topic: Some(TOPIC.to_owned()), prefix: None, after };
        let mut changes = client.watch_data(&watch).await.map_err(words)?;
        let mut names = machines(client).await?;
        while let Ok(Some(line)) = changes.next().await {
            let Line::Change(change) = line else { continue };
            after = Some(change.cursor);
            let (Some(id), Some(at), Some(node), Some(content)) = (change.id, change.at, change.node, change.content)
            else {
                continue;
            };
            if !names.contains_key(&node.to_string()) {
                names = machines(client).await.unwrap_or(names);
            }
            let record = Record { id, topic: TOPIC.to_owned(), at, node, revision: change.revision, content };
            let Some(entry) = entry(&record, &names) else { continue };
            if json {
                println!("{}", serde_json::to_string(&entry).expect("it has a form in JSON"));
            } else {
                println!("{}", self::line(&entry));
            }
        }
    }
}

/// Twenty expenses.
fn sample() -> Vec<Expense> {
    let people = ["anna", "ben", "cleo", "dora"];
    let what = ["coffee", "paper", "lunch", "stamps", "cake", "taxi", "plants", "batteries", "milk", "lamp"];
    let expense = |n: usize| Expense {
        cents: Amount(i64::try_from(350 + (n * 1_237) % 4_900).expect("small")),
        paid_by: people[n * 7 % 4].to_owned(),
        what: what[n % 10].to_owned(),
        among: people
            .iter()
            .enumerate()
            .filter(|(p, _)| n % 3 != 2 || p % 2 == n % 2)
            .map(|(_, p)| (*p).to_owned())
            .collect(),
        entered_by: user(),
        corrects: None,
    };
    (0..20).map(expense).collect()
}
