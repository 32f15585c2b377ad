//! How much of the audit log a client may fill by being refused: whoever is refused all the time must
//! not fill the disk.

use std::time::Instant;

use crate::server::limits::{Bucket, Rate};

/// Lines of refusals that one client may add to the audit log; what is above is counted.
const REFUSALS: Rate = Rate {
    per_second: 1,
    burst: 60,
};

/// Decides which refusals get a line.
#[derive(Debug)]
pub(crate) struct Refusals {
    bucket: Bucket,
    suppressed: u64,
}

impl Refusals {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            bucket: Bucket::new(REFUSALS, now),
            suppressed: 0,
        }
    }

    /// Whether to write a line, and how many were suppressed since the last.
    pub(crate) fn line(&mut self, now: Instant) -> Option<u64> {
        if self.bucket.take(now, 1).is_err() {
            self.suppressed += 1;
            return None;
        }
        Some(core::mem::take(&mut self.suppressed))
    }
}

impl Default for Refusals {
    fn default() -> Self {
        Self::new(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn refusals_are_counted_when_not_written() {
        let start = Instant::now();
        let mut refusals = Refusals::new(start);
        let written = (0..1000).filter_map(|_| refusals.line(start)).count();
        assert_eq!(written, 60);
        assert_eq!(refusals.line(start + Duration::from_secs(1)), Some(940));
        assert_eq!(refusals.line(start + Duration::from_secs(2)), Some(0));
    }
}
