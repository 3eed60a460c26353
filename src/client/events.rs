//! The stream of events, line by line.

use super::Error;
use super::transport::Answer;
use crate::view::Line;
use http_body_util::BodyExt;

/// The longest line that is taken, in bytes. Agents write far shorter ones.
const LINE_MAX: usize = 1 << 20;

/// Events as they come. Dropping it ends the stream.
#[derive(Debug)]
pub struct Events {
    answer: Answer,
    /// What was received and not yet given out; at most [`LINE_MAX`] and one piece of the body.
    rest: Vec<u8>,
    /// Up to where `rest` has been given out.
    taken: usize,
}

impl Events {
    pub(super) fn new(answer: Answer) -> Self {
        Self { answer, rest: Vec::new(), taken: 0 }
    }

    /// The next line as it was sent, without its end; none when the agent ended the stream. May be given up at any
    /// await without losing a line.
    ///
    /// # Errors
    /// [`Error::Strange`] when the stream breaks, or a line is longer than a mebibyte.
    pub async fn next_text(&mut self) -> Result<Option<String>, Error> {
        loop {
            if let Some(end) = self.rest[self.taken..].iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.rest[self.taken..self.taken + end]).into_owned();
                self.taken += end + 1;
                if line.trim().is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            self.rest.drain(..self.taken);
            self.taken = 0;
            if self.rest.len() > LINE_MAX {
                return Err(Error::Strange { why: "the agent's event stream has no line ends".to_owned() });
            }
            match self.answer.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    let why = format!("the event stream broke off, as when its agent dies ({error}): open it again");
                    return Err(Error::Strange { why });
                }
            }
        }
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
