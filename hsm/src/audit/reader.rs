//! Questions to the log of a running server, answered by what the audit key signed.

use card_spec::time::CardTime;
use hsm_client::{Administration, AuditFrom, AuditPage, AuditPlace, HsmError};

use super::{CHECKPOINT, Checker, LABEL, Line, Query, verifying};
use crate::chain::{beginning, follow};

/// Why a server's log could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The server refused, or did not answer.
    #[error(transparent)]
    Hsm(#[from] HsmError),
    /// What it sent is not what was written.
    #[error(
        "the server's audit log: {0}; stop that server, keep its directory as evidence, and verify the log there"
    )]
    Wrong(String),
}

fn wrong<T>(why: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::Wrong(why.into()))
}

/// Gives every line that matches to `each`, in order, once a checkpoint vouches for it by one of the
/// audit keys. Returns the log's length and head, as they are kept for the next audit.
pub fn query_server(
    server: &impl Administration,
    keys: &[[u8; 32]],
    query: &Query,
    mut each: impl FnMut(&Line),
) -> Result<(u64, String), ReadError> {
    let mut reader = Reader::new(keys, query.from)?;
    while let Some(from) = reader.wanted() {
        let page = server.audit_lines(from)?;
        for line in reader.read(&page)? {
            if query.matches(&line) {
                each(&line);
            }
        }
    }
    reader.head()
}

/// Verifies the pages of one reading.
pub(super) struct Reader {
    /// Any line of this time or later is wanted.
    from: CardTime,
    checker: Checker,
    /// Where the next page begins; unknown before the first.
    place: Option<AuditPlace>,
    /// No checkpoint vouches for these yet.
    pending: Vec<Line>,
    ended: bool,
}

impl Reader {
    pub(super) fn new(keys: &[[u8; 32]], from: Option<CardTime>) -> Result<Self, ReadError> {
        let keys = verifying(keys).or_else(wrong)?;
        Ok(Self {
            from: from.unwrap_or(CardTime::MIN),
            checker: Checker::new(keys),
            place: None,
            pending: Vec::new(),
            ended: false,
        })
    }

    /// The page that comes next.
    pub(super) fn wanted(&self) -> Option<AuditFrom> {
        let next = self
            .place
            .map_or(AuditFrom::Time(self.from), AuditFrom::Place);
        (!self.ended).then_some(next)
    }

    /// The lines that are proved now, whether they match or not.
    pub(super) fn read(&mut self, page: &AuditPage) -> Result<Vec<Line>, ReadError> {
        let mut place = match self.place {
            Some(place) if place == page.place => place,
            Some(_) => return wrong("it sent another page than was asked for"),
            None => self.start(page)?,
        };
        let mut proved = Vec::new();
        for text in page.lines.split_inclusive('\n') {
            let number = self.checker.passed() + 1;
            let line = text.strip_suffix('\n').unwrap_or_default().as_bytes();
            let Some((body, hash)) = follow(&place.before, line) else {
                return wrong(format!(
                    "line {number} was changed, or a line before it was removed or moved"
                ));
            };
            let checked = self.checker.check(&place.before, &body);
            let line = checked.or_else(|why| wrong(format!("line {number} {why}")))?;
            place.offset += text.len() as u64;
            place.before = hash;
            let vouched = line.act == CHECKPOINT;
            self.pending.push(line);
            if vouched {
                proved.append(&mut self.pending);
            }
        }
        self.ended = self.checker.passed() == page.last;
        let stuck = !self.ended && (page.lines.is_empty() || self.checker.passed() > page.last);
        if stuck || (self.ended && !self.pending.is_empty()) {
            return wrong(format!(
                "it ends at line {} without a checkpoint, or goes beyond its end",
                self.checker.passed()
            ));
        }
        self.place = Some(place);
        Ok(proved)
    }

    /// A first page begins with the log, or with a checkpoint of before the time that is asked for:
    /// its signature, which is checked with the line, says which line that is and what was before it.
    fn start(&mut self, page: &AuditPage) -> Result<AuditPlace, ReadError> {
        if page.place == beginning(LABEL) {
            return Ok(page.place);
        }
        let first = page.lines.lines().next().unwrap_or_default();
        let first = follow(&page.place.before, first.as_bytes())
            .and_then(|(body, _)| serde_json::from_slice::<Line>(&body).ok())
            .filter(|line| line.act == CHECKPOINT && line.time < self.from);
        let Some(first) = first else {
            return wrong("its first page begins with no checkpoint of before that time");
        };
        self.checker.passed = first.n.saturating_sub(1);
        Ok(page.place)
    }

    pub(super) fn head(&self) -> Result<(u64, String), ReadError> {
        match self.place {
            Some(place) if self.ended => Ok((self.checker.passed(), hex::encode(place.before))),
            _ => wrong("it was not read to its end"),
        }
    }
}
