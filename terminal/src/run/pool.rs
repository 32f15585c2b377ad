//! The SAMs of a device, each in its own slot. A SAM that was pulled out, was reset or fails is set
//! aside and looked for again; the device goes on with the others.
//!
//! A device serves one card at a time, so a SAM is lent for the length of a call and nobody else can
//! ask meanwhile. What is waited for is a SAM that comes back.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use card_reader::Seen;
use card_spec::id::SamNo;

use super::{RunError, Slot};
use crate::sam::{SamError, SamUnit};

/// Pause before a SAM that did not open is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The same while a card lies there and waits.
const RETRY_SOON: Duration = Duration::from_millis(20);

/// How a SAM is opened.
pub(super) type Open<C> = fn(C) -> Result<SamUnit<C>, SamError>;

/// The SAMs of a device.
pub(super) struct SamPool<M: Slot> {
    places: Vec<Place<M>>,
    open: Open<M::Card>,
    /// Where to begin: behind the SAM that failed last.
    first: usize,
    is_news: bool,
}

struct Place<M: Slot> {
    slot: M,
    sam: Sam<M::Card>,
    fault: Fault,
}

/// What staff know of a slot's fault: it is told once until the slot is in order again.
enum Fault {
    None,
    New(String),
    Told,
}

enum Sam<C> {
    Ready(SamUnit<C>),
    /// Opened again from this time on.
    Aside(Instant),
    /// Not in its slot.
    Out,
}

impl<M: Slot> SamPool<M> {
    /// Over slots whose SAMs are still to be opened.
    pub(super) fn new(slots: Vec<M>, open: Open<M::Card>) -> Self {
        let place = |slot| Place {
            slot,
            sam: Sam::Aside(Instant::now()),
            fault: Fault::None,
        };
        Self {
            places: slots.into_iter().map(place).collect(),
            open,
            first: 0,
            is_news: false,
        }
    }

    /// The SAMs that are ready.
    pub(super) fn numbers(&self) -> Vec<SamNo> {
        let ready = |place: &Place<M>| match &place.sam {
            Sam::Ready(unit) => Some(unit.number()),
            Sam::Aside(_) | Sam::Out => None,
        };
        self.places.iter().filter_map(ready).collect()
    }

    /// Whether a card can be served: a SAM is ready, or the device needs none.
    pub(super) fn is_ready(&self) -> bool {
        let ready = |place: &Place<M>| matches!(place.sam, Sam::Ready(_));
        self.places.is_empty() || self.places.iter().any(ready)
    }

    /// The same, when SAMs came or went since the last call.
    pub(super) fn news(&mut self) -> Option<bool> {
        std::mem::take(&mut self.is_news).then(|| self.is_ready())
    }

    /// What went wrong since the last call, for staff.
    pub(super) fn faults(&mut self) -> Vec<String> {
        let new = |fault: &mut Fault| match std::mem::replace(fault, Fault::Told) {
            Fault::New(message) => Some(message),
            other => {
                *fault = other;
                None
            }
        };
        let places = self.places.iter_mut();
        places.filter_map(|place| new(&mut place.fault)).collect()
    }

    /// What was seen in a slot.
    pub(super) fn note(&mut self, index: usize, seen: Seen) {
        let Some(place) = self.places.get_mut(index) else {
            return;
        };
        match (seen, &place.sam) {
            // The SAM that was opened at the start.
            (Seen::Card, Sam::Ready(_)) => {}
            (Seen::Card, _) => place.sam = Sam::Aside(Instant::now()),
            (Seen::Empty, _) => self.out(index, &"it was pulled out"),
            (Seen::Mute, _) => self.out(index, &"it does not answer: is it the right way round?"),
            (Seen::Lost, _) => self.out(index, &"its reader is gone"),
        }
    }

    fn out(&mut self, index: usize, why: &dyn Display) {
        self.places[index].sam = Sam::Out;
        self.tell(index, why);
    }

    fn tell(&mut self, index: usize, why: &dyn Display) {
        self.is_news = true;
        let fault = &mut self.places[index].fault;
        if matches!(fault, Fault::None) {
            let slot = index + 1;
            *fault = Fault::New(format!("SAM slot {slot}: {why}; waiting for it"));
        }
    }

    /// Opens those set aside whose time has come.
    pub(super) fn tend(&mut self) {
        let now = Instant::now();
        for index in 0..self.places.len() {
            if matches!(self.places[index].sam, Sam::Aside(from) if from <= now) {
                // Told, and tried again.
                let _ = self.try_open(index);
            }
        }
    }

