//! What a card of ours remembers of fares: the travel record that its FCI shows, and record 2 of
//! file 1A where a device had to read it.

use card_spec::{purse::files::Metro, time::CardTime};
use fare::{CityCode, FareState, FareStates, Travel, TravelError, TravelUpdate};

/// Record 2 of file 1A as read: parsed, and byte for byte for the journey context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CitiesRead {
    /// The states of up to four cities.
    pub states: FareStates,
    /// The 128 bytes they came from.
    pub raw: [u8; Metro::LEN],
}

/// The fare memory of a presented card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FareMemory {
    /// The travel record.
    pub travel: Travel,
    /// Record 2 of file 1A, where it was read.
    pub cities: Option<CitiesRead>,
}

impl FareMemory {
    /// The state in `city`; `None` while record 2 would have to be read for it.
    pub fn state(&self, city: CityCode) -> Option<FareState> {
        let states = self.cities.as_ref().map(|cities| &cities.states);
        self.travel.state(city, states)
    }

    /// Whether `after` holds other passes, or other rides left, than the card does.
    pub fn passes_change(&self, after: &FareState) -> bool {
        match self.state(after.city()) {
            Some(before) => !before.passes().eq(after.passes()),
            None => after.passes().next().is_some(),
        }
    }

    /// What to write after a sale at `at` that left `after`; nothing where neither the state before
    /// nor the one after says anything, so that a card that only pays flat fares is never written.
    pub fn update(
        &self,
        after: &FareState,
        at: CardTime,
    ) -> Result<Option<TravelUpdate>, TravelError> {
        let before = self.state(after.city());
        if after.is_blank() && before.is_none_or(|before| before.is_blank()) {
            return Ok(None);
        }
        let states = self.cities.as_ref().map(|cities| &cities.states);
        self.travel.update(states, after, at).map(Some)
    }
}
