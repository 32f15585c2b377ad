//! Whether a device can serve at all, and the code that says why not.

use card_spec::time::CardTime;

use super::{
    event::{Store, TariffState},
    state::is_over,
};
use crate::code::Code;

/// A fault that only a card showed is believed for this long; then the next card shows it again or
/// finds it gone.
const BELIEVED_SECONDS: u32 = 30;

/// What is wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    pub(super) reader_lost: bool,
    pub(super) sam_gone: bool,
    pub(super) store: Store,
    pub(super) tariff: TariffState,
    shown: Option<(Code, CardTime)>,
}

impl Faults {
    /// The code by which the device is out of service.
    pub(super) fn code(&self) -> Option<Code> {
        let known = [
            (self.reader_lost, Code::ReaderLost),
            (self.sam_gone, Code::SamFault),
            (self.store.full, Code::JournalFull),
            (self.tariff == TariffState::Missing, Code::TariffFault),
        ];
        let known = known.into_iter().find(|(wrong, _)| *wrong);
        known
            .map(|(_, code)| code)
            .or(self.shown.map(|(code, _)| code))
    }

    /// Whether something is missing that the device can do without.
    pub(super) fn is_degraded(&self) -> bool {
        self.store.online == Some(false) || self.tariff == TariffState::Old
    }

    /// A card's result told of a fault of the device. A service that does not answer is no fault of
    /// the device: the next holder may want something else.
    pub(super) fn tell(&mut self, code: Code, now: CardTime) {
        if code != Code::Offline {
            self.shown = Some((code, now));
        }
    }

    /// The part of that code is in order again.
    pub(super) fn withdraw(&mut self, code: Code) {
        self.shown = self.shown.filter(|(shown, _)| *shown != code);
    }

    pub(super) fn tick(&mut self, now: CardTime) {
        let believed = |since: &CardTime| !is_over(*since, BELIEVED_SECONDS, now);
        self.shown = self.shown.filter(|(_, since)| believed(since));
    }
}
