//! The log for somebody elsewhere: whole stretches of its file, each ending where the next begins.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use card_spec::time::CardTime;
use hsm_client::{AuditFrom, AuditPage, AuditPlace, Result};

use super::{Audit, CHECKPOINT, LABEL, Line};
use crate::{chain::beginning, sessions::malformed, signing::Signer, store};

/// Most bytes of a page: several of the longest lines, and far below the longest frame.
const PAGE_MAX: u64 = 1 << 20;

/// Where the checkpoints are, and how late it was: by these a time is found without reading the log.
#[derive(Default)]
pub(super) struct Marks {
    checkpoints: Vec<Mark>,
    last: Option<Mark>,
}

#[derive(Clone, Copy)]
struct Mark {
    place: AuditPlace,
    /// The latest time of this line and all before it: clocks may have been put back.
    latest: CardTime,
}

impl Marks {
    /// The next line, which begins at a place.
    pub(super) fn pass(&mut self, place: &AuditPlace, line: &Line) {
        let before = self.last.map_or(line.time, |last| last.latest);
        let mark = Mark {
            place: *place,
            latest: before.max(line.time),
        };
        if line.act == CHECKPOINT {
            self.checkpoints.push(mark);
        }
        self.last = Some(mark);
    }

    /// The last checkpoint of before a time with everything before it earlier as well.
    fn before(&self, time: CardTime) -> Option<AuditPlace> {
        let earlier = self.checkpoints.partition_point(|mark| mark.latest < time);
        let mark = self.checkpoints.get(earlier.checked_sub(1)?)?;
        Some(mark.place)
    }

    /// Whether the last line is a checkpoint.
    fn end_signed(&self) -> bool {
        let place = |mark: &Mark| mark.place;
        self.last.as_ref().map(place) == self.checkpoints.last().map(place)
    }
}

/// A part of the log's file.
pub(crate) struct Stretch {
    place: AuditPlace,
    end: u64,
    /// Number of the log's last line, and where that ends.
    last: u64,
    length: u64,
}

impl Audit {
    /// What a page holds. One that reaches the log's end ends in a checkpoint, made if need be: what
    /// is sent can be verified. What is signed is what was written, not what the file says by now.
    pub(crate) fn stretch(
        &mut self,
        signer: &Signer,
        time: CardTime,
        from: AuditFrom,
    ) -> Result<Stretch> {
        let place = match from {
            AuditFrom::Place(place) => place,
            AuditFrom::Time(time) => self.marks.before(time).unwrap_or_else(|| beginning(LABEL)),
        };
        let left = |audit: &Self| audit.chain.end().offset.checked_sub(place.offset);
        let ended = || malformed("the audit log ends before that place");
        if left(self).ok_or_else(ended)? < PAGE_MAX && !self.marks.end_signed() {
            self.checkpoint(signer, time)?;
        }
        self.sync()?;
        let left = left(self).filter(|left| *left > 0).ok_or_else(ended)?;
        let end = place.offset + left.min(PAGE_MAX);
        Ok(Stretch {
            place,
            end,
            last: self.lines(),
            length: self.chain.end().offset,
        })
    }
}

impl Stretch {
    /// Its whole lines. What the file holds by now is for the reader to judge.
    pub(crate) fn read(self, path: &Path) -> Result<AuditPage> {
        let lines = self
            .lines(path)
            .map_err(|e| store::io_error(path, "cannot read", &e))?;
        Ok(AuditPage {
            place: self.place,
            lines,
            last: self.last,
        })
    }

    fn lines(&self, path: &Path) -> io::Result<String> {
        let changed =
            || io::Error::other("it was changed under the running HSM: keep it as evidence");
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.place.offset))?;
        let mut bytes = Vec::new();
        file.take(self.end - self.place.offset)
            .read_to_end(&mut bytes)?;
        if self.end < self.length {
            let whole = bytes.iter().rposition(|b| *b == b'\n');
            bytes.truncate(whole.map_or(0, |at| at + 1));
        }
        String::from_utf8(bytes)
            .ok()
            .filter(|text| text.ends_with('\n'))
            .ok_or_else(changed)
    }
}
