//! Aligned columns.

use super::out::{Out, Tint};

/// Rows of cells; the last column is never padded.
pub(super) struct Table {
    rows: Vec<Vec<(String, Tint)>>,
}

impl Table {
    /// A table with these headings.
    pub(super) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| ((*heading).to_owned(), Tint::Faint)).collect()] }
    }

    /// A table without headings.
    pub(super) fn bare() -> Self {
        Self { rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<(String, Tint)>) {
        self.rows.push(cells);
    }

    /// The lines, each indented so far.
    pub(super) fn lines(&self, out: Out, indent: usize) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|(text, _)| text.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<(String, Tint)>| {
            let last = row.iter().rposition(|(text, _)| !text.is_empty()).unwrap_or(0);
            let mut line = " ".repeat(indent);
            for (column, (text, tint)) in row.iter().enumerate().take(last + 1) {
                line.push_str(&out.tint(*tint, text));
                if column < last {
                    line.push_str(&" ".repeat(widths[column] - text.chars().count() + 2));
                }
            }
            line
        };
        self.rows.iter().map(line).collect()
    }
}
