//! What a tap costs, by parts: bytes on the air and on the SAM's line as they went through, and the
//! time that card, SAM and disk kept the terminal waiting.
//!
//! A meter counts what passes its own channels and storage; [`Meter::take`] ends one tap. Air and
//! the SAM's line are modelled from the bytes (`card_spec::air`): a reader behind PC/SC shows
//! nothing of either. The rest is measured.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use card_spec::{
    Channel, ChannelError,
    air::{self, Rate},
};
use serde::Serialize;

use crate::journal::Storage;

/// Speed of a SAM's line that [`Cost::sam_line_us`] assumes: what PPS reaches in common readers.
pub const SAM_BAUD: u32 = 115_200;

/// Counts; its clones count together.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    card: Side,
    sam: Side,
    /// At each of [`Rate::ALL`].
    air_ns: [AtomicU64; 4],
    flush_ns: AtomicU64,
}

#[derive(Debug, Default)]
struct Side {
    exchanges: AtomicU64,
    out: AtomicU64,
    back: AtomicU64,
    waited_ns: AtomicU64,
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One tap. Times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Commands to the card.
    pub exchanges: u64,
    /// Bytes to the card.
    pub bytes_out: u64,
    /// Bytes from the card, status words included.
    pub bytes_back: u64,
    /// Modelled: activation and every exchange at 106, 212, 424 and 848 kbit/s.
    pub air_us: [u64; 4],
    /// Measured: until the card (or its reader) had answered.
    pub card_us: u64,
    /// Characters to and from the SAM.
    pub sam_characters: u64,
    /// Modelled: those characters on T=0 at [`SAM_BAUD`].
    pub sam_line_us: u64,
    /// Measured: until the SAM (or its reader) had answered.
    pub sam_us: u64,
    /// Measured: the journal's writes, flushed.
    pub flush_us: u64,
    /// Measured: what is left of the tap, the terminal's own work.
    pub software_us: u64,
}

impl Meter {
    /// The card's channel, counted.
    pub fn card<C>(&self, inside: C) -> Metered<C> {
        self.channel(inside, Of::Card)
    }

    /// The SAM's channel, counted.
    pub fn sam<C>(&self, inside: C) -> Metered<C> {
        self.channel(inside, Of::Sam)
    }

    fn channel<C>(&self, inside: C, of: Of) -> Metered<C> {
        let meter = self.clone();
        Metered { inside, meter, of }
    }

    /// The journal's storage, counted.
    pub fn storage<S>(&self, inside: S) -> MeteredStorage<S> {
        let meter = self.clone();
        MeteredStorage { inside, meter }
    }

