//! The picture.

use super::app::{App, Row};
use crate::cli::demo::cluster::Life;
use crate::cli::who;
use crate::protocol::RoleName;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row as Cells, Table};
use std::time::Duration;

/// Lines of the list of failovers, its frame included.
const FAILOVERS: u16 = 8;

/// What every cell of the heartbeat indicator stands for, in intervals.
const BEATS: usize = 8;

pub(super) fn draw(app: &App<'_>, frame: &mut Frame<'_>) {
    let agents = u16::try_from(app.rows.len()).unwrap_or(u16::MAX);
    let parts = [
        Constraint::Length(agents.saturating_add(3)),
        Constraint::Min(5),
        Constraint::Length(FAILOVERS),
        Constraint::Length(1),
    ];
    let [table, log, failovers, help] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(agents_table(app), table);
    frame.render_widget(events(app, log), log);
    frame.render_widget(past(app, failovers), failovers);
    frame.render_widget(keys(app), help);
}

fn agents_table<'a>(app: &'a App<'_>) -> Table<'a> {
    let faint = Style::new().add_modifier(Modifier::DIM);
    let heading = Cells::new(["", "NAME", "ADDRESS", "ROLE", "EPOCH", "LEADER", "HEARTBEAT", "HEARD"]).style(faint);
    let rows = app.rows.iter().enumerate().map(|(n, row)| agent(app, n, row));
    let widths = [
        Constraint::Length(2),
        Constraint::Length(8),
        Constraint::Length(16),
        Constraint::Length(12),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Length(10),
        Constraint::Min(24),
    ];
    let title = format!(
        " tanist demo: {} agents, heartbeat {} ms, port {}; * is the successor ",
        app.rows.len(),
        app.cluster.heartbeat().as_millis(),
        app.cluster.ground.port
    );
    Table::new(rows, widths).header(heading).block(Block::bordered().title(title))
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
    let (beat, heard) = match &agent.life {
        Life::Ended(how) => (String::new(), how.clone()),
        Life::Frozen => (String::new(), "f thaws it".to_owned()),
        Life::Running if row.role == Some(RoleName::Leading) => ("beating".to_owned(), String::new()),
        Life::Running => match row.heard {
            Some(heard) => (beats(heard, app.cluster.heartbeat()), format!("{} ago", who::lasting(heard))),
            None => (String::new(), String::new()),
        },
    };
    let style = if n == app.selected { style.add_modifier(Modifier::REVERSED) } else { style };
    Cells::new([
        Cell::from(format!("{}", n + 1)),
        Cell::from(agent.name.as_str()),
        Cell::from(agent.address.to_string()),
        Cell::from(role),
        Cell::from(row.epoch.to_string()),
        Cell::from(row.leader.as_deref().filter(|_| runs).unwrap_or("-")),
        Cell::from(beat),
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
    let lines: Vec<Line<'_>> = newest.map(|line| Line::from(line.as_str())).collect();
    Paragraph::new(lines)
        .block(Block::bordered().title(" changes of leader: from the cause until all name the new one "))
}

fn keys(app: &App<'_>) -> Paragraph<'static> {
    let name = &app.cluster.agents[app.selected].name;
    let last = app.rows.len().min(9);
    let text = format!(" q quit  1-{last} choose  {name}: k kill  f freeze/thaw  s stop  r restart  h hand over");
    Paragraph::new(text).style(Style::new().add_modifier(Modifier::DIM))
}
