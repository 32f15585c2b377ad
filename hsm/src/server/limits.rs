//! How much one client may ask for.

use std::time::{Duration, Instant};

/// Limits of the server. The defaults serve a province: its clearing house verifies a day's taps in
/// minutes and stays below them; a client that runs wild does not starve the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections of all clients together.
    pub connections: usize,
    /// Calls that wait for the arithmetic pool, all clients together.
    pub queue: usize,
    /// Calls a client.
    pub requests: Rate,
    /// Items of batches a client.
    pub items: Rate,
}

/// A rate with a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Each second, at least 1.
    pub per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            queue: 256,
            requests: Rate {
                per_second: 5_000,
                burst: 10_000,
            },
            items: Rate {
                per_second: 2_000_000,
                burst: 4_000_000,
            },
        }
    }
}

/// A token bucket, kept as the time at which it is full again (GCRA).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    rate: Rate,
    full_at: Instant,
}

impl Bucket {
    pub(crate) const fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, full_at: now }
    }

    /// Takes `n`, or says how long to wait for them. More than a burst is never to be had; callers
    /// bound `n` below it.
    pub(crate) fn take(&mut self, now: Instant, n: u32) -> Result<(), Duration> {
        let span = |n: u32| {
            let nanos = u64::from(n) * 1_000_000_000 / u64::from(self.rate.per_second.max(1));
            Duration::from_nanos(nanos)
        };
        let full_at = self.full_at.max(now) + span(n);
        match (full_at - now).checked_sub(span(self.rate.burst)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.full_at = full_at;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let rate = Rate {
            per_second: 10,
            burst: 5,
        };
        let mut bucket = Bucket::new(rate, start);
        assert_eq!(bucket.take(start, 5), Ok(()));
        assert_eq!(bucket.take(start, 1), Err(Duration::from_millis(100)));
        // A refusal takes nothing.
        assert_eq!(bucket.take(start, 1), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(100);
        assert_eq!(bucket.take(later, 1), Ok(()));
        assert!(bucket.take(later, 1).is_err());
        // A long pause gives one burst, not more.
        let much_later = later + Duration::from_secs(3600);
        assert_eq!(bucket.take(much_later, 5), Ok(()));
        assert!(bucket.take(much_later, 1).is_err());
        assert!(bucket.take(much_later + Duration::from_secs(9), 6).is_err());
    }
}
