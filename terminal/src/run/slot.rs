//! Where cards and SAMs are: PC/SC readers, or simulated ones.

use std::sync::mpsc::Receiver;

use card_reader::{PcscChannel, PcscReader, ReaderError, Seen};
use card_spec::{Channel, ChannelError};

use crate::{
    code::Code,
    machine::Presence,
    meter::{Meter, Metered},
    result::Refusal,
};

/// A place for one card, or for one SAM.
pub trait Slot {
    /// What a connected card is.
    type Card: Channel;
    /// Connects to the card that is there, and resets it.
    fn connect(&mut self) -> Result<Self::Card, ReaderError>;
}

impl Slot for PcscReader {
    type Card = PcscChannel;

    fn connect(&mut self) -> Result<PcscChannel, ReaderError> {
        match Self::connect(self) {
            // Perhaps pcscd was started anew: then this connection to it is dead, the reader is not.
            Err(error) if error.is_lost() => {
                *self = Self::open(&self.name())?;
                Self::connect(self)
            }
            other => other,
        }
    }
}

/// A slot whose SAM is counted.
pub(super) struct CountedSam<M> {
    pub(super) inside: M,
    pub(super) meter: Meter,
}

impl<M: Slot> Slot for CountedSam<M> {
    type Card = Metered<M::Card>;

    fn connect(&mut self) -> Result<Self::Card, ReaderError> {
        self.inside.connect().map(|sam| self.meter.sam(sam))
    }
}

/// Which of a device's slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A card reader, by its place in the profile.
    Reader(usize),
    /// A SAM slot, likewise.
    Sam(usize),
}

/// All slots of a device, and what is seen in them.
pub struct Slots<R, M> {
    /// Card readers.
    pub readers: Vec<R>,
    /// SAM slots; none for a device that needs no SAM.
    pub sams: Vec<M>,
    /// Every change, first to last. Readers are empty until told otherwise; SAM slots are tried at
    /// the start. Whoever sends from another thread unparks the device's thread. A device whose
    /// changes end has nobody left to serve and stops.
    pub changes: Receiver<(Place, Seen)>,
}

/// What lies in the card readers of a device, taken together.
#[derive(Debug)]
pub(super) struct Field {
    readers: Vec<Seen>,
    /// The reader whose card was connected to and lies there still.
    used: Option<usize>,
    /// The same, once another card came beside it: it is not served again before it is taken away.
    spent: Option<usize>,
}

impl Field {
    pub(super) fn new(readers: usize) -> Self {
        Self {
            readers: vec![Seen::Empty; readers],
            used: None,
            spent: None,
        }
    }

    /// Takes a change; answers whether that reader was lost by it.
    pub(super) fn note(&mut self, reader: usize, seen: Seen) -> bool {
        let Some(place) = self.readers.get_mut(reader) else {
            return false;
        };
        let was = std::mem::replace(place, seen);
        if seen != Seen::Card {
            self.used = self.used.filter(|used| *used != reader);
            self.spent = self.spent.filter(|spent| *spent != reader);
        }
        if self.presence() == Presence::Several {
            self.spent = self.used.or(self.spent);
        }
        seen == Seen::Lost && was != Seen::Lost
    }

    fn occupied(&self) -> impl Iterator<Item = (usize, Seen)> {
        let all = self.readers.iter().copied().enumerate();
        all.filter(|(_, seen)| matches!(seen, Seen::Card | Seen::Mute))
    }

    /// What the machine is told.
    pub(super) fn presence(&self) -> Presence {
        let mut occupied = self.occupied();
        match (occupied.next(), occupied.next()) {
            (Some(_), Some(_)) => Presence::Several,
            (Some((_, Seen::Mute)), None) => Presence::Unknown,
            (Some((reader, _)), None) if self.spent != Some(reader) => Presence::Card,
            (None, None) if self.readers.iter().all(|seen| *seen == Seen::Lost) => Presence::Lost,
            _ => Presence::Empty,
        }
    }

    /// The reader with the card to serve, which counts as used from now on.
    pub(super) fn take(&mut self) -> Option<usize> {
        let (reader, _) = self.occupied().next()?;
        self.used = Some(reader);
        Some(reader)
    }
}

/// Why a card that was seen cannot be connected to.
pub(super) fn refusal(error: &ReaderError) -> Refusal {
    let code = match error {
        ReaderError::Mute => Code::UnknownCard,
        // The device's own fault, not the card's.
        ReaderError::Channel(ChannelError::Busy) => Code::ReaderLost,
        error if error.is_lost() => Code::ReaderLost,
        _ => Code::PresentAgain,
    };
    Refusal::new(code, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_one_field_and_no_card_is_served_twice() {
        use Seen::{Card, Empty, Lost, Mute};
        let mut field = Field::new(2);
        let mut told = |steps: &[(usize, Seen)]| {
            steps.iter().for_each(|(reader, seen)| {
                field.note(*reader, *seen);
            });
            (
                field.presence(),
                field.presence() == Presence::Card && field.take().is_some(),
            )
        };
        assert_eq!(told(&[(1, Lost)]).0, Presence::Empty, "one reader is left");
        assert_eq!(told(&[(0, Lost)]).0, Presence::Lost);
        assert_eq!(told(&[(1, Empty), (0, Card)]), (Presence::Card, true));
        assert_eq!(
            told(&[(1, Mute)]).0,
            Presence::Several,
            "a mute card is one too"
        );
        assert_eq!(told(&[(1, Empty)]).0, Presence::Empty, "0 had its turn");
        assert_eq!(told(&[(1, Card)]).0, Presence::Several);
        assert_eq!(told(&[(0, Empty)]), (Presence::Card, true), "1 had none");
        assert_eq!(
            told(&[(1, Empty), (0, Card)]),
            (Presence::Card, true),
            "0 again"
        );
        assert_eq!(told(&[(0, Mute)]).0, Presence::Unknown);
    }

    #[test]
    fn a_card_that_left_is_told_from_everything_else() {
        let code = |error: ReaderError| refusal(&error).code;
        let channel = |error| code(ReaderError::Channel(error));
        assert_eq!(channel(ChannelError::CardRemoved), Code::PresentAgain);
        assert_eq!(channel(ChannelError::ReaderLost), Code::ReaderLost);
        assert_eq!(channel(ChannelError::Busy), Code::ReaderLost);
        assert_eq!(code(ReaderError::NoService), Code::ReaderLost);
        assert_eq!(code(ReaderError::NoReader), Code::ReaderLost);
        assert_eq!(code(ReaderError::Mute), Code::UnknownCard);
    }
}
