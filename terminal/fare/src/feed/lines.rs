//! Lines of a file.

use csv::StringRecord;

/// Longest line.
pub(super) const MAX_LINE_BYTES: usize = 64 << 10;

/// Where a line begins that no feed has.
pub(super) fn too_long(text: &str) -> Option<usize> {
    let mut begins = 0;
    for line in text.split(['\n', '\r']) {
        if line.len() > MAX_LINE_BYTES {
            return Some(begins);
        }
        begins += line.len() + 1;
    }
    None
}

/// The line, from 1, of a position.
pub(super) fn line_at(text: &[u8], upto: usize) -> u64 {
    let before = text.get(..upto).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Line numbers. Those of the csv crate lag by one where lines end in CRLF.
pub(super) struct Lines<'a> {
    text: &'a [u8],
    upto: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            upto: 0,
            line: 1,
        }
    }

    /// The line on which a record begins; records must be asked for in order.
    pub(super) fn of(&mut self, record: &StringRecord) -> u64 {
        let begins = record.position().map_or(0, |p| p.byte() as usize);
        let rest = self.text.get(begins..).unwrap_or_default();
        let blank = rest
            .iter()
            .take_while(|b| matches!(b, b'\r' | b'\n'))
            .count();
        let passed = self.text.get(self.upto..begins + blank).unwrap_or_default();
        self.line += passed.iter().filter(|b| **b == b'\n').count() as u64;
        self.upto = begins + blank;
        self.line
    }
}