    fn try_open(&mut self, index: usize) -> Result<(), RunError> {
        let place = &mut self.places[index];
        let opened = place.slot.connect().map_err(RunError::from);
        match opened.and_then(|card| Ok((self.open)(card)?)) {
            Ok(unit) => {
                place.sam = Sam::Ready(unit);
                place.fault = Fault::None;
                self.is_news = true;
                Ok(())
            }
            Err(error) => {
                if let Sam::Aside(from) = &mut place.sam {
                    *from = Instant::now() + RETRY;
                }
                self.tell(index, &error);
                Err(error)
            }
        }
    }

    /// Waits until a SAM is ready, trying all of them. At once when one is, or when the device needs
    /// none; after `timeout` the last error.
    pub(super) fn wait(&mut self, timeout: Duration) -> Result<(), RunError> {
        let deadline = Instant::now() + timeout;
        while !self.is_ready() {
            let mut last = Ok(());
            for index in 0..self.places.len() {
                if let Err(error) = self.try_open(index) {
                    last = Err(error);
                }
            }
            if !self.is_ready() && Instant::now() >= deadline {
                return last;
            }
            if !self.is_ready() {
                std::thread::sleep(RETRY_SOON);
            }
        }
        Ok(())
    }

    /// Lends a SAM to `work`: `wanted` before any other, none when none is ready. One that fails in
    /// it is set aside; the answer says so.
    pub(super) fn lend<T>(
        &mut self,
        wanted: Option<SamNo>,
        work: impl FnOnce(Option<&mut SamUnit<M::Card>>) -> T,
    ) -> (T, bool) {
        let Some(index) = self.choose(wanted) else {
            return (work(None), false);
        };
        let Sam::Ready(unit) = &mut self.places[index].sam else {
            return (work(None), false);
        };
        let done = work(Some(&mut *unit));
        if !unit.is_faulty() {
            return (done, false);
        }
        let number = unit.number();
        self.places[index].sam = Sam::Aside(Instant::now());
        self.first = index + 1;
        self.tell(index, &format_args!("SAM {number} failed"));
        (done, true)
    }

    fn choose(&self, wanted: Option<SamNo>) -> Option<usize> {
        let count = self.places.len();
        let number = |index: usize| match &self.places[index].sam {
            Sam::Ready(unit) => Some(unit.number()),
            Sam::Aside(_) | Sam::Out => None,
        };
        let mut ready = (self.first..self.first + count)
            .map(|i| i % count)
            .filter(|index| number(*index).is_some());
        let next = ready.clone().next();
        ready
            .find(|index| wanted.is_some() && number(*index) == wanted)
            .or(next)
    }
}

#[cfg(test)]
mod tests {
    use card_reader::ReaderError;
    use card_spec::{ChannelError, keys::class};
    use virtual_card::{
        VirtualCard,
        sample::{SampleSam, sample_sam},
    };

    use super::*;

    /// Its SAM answers from the n-th try on.
    struct Late(u32);

    impl Slot for Late {
        type Card = VirtualCard;
        fn connect(&mut self) -> Result<VirtualCard, ReaderError> {
            self.0 = self.0.saturating_sub(1);
            if self.0 > 0 {
                return Err(ReaderError::Channel(ChannelError::CardRemoved));
            }
            let number = "350100000017".parse().expect("a SAM number");
            Ok(sample_sam(SampleSam::Purse(class::TRANSIT), number, [7; 32]).expect("a SAM"))
        }
    }

    fn pool(tries: &[u32]) -> SamPool<Late> {
        SamPool::new(
            tries.iter().copied().map(Late).collect(),
            SamUnit::open_purse,
        )
    }

    #[test]
    fn a_wait_ends_with_the_first_sam_or_with_the_time() {
        let mut late = pool(&[5, u32::MAX]);
        late.wait(Duration::from_secs(60)).expect("the fifth try");
        assert_eq!(late.numbers().len(), 1);
        let mut never = pool(&[u32::MAX]);
        let error = never.wait(Duration::ZERO).expect_err("none");
        assert_eq!(error.exit_code(), 5);
        assert!(!never.lend(None, |sam| sam.is_some()).0);
        assert!(pool(&[]).is_ready(), "a device that needs none");
    }

    #[test]
    fn a_fault_is_told_once_until_it_is_over() {
        let mut pool = pool(&[3]);
        let mut wait = || {
            let _ = pool.wait(Duration::ZERO);
            (pool.faults().len(), pool.news())
        };
        assert_eq!(wait(), (1, Some(false)));
        assert_eq!(wait(), (0, Some(false)));
        assert_eq!(wait(), (0, Some(true)));
        assert_eq!(wait(), (0, None));
        pool.note(0, Seen::Empty);
        assert_eq!((pool.faults().len(), pool.news()), (1, Some(false)));
    }
}
