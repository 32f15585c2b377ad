//! A city's fare state: what a terminal must know of a rider to price offline. Its 32 bytes, as
//! record 2 of file 1A keeps them:
//!
//! | bytes | content |
//! |---|---|
//! | 0 | format, `01`; anything else is "no state" |
//! | 1 | [`LegClass`] of the leg that opened the transfer window; 0 when none is open |
//! | 2-3 | [`CityCode`] |
//! | 4-7 | time of the last leg, seconds since 2000-01-01T00:00:00 local |
//! | 8-9 | age of the window at that time, seconds |
//! | 10-15 | counter 1: paid this service day, week and month, fen, two bytes each |
//! | 16-21 | counter 2 |
//! | 22-25 | pass 1: number of the product (0 none), last service day (two bytes, days since 2000-01-01), rides left (`FF` any number) |
//! | 26-29 | pass 2 |
//! | 30-31 | zero |

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    CityCode, LegClass, OpenWindow, PriorLeg,
    clock::{self, DAY},
};

/// Days from 1970-01-01 to 2000-01-01.
pub(super) const EPOCH_DAYS: i64 = 10_957;

/// What was paid in the running service day, week and month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counter {
    /// This service day.
    pub day: Fen,
    /// This week, from Monday.
    pub week: Fen,
    /// This month.
    pub month: Fen,
}

impl Counter {
    /// The most that the card's two bytes can count; a sum beyond it stays there.
    pub const MAX: Fen = Fen(65_535);

    const LEN: usize = 6;

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let two = |sum: Fen| {
            u16::try_from(sum.0.max(0))
                .unwrap_or(u16::MAX)
                .to_be_bytes()
        };
        let ([a, b], [c, d], [e, f]) = (two(self.day), two(self.week), two(self.month));
        [a, b, c, d, e, f]
    }

    pub(super) fn from_bytes([a, b, c, d, e, f]: [u8; Self::LEN]) -> Self {
        let fen = |hi, lo| Fen(u16::from_be_bytes([hi, lo]).into());
        Self {
            day: fen(a, b),
            week: fen(c, d),
            month: fen(e, f),
        }
    }

    pub(super) fn add(&mut self, paid: Fen) {
        for sum in [&mut self.day, &mut self.week, &mut self.month] {
            *sum = (*sum + paid).min(Self::MAX);
        }
    }
}

/// A pass on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPass {
    /// The product's number on cards.
    pub code: u8,
    /// Last service day of validity, days since 2000-01-01.
    pub last_day: u16,
    /// Rides left; `None` for any number of rides.
    pub rides_left: Option<u8>,
}

impl HeldPass {
    const LEN: usize = 4;

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let [d0, d1] = self.last_day.to_be_bytes();
        [self.code, d0, d1, self.rides_left.unwrap_or(u8::MAX)]
    }

    /// `None` where no pass stands.
    pub(super) fn from_bytes([code, d0, d1, rides]: [u8; Self::LEN]) -> Option<Self> {
        (code != 0).then_some(Self {
            code,
            last_day: u16::from_be_bytes([d0, d1]),
            rides_left: (rides != u8::MAX).then_some(rides),
        })
    }
}

/// The state of one city's contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FareState {
    pub(crate) city: CityCode,
    /// Seconds since 2000-01-01T00:00:00 local.
    pub(super) at: u32,
    pub(crate) window: Option<OpenWindow>,
    pub(super) counters: [Counter; Self::COUNTERS],
    pub(crate) passes: [Option<HeldPass>; Self::PASSES],
}

/// How far two devices' clocks may differ. Below it the card's time stands still, so that no cap
/// begins twice; above it one of them is wrong for longer than a holder should suffer.
const AHEAD_SECONDS: i64 = 86_400;

impl FareState {
    /// Length in bytes.
    pub const LEN: usize = 32;
    /// Counters of paid amounts.
    pub const COUNTERS: usize = 2;
    /// Passes held at once.
    pub const PASSES: usize = 2;

    /// The state of a card that was never used in `city`.
    pub const fn new(city: CityCode) -> Self {
        Self {
            city,
            at: 0,
            window: None,
            counters: [Counter {
                day: Fen::ZERO,
                week: Fen::ZERO,
                month: Fen::ZERO,
            }; 2],
            passes: [None; 2],
        }
    }

    /// Whether it says nothing that a later tap asks for: no open window, nothing counted, no pass.
    pub fn is_blank(&self) -> bool {
        self.window.is_none()
            && self.counters == [Counter::default(); Self::COUNTERS]
            && self.passes == [None; Self::PASSES]
    }

