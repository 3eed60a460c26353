//! Streams of JSON, line by line.

use super::Error;
use super::transport::Answer;
use http_body_util::BodyExt;

/// Lines as they come. Dropping it ends the stream.
#[derive(Debug)]
pub(super) struct Lines {
    answer: Answer,
    /// The longest line that is taken, in bytes.
    most: usize,
    /// What was received and not yet given out; at most `most` and one piece of the body.
    rest: Vec<u8>,
    /// Up to where `rest` has been given out.
    taken: usize,
    /// Up to where `rest` has no line end behind what was given out.
    looked: usize,
}

impl Lines {
    pub(super) fn new(answer: Answer, most: usize) -> Self {
        Self { answer, most, rest: Vec::new(), taken: 0, looked: 0 }
    }

    /// The next line as it was sent, without its end; none when the agent ended the stream. May be given up at any await
    /// without losing a line.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Error> {
        loop {
            if let Some(end) = self.rest[self.looked..].iter().position(|byte| *byte == b'\n') {
                let line = String::from_utf8_lossy(&self.rest[self.taken..self.looked + end]).into_owned();
                self.looked += end + 1;
                self.taken = self.looked;
                if line.trim().is_empty() {
                    continue;
                }
                return Ok(Some(line));
            }
            self.rest.drain(..self.taken);
            self.taken = 0;
            self.looked = self.rest.len();
            if self.rest.len() > self.most {
                return Err(Error::Strange { why: "the agent's stream has no line ends".to_owned() });
            }
            match self.answer.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    let why = format!("the stream broke off, as when its agent dies ({error}): open it again");
                    return Err(Error::Broken { why });
                }
            }
        }
    }
}
