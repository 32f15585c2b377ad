//! Where fare states lie on the card.
//!
//! The **travel record** (24 bytes, shown in the FCI) holds the state of the city that the card was
//! last used in, so that the next tap there reads nothing. **Record 2 of file 1A** (128 bytes) holds
//! the states of up to four cities, 32 bytes each: the other cities' always, the last one's when the
//! travel record is too small for it.
//!
//! The travel record, sections in this order, absent ones left out:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | bytes used, this one included |
//! | 1 | bits 8-7: `01` a state follows, `10` see record 2; bits 6-5: pass 2, pass 1 follow; bits 4-3: counter 2, counter 1 follow; bits 2-1: [`LegClass`](crate::LegClass) of the open window, 0 none |
//! | 2, 4 | city; time of the last leg |
//! | 2 | age of the window |
//! | 6 each | counters |
//! | 4 each | passes |

use card_spec::{purse::files, time::CardTime};

use super::{Counter, FareState, HeldPass, state::EPOCH_DAYS};
use crate::{
    CityCode, LegClass, OpenWindow,
    clock::{self, DAY},
};

const HERE: u8 = 0b0100_0000;
const IN_RECORD_2: u8 = 0b1000_0000;
/// The travel record of a state that has no room in it.
const SEE_RECORD_2: [u8; files::TRAVEL] = {
    let mut out = [0; files::TRAVEL];
    out[0] = 2;
    out[1] = IN_RECORD_2;
    out
};

/// What the travel record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Travel {
    /// Nothing that this system wrote.
    #[default]
    Nothing,
    /// The state of the city of the last leg.
    Here(FareState),
    /// That state is in record 2 of file 1A.
    InRecord2,
}

/// What a tap or a sale writes on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TravelUpdate {
    /// The travel record.
    pub travel: [u8; files::TRAVEL],
    /// Record 2 of file 1A, where it changes.
    pub record_2: Option<[u8; FareStates::LEN]>,
}

/// Why a state is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TravelError {
    /// Record 2 of file 1A takes part and was not read.
    #[error("read record 2 of file 1A first")]
    ReadRecord2,
    /// The card's places are full of other cities' passes: this city's state is not kept.
    #[error("the card keeps passes of four other cities; this city's state is not kept")]
    Full,
}

impl Travel {
    /// Reads the travel record, as the FCI shows it or whole.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let used = bytes.first().map(|length| usize::from(*length));
        match used.and_then(|used| bytes.get(1..used)?.split_first()) {
            Some((&IN_RECORD_2, [])) => Self::InRecord2,
            Some((flags, sections)) => {
                Self::sections(*flags, sections).map_or(Self::Nothing, Self::Here)
            }
            None => Self::Nothing,
        }
    }

    fn sections(flags: u8, mut bytes: &[u8]) -> Option<FareState> {
        if flags & 0b1100_0000 != HERE {
            return None;
        }
        let city = CityCode::from_bytes(take(&mut bytes)?);
        let mut state = FareState::new(city);
        state.at = u32::from_be_bytes(take(&mut bytes)?);
        if flags & 0b11 != 0 {
            state.window = Some(OpenWindow {
                class: LegClass::from_byte(flags & 0b11)?,
                age_seconds: u16::from_be_bytes(take(&mut bytes)?),
            });
        }
        for (i, counter) in state.counters.iter_mut().enumerate() {
            if flags & (0b100 << i) != 0 {
                *counter = Counter::from_bytes(take(&mut bytes)?);
            }
        }
        for (i, pass) in state.passes.iter_mut().enumerate() {
            if flags & (0b1_0000 << i) != 0 {
                *pass = Some(HeldPass::from_bytes(take(&mut bytes)?)?);
            }
        }
        bytes.is_empty().then_some(state)
    }

    /// Whether a device in `city` must read record 2 of file 1A: the travel record is another
    /// city's, or has no room for this one's.
    pub fn wants_record_2(&self, city: CityCode) -> bool {
        match self {
            Self::Nothing => false,
            Self::Here(state) => state.city != city,
            Self::InRecord2 => true,
        }
    }

    /// The state in `city`, with record 2 where it was read. `None`: read it first.
    pub fn state(&self, city: CityCode, record_2: Option<&FareStates>) -> Option<FareState> {
        match (self, record_2) {
            (Self::Here(state), _) if state.city == city => Some(*state),
            (Self::Nothing, _) => Some(FareState::new(city)),
            (_, record_2) => record_2.map(|states| states.of(city)),
        }
    }

    /// What to write after a tap or a sale at `at` that left `after`.
    pub fn update(
        &self,
        record_2: Option<&FareStates>,
        after: &FareState,
        at: CardTime,
    ) -> Result<TravelUpdate, TravelError> {
        let travel = after.to_travel();
        let other = match self {
            Self::Here(other) if other.city != after.city => Some(other),
            _ => None,
        };
        let moved = [other, travel.is_none().then_some(after)];
        let mut record = None;
        for state in moved.into_iter().flatten() {
            let mut states = record
                .or(record_2.copied())
                .ok_or(TravelError::ReadRecord2)?;
            if !states.put(*state, at) {
                return Err(TravelError::Full);
            }
            record = Some(states);
        }
        Ok(TravelUpdate {
            travel: travel.unwrap_or(SEE_RECORD_2),
            record_2: record.map(|states| states.to_bytes()),
        })
    }
}

impl FareState {
    /// The travel record of this state, where it has room for it.
    fn to_travel(self) -> Option<[u8; files::TRAVEL]> {
        let mut flags = HERE;
        let mut bytes = self.city.to_bytes().to_vec();
        bytes.extend(self.at.to_be_bytes());
        if let Some(window) = self.window.filter(|w| w.class as u8 <= 0b11) {
            flags |= window.class as u8;
            bytes.extend(window.age_seconds.to_be_bytes());
        }
        for (i, counter) in self.counters.iter().enumerate() {
            if *counter != Counter::default() {
                flags |= 0b100 << i;
                bytes.extend(counter.to_bytes());
            }
        }
        for (i, pass) in self.passes.iter().enumerate() {
            if let Some(pass) = pass {
                flags |= 0b1_0000 << i;
                bytes.extend(pass.to_bytes());
            }
        }
        travel_of(flags, &bytes)
    }
}

fn travel_of(flags: u8, sections: &[u8]) -> Option<[u8; files::TRAVEL]> {
    let mut out = [0; files::TRAVEL];
    let used = 2 + sections.len();
    out.get_mut(2..used)?.copy_from_slice(sections);
    [out[0], out[1]] = [u8::try_from(used).ok()?, flags];
    Some(out)
}

/// The next bytes of a section.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
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