    /// The city.
    pub const fn city(&self) -> CityCode {
        self.city
    }

    /// The passes, for displays.
    pub fn passes(&self) -> impl Iterator<Item = &HeldPass> {
        self.passes.iter().flatten()
    }

    /// The counters, for displays. They are of the periods of the last leg.
    pub const fn counters(&self) -> &[Counter; Self::COUNTERS] {
        &self.counters
    }

    /// The transfer window that was open after the last leg.
    pub fn prior(&self) -> Option<PriorLeg> {
        let window = self.window?;
        Some(PriorLeg {
            class: window.class,
            city: self.city,
            at: clock::time(self.seconds())?,
            age_seconds: window.age_seconds,
        })
    }

    /// Local seconds of the last leg.
    pub(super) fn seconds(&self) -> i64 {
        i64::from(self.at) + EPOCH_DAYS * DAY
    }

    /// Sets the time of the last leg. Times that four bytes cannot say become the nearest they can.
    pub(super) fn set_seconds(&mut self, seconds: i64) {
        let since = (seconds - EPOCH_DAYS * DAY).max(0);
        self.at = u32::try_from(since).unwrap_or(u32::MAX);
    }

    /// The state as a leg from `starts` to `ends` takes it. A last leg far in the future was noted by
    /// a clock that is wrong: it counts as noted now, or caps would not end and windows not open
    /// until that day comes.
    pub(crate) fn believed(mut self, starts: CardTime, ends: CardTime) -> Self {
        if self.seconds() > clock::seconds(ends) + AHEAD_SECONDS {
            self.set_seconds(clock::seconds(starts));
            self.window = None;
        }
        self
    }

    /// Notes a leg that ended at `ends`, in a city without contracts.
    pub(crate) fn tapped(&mut self, ends: CardTime) {
        self.set_seconds(clock::seconds(ends).max(self.seconds()));
    }

    /// Sets the window that is open after a leg that ended at `ends`. The state's time may be later
    /// (another device's clock is ahead): the window is that much older then.
    pub(crate) fn set_window(&mut self, window: Option<OpenWindow>, ends: CardTime) {
        let ahead = (self.seconds() - clock::seconds(ends)).max(0);
        self.window = window.and_then(|window| {
            let age = i64::from(window.age_seconds) + ahead;
            let age_seconds = u16::try_from(age).ok()?;
            Some(OpenWindow {
                age_seconds,
                ..window
            })
        });
    }

    /// The 32 bytes.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[0] = 0x01;
        out[2..4].copy_from_slice(&self.city.to_bytes());
        out[4..8].copy_from_slice(&self.at.to_be_bytes());
        if let Some(window) = self.window {
            out[1] = window.class as u8;
            out[8..10].copy_from_slice(&window.age_seconds.to_be_bytes());
        }
        for (place, counter) in out[10..22]
            .chunks_exact_mut(Counter::LEN)
            .zip(self.counters)
        {
            place.copy_from_slice(&counter.to_bytes());
        }
        for (place, pass) in out[22..30].chunks_exact_mut(HeldPass::LEN).zip(self.passes) {
            place.copy_from_slice(&pass.map_or([0; HeldPass::LEN], HeldPass::to_bytes));
        }
        out
    }

    /// From the 32 bytes; `None` when nothing or another system's bytes stand there.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let [0x01, class, c0, c1, t0, t1, t2, t3, a0, a1, rest @ .., _, _] = bytes else {
            return None;
        };
        let window = match class {
            0 => None,
            byte => Some(OpenWindow {
                class: LegClass::from_byte(*byte)?,
                age_seconds: u16::from_be_bytes([*a0, *a1]),
            }),
        };
        let mut state = Self {
            window,
            at: u32::from_be_bytes([*t0, *t1, *t2, *t3]),
            ..Self::new(CityCode::from_bytes([*c0, *c1]))
        };
        let (counters, passes) = rest.split_at(Self::COUNTERS * Counter::LEN);
        let (counters, _) = counters.as_chunks();
        for (counter, bytes) in state.counters.iter_mut().zip(counters) {
            *counter = Counter::from_bytes(*bytes);
        }
        let (passes, _) = passes.as_chunks();
        for (pass, bytes) in state.passes.iter_mut().zip(passes) {
            *pass = HeldPass::from_bytes(*bytes);
        }
        Some(state)
    }
}
