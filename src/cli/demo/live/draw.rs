//! The picture.

use super::app::{App, CHOOSE, Failover, Row};
use crate::cli::demo::cluster::{Life, Net};
use crate::cli::demo::proof::Checked;
use crate::cli::demo::records::{RATE, RECORDS, grouped};
use crate::cli::demo::split::{KEY, Stage};
use crate::cli::who;
use crate::protocol::RoleName;
use crate::time::ms;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row as Cells, Table};
use std::time::Duration;

/// Lines of the list of failovers, its frame included: one for each, within these bounds.
const FAILOVERS: (u16, u16) = (4, 8);

/// Lines of what is said about the records, the frame included.
const DATA: u16 = 4;

/// Lines of what is said about a cut of the network, the frame included.
const CUT: u16 = 4;

/// Columns of the table: all but the last are as wide as what they hold.
const WIDTHS: [Constraint; 8] = [
    Constraint::Length(2),
    Constraint::Length(6),
    Constraint::Length(14),
    Constraint::Length(11),
    Constraint::Length(5),
    Constraint::Length(6),
    Constraint::Length(8),
    Constraint::Min(19),
];

/// What every cell of the heartbeat indicator stands for, in intervals.
const BEATS: usize = 8;

pub(super) fn draw(app: &App<'_>, frame: &mut Frame<'_>) {
    let lines = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    let failovers = lines(app.failovers.len()).saturating_add(2).clamp(FAILOVERS.0, FAILOVERS.1);
    let cut = app.cluster.net != Net::Whole;
    let parts = [
        Constraint::Length(lines(app.rows.len()).saturating_add(3 + u16::from(cut))),
        Constraint::Length(DATA),
        Constraint::Length(if app.split.stage == Stage::Whole && !cut { 0 } else { CUT }),
        Constraint::Min(4),
        Constraint::Length(failovers),
        Constraint::Length(1),
    ];
    let [table, data, split, log, failovers, help] = Layout::vertical(parts).areas(frame.area());
    agents(app, frame, table);
    frame.render_widget(records(app), data);
    frame.render_widget(network(app), split);
    frame.render_widget(events(app, log), log);
    frame.render_widget(past(app, failovers), failovers);
    frame.render_widget(keys(app), help);
}

/// All agents; while the network is cut, each side on its side of a line.
fn agents(app: &App<'_>, frame: &mut Frame<'_>, area: Rect) {
    let faint = Style::new().add_modifier(Modifier::DIM);
    let names = ["", "NAME", "ADDRESS", "ROLE", "EPOCH", "LEADER"].map(Cell::from);
    let records = Cell::from(Line::from("RECORDS").right_aligned());
    let heading = Cells::new(names.into_iter().chain([records, Cell::from("HEARTBEAT")])).style(faint);
    let title = format!(
        " tanist demo: {} agents, heartbeat {} ms, port {}; * is the successor ",
        app.rows.len(),
        app.cluster.heartbeat().as_millis(),
        app.cluster.ground.port
    );
    let chosen = &app.cluster.agents[app.selected];
    let socket = format!(" {}: tanist status --socket {} ", chosen.name, app.cluster.socket(app.selected).display());
    let block = Block::bordered().title(title).title_bottom(socket);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let rows = |side: Option<usize>| {
        let here = move |n: &usize| side.is_none_or(|side| app.cluster.side(*n) == side);
        (0..app.rows.len()).filter(here).map(|n| agent(app, n, &app.rows[n])).collect::<Vec<_>>()
    };
    if app.cluster.net == Net::Whole {
        return frame.render_widget(Table::new(rows(None), WIDTHS).header(heading), inside);
    }
    let (above, below) = (rows(Some(0)), rows(Some(1)));
    let height = u16::try_from(above.len() + 1).unwrap_or(u16::MAX);
    let parts = [Constraint::Length(height), Constraint::Length(1), Constraint::Min(0)];
    let [upper, line, lower] = Layout::vertical(parts).areas(inside);
    frame.render_widget(Table::new(above, WIDTHS).header(heading), upper);
    frame.render_widget(cable(usize::from(line.width)), line);
    frame.render_widget(Table::new(below, WIDTHS), lower);
}

