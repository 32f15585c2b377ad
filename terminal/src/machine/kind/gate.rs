//! What opens a barrier: metro gates 闸机 and car parks 停车场.

use card_spec::time::CardTime;

use super::Behaviour;
use crate::machine::{Colour, Face, Sale, Task};

/// A barrier with its words.
#[derive(Debug)]
pub(super) struct Gate {
    headline: (&'static str, &'static str),
    action: (&'static str, &'static str),
}

pub(super) const METRO_ENTRY: Gate = Gate {
    headline: ("请刷卡进站", "Tap to enter"),
    action: ("右手刷卡，依次通过", "One card, one passage"),
};

pub(super) const METRO_EXIT: Gate = Gate {
    headline: ("请刷卡出站", "Tap to exit"),
    action: ("请用进站的同一张卡", "Use the card you entered with"),
};

pub(super) const CAR_PARK_ENTRY: Gate = Gate {
    headline: ("请刷卡入场", "Tap to drive in"),
    action: ("出场请用同一张卡", "Keep the same card for the exit"),
};

pub(super) const CAR_PARK_EXIT: Gate = Gate {
    headline: ("请刷卡出场", "Tap to drive out"),
    action: ("请用入场的同一张卡", "Use the card you entered with"),
};

impl Behaviour for Gate {
    fn home(&self, _now: CardTime) -> Face {
        Face::new(Colour::Ready, self.headline, self.action)
    }

    fn card(&mut self, _now: CardTime) -> Option<Task> {
        Some(Task::Sell(Sale::default()))
    }

    fn has_barrier(&self) -> bool {
        true
    }
}
