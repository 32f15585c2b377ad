//! What a journey record tells the next terminal about this leg.
//!
//! The terminal prices a transfer from the card's last journey record (file 1E) alone, so the
//! record must say which leg opened the transfer window, also when the last tap was one that
//! neither earns a transfer nor disturbs a running window (a suburban bus, a taxi, a metro entry).
//!
//! Layout, this project's own (`card_spec::purse::files::Journey`):
//!
//! | field | bytes | content |
//! |---|---|---|
//! | place | 0-1 | [`LineCode`], big-endian |
//! | place | 2-3 | [`StationCode`], big-endian; 0 where there is none |
//! | place | 4-6 | zero |
//! | rfu | 0 | format, `01`; anything else is "unknown" |
//! | rfu | 1 | [`LegClass`] of the leg that opened the window; 0 when no window is open |
//! | rfu | 2-3 | age of the window at this record's time, seconds, big-endian; 0 for its own leg |
//! | rfu | 4-5 | discounts taken on this leg, fen, big-endian, at most 65,535 |

use card_spec::{Fen, purse::files::Journey, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{CityCode, LineCode, StationCode, clock};

/// What a leg is to a transfer rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum LegClass {
    /// A city bus route that takes part in transfers.
    CityBus = 1,
    /// The metro.
    Metro = 2,
    /// Bus rapid transit 快速公交, with gates.
    Brt = 3,
    /// Takes no part: earns no transfer and leaves a running window alone.
    Outside = 0xFF,
}

impl LegClass {
    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::CityBus),
            2 => Some(Self::Metro),
            3 => Some(Self::Brt),
            0xFF => Some(Self::Outside),
            _ => None,
        }
    }
}

/// The leg that opened the transfer window now running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorLeg {
    /// What it was.
    pub class: LegClass,
    /// Where.
    pub city: CityCode,
    /// When the window opened: the tap on the bus, the exit from the metro.
    pub at: CardTime,
    /// Seconds between `at` and the window's opening when the record carries an older leg: the
    /// window opened this long *before* `at`.
    pub age_seconds: u16,
}

impl PriorLeg {
    /// A leg that was tapped at `at` itself.
    pub const fn new(class: LegClass, city: CityCode, at: CardTime) -> Self {
        Self {
            class,
            city,
            at,
            age_seconds: 0,
        }
    }

    /// The open window that a card's last journey record tells of. `None` when there is none or
    /// when another system wrote the record.
    pub fn from_journey(journey: &Journey) -> Option<Self> {
        let window = LegMark::from_rfu(journey.rfu)?.window?;
        Some(Self {
            class: window.class,
            city: CityCode::from_bytes(journey.city),
            at: journey.time,
            age_seconds: window.age_seconds,
        })
    }

    /// Seconds from the window's opening to `at`; negative when `at` lies before it.
    pub(crate) fn gap_seconds(&self, at: CardTime) -> i64 {
        clock::seconds(at) - clock::seconds(self.at) + i64::from(self.age_seconds)
    }
}

/// A transfer window as one record carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenWindow {
    /// The leg that opened it.
    pub class: LegClass,
    /// How long before the record's time it opened, seconds.
    pub age_seconds: u16,
}

/// The RFU bytes of a journey record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LegMark {
    /// The transfer window that is open after this tap.
    pub window: Option<OpenWindow>,
    /// Discounts taken on this leg.
    pub discount: Fen,
}

impl LegMark {
    /// A leg that opens a window at its own time.
    pub(crate) const fn opens(class: LegClass, discount: Fen) -> Self {
        Self {
            window: Some(OpenWindow {
                class,
                age_seconds: 0,
            }),
            discount,
        }
    }

    /// The mark of a tap at `at` that leaves a running window alone: a taxi, a parked hour, a
    /// metro entry, a route that takes no part. A window of another city, or one too old to write
    /// down (over 18 hours), is dropped.
    pub fn carried(prior: Option<&PriorLeg>, city: CityCode, at: CardTime) -> Self {
        let window = prior.filter(|leg| leg.city == city).and_then(|leg| {
            Some(OpenWindow {
                class: leg.class,
                age_seconds: u16::try_from(leg.gap_seconds(at)).ok()?,
            })
        });
        Self {
            window,
            discount: Fen::ZERO,
        }
    }

    /// The six RFU bytes.
    pub fn to_rfu(&self) -> [u8; 6] {
        let (class, age) = match self.window {
            Some(window) => (window.class as u8, window.age_seconds.to_be_bytes()),
            None => (0, [0; 2]),
        };
        let discount = u16::try_from(self.discount.0.max(0)).unwrap_or(u16::MAX);
        let [d0, d1] = discount.to_be_bytes();
        [0x01, class, age[0], age[1], d0, d1]
    }

    /// From the six RFU bytes; `None` when another system wrote them.
    pub fn from_rfu(bytes: [u8; 6]) -> Option<Self> {
        let [0x01, class, a0, a1, d0, d1] = bytes else {
            return None;
        };
        let window = match class {
            0 => None,
            byte => Some(OpenWindow {
                class: LegClass::from_byte(byte)?,
                age_seconds: u16::from_be_bytes([a0, a1]),
            }),
        };
        Some(Self {
            window,
            discount: Fen(u16::from_be_bytes([d0, d1]).into()),
        })
    }
}

/// The place field of a journey record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Line or route.
    pub line: LineCode,
    /// Station or stop; 0 where there is none.
    pub station: StationCode,
}

impl Place {
    /// The seven bytes.
    pub fn to_bytes(self) -> [u8; 7] {
        let [l0, l1] = self.line.0.to_be_bytes();
        let [s0, s1] = self.station.0.to_be_bytes();
        [l0, l1, s0, s1, 0, 0, 0]
    }

    /// From the seven bytes; `None` when another system wrote them.
    pub fn from_bytes(bytes: [u8; 7]) -> Option<Self> {
        match bytes {
            [l0, l1, s0, s1, 0, 0, 0] => Some(Self {
                line: LineCode(u16::from_be_bytes([l0, l1])),
                station: StationCode(u16::from_be_bytes([s0, s1])),
            }),
            _ => None,
        }
    }
}