/// The line between two sides.
fn cable(width: usize) -> Line<'static> {
    let text = " cut: nothing gets from one side to the other ";
    let dashes = width.saturating_sub(text.len());
    let (before, after) = ("\u{2504}".repeat(dashes / 2), "\u{2504}".repeat(dashes - dashes / 2));
    let style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
    Line::from(format!("{before}{text}{after}")).style(style)
}

/// How far a cut has come, and what both sides wrote.
fn network(app: &App<'_>) -> Paragraph<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let lines = match &app.split.stage {
        Stage::Whole => Vec::new(),
        Stage::Cut => vec![
            Line::from(format!("{} cut off from {}", app.cluster.of_side(1), app.cluster.of_side(0))),
            Line::styled("each side looks for its leader\u{2026}", Style::new().fg(Color::Yellow)),
        ],
        Stage::Changed => vec![
            Line::from(format!("{} cut off from {}: both write", app.cluster.of_side(1), app.cluster.of_side(0))),
            Line::from(format!("{KEY} was changed on both sides \u{b7} x mends the network")),
        ],
        Stage::Mended => {
            vec![Line::styled("mended: the two sides become one\u{2026}", Style::new().fg(Color::Yellow))]
        }
        Stage::Found(clash) => {
            let [present, other] = &clash.sides;
            let more = if clash.more > 0 { format!("{} conflicts: ", clash.more + 1) } else { "conflict: ".to_owned() };
            let values =
                format!(" is {:?} (by {}), not {:?} (by {})", present.value, present.by, other.value, other.by);
            let how = format!("settle it: tanist conflicts --socket {}", app.cluster.socket(app.selected).display());
            vec![
                Line::from(vec![
                    Span::styled(more, Style::new().fg(Color::Yellow)),
                    Span::styled(KEY, bold),
                    values.into(),
                ]),
                Line::from(how),
            ]
        }
        Stage::Settled(clash) => {
            let [present, other] = &clash.sides;
            let text = format!("the conflict of {KEY} was settled ({:?} or {:?})", present.value, other.value);
            vec![Line::styled(text, Style::new().fg(Color::Green))]
        }
    };
    Paragraph::new(lines).block(Block::bordered().title(" the network "))
}

fn agent<'a>(app: &'a App<'_>, n: usize, row: &'a Row) -> Cells<'a> {
    let agent = &app.cluster.agents[n];
    let (role, style) = match (&agent.life, row.role) {
        (Life::Ended(_), _) => ("ended", Style::new().fg(Color::Red)),
        (Life::Frozen, _) => ("frozen", Style::new().fg(Color::Cyan)),
        (Life::Running, Some(RoleName::Leading)) => ("leading", Style::new().fg(Color::Green)),
        (Life::Running, Some(RoleName::Claiming)) => ("claiming", Style::new().fg(Color::Yellow)),
        (Life::Running, Some(role)) => (who::role(role), Style::new()),
        (Life::Running, None) => ("starting", Style::new().add_modifier(Modifier::DIM)),
    };
    // What one that stands still said last is true no more.
    let runs = agent.life == Life::Running;
    let role = if row.successor && runs { format!("{role} *") } else { role.to_owned() };
    let heard = match &agent.life {
        Life::Ended(how) => how.trim_start_matches("it was ").to_owned(),
        Life::Frozen => "f thaws it".to_owned(),
        Life::Running if row.role == Some(RoleName::Leading) => "beating".to_owned(),
        Life::Running => row.heard.map_or_else(String::new, |heard| {
            let beats = beats(heard, app.cluster.heartbeat());
            format!("{beats:<BEATS$} {} ago", who::lasting(heard))
        }),
    };
    let style = if n == app.selected { style.add_modifier(Modifier::REVERSED) } else { style };
    Cells::new([
        Cell::from(CHOOSE.get(n).map(char::to_string).unwrap_or_default()),
        Cell::from(agent.name.as_str()),
        Cell::from(agent.address.to_string()),
        Cell::from(role),
        Cell::from(row.epoch.to_string()),
        Cell::from(row.leader.as_deref().filter(|_| runs).unwrap_or("-")),
        Cell::from(Line::from(grouped(app.records.acknowledged(n))).right_aligned()),
        Cell::from(heard),
    ])
    .style(style)
}

