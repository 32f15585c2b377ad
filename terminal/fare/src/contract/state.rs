//! The compact fare record (票价状态记录): what a terminal must know to price offline.
//!
//! One city's state is 32 bytes. A card holds the states of four cities in record 2 of file 1A
//! (128 bytes, free to read, written by UPDATE CAPP DATA CACHE with P1 = 02), 32 bytes each.
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

/// The state of one city's contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FareState {
    pub(crate) city: CityCode,
    /// Seconds since 2000-01-01T00:00:00 local.
    at: u32,
    pub(crate) window: Option<OpenWindow>,
    pub(super) counters: [Counter; Self::COUNTERS],
    pub(crate) passes: [Option<HeldPass>; Self::PASSES],
}

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
        for (i, counter) in self.counters.iter().enumerate() {
            for (j, sum) in [counter.day, counter.week, counter.month]
                .iter()
                .enumerate()
            {
                let fen = u16::try_from(sum.0.max(0)).unwrap_or(u16::MAX);
                out[10 + 6 * i + 2 * j..][..2].copy_from_slice(&fen.to_be_bytes());
            }
        }
        for (i, pass) in self.passes.iter().enumerate() {
            if let Some(pass) = pass {
                let [d0, d1] = pass.last_day.to_be_bytes();
                let rides = pass.rides_left.unwrap_or(u8::MAX);
                out[22 + 4 * i..][..4].copy_from_slice(&[pass.code, d0, d1, rides]);
            }
        }
        out
    }

    /// From the 32 bytes; `None` when nothing or another system's bytes stand there.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let [
            0x01,
            class,
            c0,
            c1,
            t0,
            t1,
            t2,
            t3,
            a0,
            a1,
            counters @ ..,
            _,
            _,
        ] = bytes
        else {
            return None;
        };
        let window = match class {
            0 => None,
            byte => Some(OpenWindow {
                class: LegClass::from_byte(*byte)?,
                age_seconds: u16::from_be_bytes([*a0, *a1]),
            }),
        };
        let (counters, passes) = counters.split_at(12);
        let mut state = Self {
            window,
            at: u32::from_be_bytes([*t0, *t1, *t2, *t3]),
            ..Self::new(CityCode::from_bytes([*c0, *c1]))
        };
        for (counter, bytes) in state.counters.iter_mut().zip(counters.chunks_exact(6)) {
            if let [a, b, c, d, e, f] = *bytes {
                let fen = |hi, lo| Fen(u16::from_be_bytes([hi, lo]).into());
                *counter = Counter {
                    day: fen(a, b),
                    week: fen(c, d),
                    month: fen(e, f),
                };
            }
        }
        for (pass, bytes) in state.passes.iter_mut().zip(passes.chunks_exact(4)) {
            if let [code, d0, d1, rides] = *bytes
                && code != 0
            {
                *pass = Some(HeldPass {
                    code,
                    last_day: u16::from_be_bytes([d0, d1]),
                    rides_left: (rides != u8::MAX).then_some(rides),
                });
            }
        }
        Some(state)
    }
}

/// Record 2 of file 1A: the states of up to four cities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FareStates([Option<FareState>; Self::CITIES]);

impl FareStates {
    /// Cities on one card.
    pub const CITIES: usize = 4;
    /// Length of the record.
    pub const LEN: usize = Self::CITIES * FareState::LEN;

    /// From the record. States that another system wrote are none.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let (chunks, _) = bytes.as_chunks::<{ FareState::LEN }>();
        let mut states = [None; Self::CITIES];
        for (state, chunk) in states.iter_mut().zip(chunks) {
            *state = FareState::from_bytes(chunk);
        }
        Self(states)
    }

    /// The record.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        for (i, state) in self.0.iter().enumerate() {
            if let Some(state) = state {
                out[FareState::LEN * i..][..FareState::LEN].copy_from_slice(&state.to_bytes());
            }
        }
        out
    }

    /// The state in `city`: the one on the card, or a new one.
    pub fn of(&self, city: CityCode) -> FareState {
        let known = self.0.iter().flatten().find(|state| state.city == city);
        known.copied().unwrap_or_else(|| FareState::new(city))
    }

    /// Puts a state in place of the same city's, of none, or of the city that was used longest ago
    /// and holds no pass at `at`. What was paid for is never overwritten: when four cities' passes
    /// fill the record it stays as it is, and `false` says so.
    pub fn put(&mut self, state: FareState, at: CardTime) -> bool {
        let today = clock::seconds(at).div_euclid(DAY) - EPOCH_DAYS - 1;
        let holds = |state: &FareState| {
            state
                .passes()
                .any(|pass| i64::from(pass.last_day) >= today && pass.rides_left != Some(0))
        };
        let place = self
            .0
            .iter_mut()
            .filter(|place| place.is_none_or(|old| old.city == state.city || !holds(&old)))
            .min_by_key(|place| match place {
                Some(old) if old.city == state.city => (0, 0),
                None => (1, 0),
                Some(old) => (2, old.at),
            });
        match place {
            Some(place) => {
                *place = Some(state);
                true
            }
            None => false,
        }
    }
}
