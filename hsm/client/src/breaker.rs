//! A circuit breaker: a server that failed several times in a row is left alone for a while, so that
//! every call does not wait for the same time-out.

use std::time::{Duration, Instant};

/// Failures in a row that open it.
const FAILURES_MAX: u32 = 3;
/// How long it stays open; then one call tries.
const COOL_DOWN: Duration = Duration::from_secs(2);

/// Whether a server is worth asking.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    closed_until: Option<Instant>,
}

impl Breaker {
    /// Asks for leave to call; the error is how long to wait. Of the calls after the cool-down one
    /// gets leave, the others wait for what it finds.
    pub(crate) fn leave(&mut self, now: Instant) -> Result<(), Duration> {
        match self.closed_until {
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                self.closed_until = Some(now + COOL_DOWN);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The server answered.
    pub(crate) fn answered(&mut self) {
        *self = Self::default();
    }

    /// The server could not be reached, or did not answer.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            self.closed_until = Some(now + COOL_DOWN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_three_failures_and_lets_one_try() {
        let mut breaker = Breaker::default();
        let start = Instant::now();
        for _ in 0..2 {
            breaker.failed(start);
            assert_eq!(breaker.leave(start), Ok(()));
        }
        breaker.failed(start);
        assert_eq!(breaker.leave(start), Err(COOL_DOWN));
        let later = start + COOL_DOWN;
        assert_eq!(breaker.leave(later), Ok(()), "one tries");
        assert_eq!(breaker.leave(later), Err(COOL_DOWN), "the others wait");
        breaker.failed(later);
        assert!(breaker.leave(later + COOL_DOWN / 2).is_err());
        breaker.answered();
        assert_eq!(breaker.leave(later), Ok(()));
        // An answer between failures: they were not in a row.
        breaker.failed(later);
        breaker.answered();
        breaker.failed(later);
        breaker.failed(later);
        assert_eq!(breaker.leave(later), Ok(()));
    }
}