/// Full right after a heartbeat; each interval without one takes a piece away.
fn beats(heard: Duration, interval: Duration) -> String {
    let missed = heard.as_micros() / interval.as_micros().max(1);
    let left = BEATS.saturating_sub(usize::try_from(missed).unwrap_or(BEATS));
    "\u{2588}".repeat(left)
}

/// How many records are acknowledged, and where the last check found them.
fn records(app: &App<'_>) -> Paragraph<'static> {
    let count = format!("{} acknowledged", grouped(app.records.total()));
    let waited = format!(" \u{b7} longest wait of a write {}", ms(app.records.longest_wait()));
    let full = if app.records.full() { " \u{b7} the writers are done" } else { "" };
    let first =
        Line::from(vec![Span::styled(count, Style::new().add_modifier(Modifier::BOLD)), (waited + full).into()]);
    let (text, colour) = match &app.proof.last {
        _ if app.cluster.running().is_empty() => ("no machine runs".to_owned(), Color::Yellow),
        _ if app.cluster.net == Net::Cut => ("compared when each side has a leader".to_owned(), Color::Yellow),
        _ if app.proof.is_open(app.cluster) => {
            ("comparing what every machine that runs has\u{2026}".to_owned(), Color::Yellow)
        }
        None => (String::new(), Color::Reset),
        Some(Checked { found, at, .. }) => {
            let colour = if found.is_good() { Color::Green } else { Color::Red };
            let (all, ago) = (grouped(found.acknowledged), who::lasting(at.elapsed()));
            let text = match found.trouble {
                None => format!("{all} compared {ago} ago: {}", found.text()),
                Some(_) => found.text(),
            };
            (text, colour)
        }
    };
    let second = Line::from(Span::styled(text, Style::new().fg(colour)));
    let most = grouped(RECORDS);
    let title = format!(" records: a writer on every machine, {RATE} a second in all, {most} at most ");
    Paragraph::new(vec![first, second]).block(Block::bordered().title(title))
}

fn events<'a>(app: &'a App<'_>, area: Rect) -> Paragraph<'a> {
    let room = usize::from(area.height.saturating_sub(2));
    let newest = app.log.iter().skip(app.log.len().saturating_sub(room));
    let lines: Vec<Line<'_>> = newest
        .map(|told| {
            let colour = if told.warn { Style::new().fg(Color::Yellow) } else { Style::new() };
            Line::from(vec![
                Span::styled(format!("{:<12}  ", told.at), Style::new().add_modifier(Modifier::DIM)),
                Span::styled(format!("{:<6}", told.agent), Style::new().add_modifier(Modifier::BOLD)),
                Span::styled(told.text.as_str(), colour),
            ])
        })
        .collect();
    Paragraph::new(lines).block(Block::bordered().title(" events "))
}

fn past<'a>(app: &'a App<'_>, area: Rect) -> Paragraph<'a> {
    let room = usize::from(area.height.saturating_sub(2));
    let newest = app.failovers.iter().skip(app.failovers.len().saturating_sub(room));
    let lines: Vec<Line<'_>> = newest
        .map(|Failover { text, waited }| match waited {
            Some(waited) => Line::from(format!("{text} \u{b7} longest wait {}", ms(*waited))),
            None => Line::from(text.as_str()),
        })
        .collect();
    Paragraph::new(lines)
        .block(Block::bordered().title(" changes of leader: until all name the new one; longest wait of a write "))
}

fn keys(app: &App<'_>) -> Paragraph<'static> {
    let name = &app.cluster.agents[app.selected].name;
    let last = CHOOSE[app.rows.len().clamp(1, CHOOSE.len()) - 1];
    let cut = if app.cluster.net == Net::Whole { "cut" } else { "mend" };
    let freeze = if app.cluster.agents[app.selected].life == Life::Frozen { "thaw" } else { "freeze" };
    let text = format!("q quit  x {cut}  1-{last} pick  {name}: k kill  f {freeze}  s stop  r restart  h hand over");
    Paragraph::new(text).style(Style::new().add_modifier(Modifier::DIM))
}
