//! The stream of events.

use super::Error;
use super::lines::Lines;
use super::transport::Answer;
use crate::view::Line;

/// The longest line that is taken, in bytes. Agents write far shorter ones.
const LINE_MAX: usize = 1 << 20;

/// Events as they come. Dropping it ends the stream.
#[derive(Debug)]
pub struct Events(Lines);

impl Events {
    pub(super) fn new(answer: Answer) -> Self {
        Self(Lines::new(answer, LINE_MAX))
    }

    /// The next line as it was sent, without its end; none when the agent ended the stream. May be given up at any
    /// await without losing a line.
    ///
    /// # Errors
    /// [`Error::Broken`] when the stream breaks; [`Error::Strange`] when a line is longer than a mebibyte.
    pub async fn next_text(&mut self) -> Result<Option<String>, Error> {
        self.0.next().await
    }

    /// The next event, or how many were missed; none when the agent ended the stream.
    ///
    /// # Errors
    /// As [`Events::next_text`]; and when a line is not one of an event stream.
    pub async fn next(&mut self) -> Result<Option<Line>, Error> {
        let Some(text) = self.next_text().await? else { return Ok(None) };
        let line = serde_json::from_str(&text);
        line.map(Some)
            .map_err(|error| Error::Strange { why: format!("not a line of an event stream: {error}: {text}") })
    }
}