    /// What went through since the last call, in a tap that took `total`.
    pub fn take(&self, total: Duration) -> Cost {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let Counters {
            card,
            sam,
            air_ns,
            flush_ns,
        } = &*self.0;
        let (card_ns, sam_ns, flush_ns) =
            (take(&card.waited_ns), take(&sam.waited_ns), take(flush_ns));
        let own = nanoseconds(total).saturating_sub(card_ns + sam_ns + flush_ns);
        let sam_characters = take(&sam.out) + take(&sam.back);
        take(&sam.exchanges);
        let characters = usize::try_from(sam_characters).unwrap_or(usize::MAX);
        let mut air_us = [0; 4];
        for ((air_us, rate), exchanges_ns) in air_us.iter_mut().zip(Rate::ALL).zip(air_ns) {
            *air_us = (air::activation_ns(rate) + take(exchanges_ns)) / 1_000;
        }
        Cost {
            exchanges: take(&card.exchanges),
            bytes_out: take(&card.out),
            bytes_back: take(&card.back),
            air_us,
            card_us: card_ns / 1_000,
            sam_characters,
            sam_line_us: air::sam_ns(characters, SAM_BAUD) / 1_000,
            sam_us: sam_ns / 1_000,
            flush_us: flush_ns / 1_000,
            software_us: own / 1_000,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Card,
    Sam,
}

/// A channel whose bytes and waiting are counted.
#[derive(Debug)]
pub struct Metered<C> {
    inside: C,
    meter: Meter,
    of: Of,
}

impl<C: Channel> Channel for Metered<C> {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        let began = Instant::now();
        let answered = self.inside.transmit(command, response);
        let waited = nanoseconds(began.elapsed());
        let counters = &*self.meter.0;
        let side = match self.of {
            Of::Card => &counters.card,
            Of::Sam => &counters.sam,
        };
        let back = *answered.as_ref().unwrap_or(&0);
        add(&side.exchanges, 1);
        add(&side.out, command.len() as u64);
        add(&side.back, back as u64);
        add(&side.waited_ns, waited);
        if self.of == Of::Card {
            for (sum, rate) in counters.air_ns.iter().zip(Rate::ALL) {
                add(sum, air::exchange_ns(rate, command.len(), back));
            }
        }
        answered
    }

    fn atr(&self) -> &[u8] {
        self.inside.atr()
    }
}

/// A journal's storage whose writes are timed.
#[derive(Debug)]
pub struct MeteredStorage<S> {
    inside: S,
    meter: Meter,
}

impl<S: Storage> MeteredStorage<S> {
    fn timed<R>(&mut self, work: impl FnOnce(&mut S) -> R) -> R {
        let began = Instant::now();
        let result = work(&mut self.inside);
        add(&self.meter.0.flush_ns, nanoseconds(began.elapsed()));
        result
    }
}

impl<S: Storage> Storage for MeteredStorage<S> {
    fn load(&mut self) -> io::Result<Vec<u8>> {
        self.inside.load()
    }
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.timed(|storage| storage.append(bytes))
    }
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.timed(|storage| storage.truncate(length))
    }
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.timed(|storage| storage.replace(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MemoryStorage;

    struct Slow;

    impl Channel for Slow {
        fn transmit(&mut self, _: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
            std::thread::sleep(Duration::from_millis(2));
            match response.get_mut(..12) {
                Some(answer) => {
                    answer.fill(0);
                    Ok(12)
                }
                None => Err(ChannelError::Malformed),
            }
        }
        fn atr(&self) -> &[u8] {
            &[]
        }
    }

    #[test]
    fn each_part_is_counted_where_it_belongs_and_once() {
        let meter = Meter::default();
        let (mut card, mut sam) = (meter.card(Slow), meter.sam(Slow));
        let mut storage = meter.storage(MemoryStorage::default());
        let began = Instant::now();
        let mut answer = [0; 258];
        assert_eq!(card.transmit(&[0; 20], &mut answer), Ok(12));
        assert_eq!(card.transmit(&[0; 10], &mut answer), Ok(12));
        assert_eq!(sam.transmit(&[0; 52], &mut answer), Ok(12));
        assert!(storage.append(&[1]).is_ok());
        let cost = meter.take(began.elapsed());
        assert_eq!(
            (cost.exchanges, cost.bytes_out, cost.bytes_back),
            (2, 30, 24)
        );
        assert_eq!(cost.sam_characters, 64);
        assert_eq!(cost.sam_line_us, 6_666);
        let exchange = |out| air::exchange_ns(Rate::K106, out, 12);
        let air = air::activation_ns(Rate::K106) + exchange(20) + exchange(10);
        assert_eq!(cost.air_us[0], air / 1_000);
        assert!(cost.card_us >= 4_000 && cost.sam_us >= 2_000, "{cost:?}");
        // Nothing is left for the next tap.
        let next = meter.take(Duration::ZERO);
        assert_eq!(
            (next.exchanges, next.sam_characters, next.card_us),
            (0, 0, 0)
        );
        assert_eq!(next.air_us[0], air::activation_ns(Rate::K106) / 1_000);
    }
}
