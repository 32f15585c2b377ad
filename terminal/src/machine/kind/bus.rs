//! Bus validator 车载机.

use card_spec::time::CardTime;

use super::{Behaviour, Step};
use crate::{
    code::Verdict,
    machine::{Colour, Face, Key, Sale, Served, SoftKey, Task},
};

#[derive(Debug)]
pub(super) struct Bus {
    companions: bool,
    /// The driver lets the next presentation pay for a companion of the card's holder.
    companion: bool,
}

impl Bus {
    pub(super) const fn new(companions: bool) -> Self {
        Self {
            companions,
            companion: false,
        }
    }
}

impl Behaviour for Bus {
    fn home(&self, _now: CardTime) -> Face {
        let mut face = match self.companion {
            false => Face::new(
                Colour::Ready,
                ("请刷卡", "Tap your card"),
                ("上车请刷卡", "Tap when boarding"),
            ),
            true => Face::new(
                Colour::Ready,
                ("同行乘客请刷卡", "Tap for a companion"),
                ("全价，无换乘优惠", "Full price, no transfer"),
            ),
        };
        if self.companions {
            face.keys.push(SoftKey::new("同行", "Companion"));
        }
        face
    }

    fn card(&mut self, _now: CardTime) -> Option<Task> {
        let companion = self.companion;
        Some(Task::Sell(Sale { companion }))
    }

    fn key(&mut self, key: Key, _now: CardTime) -> Step {
        match key {
            Key::Soft(0) if self.companions => self.companion = !self.companion,
            Key::Cancel if self.companion => self.companion = false,
            _ => return Step::Ignored,
        }
        Step::Taken
    }

    fn served(&mut self, _task: &Task, served: &Served, _now: CardTime) {
        if served.result.verdict == Verdict::Open {
            self.companion = false;
        }
    }

    fn leave(&mut self) {
        self.companion = false;
    }

    fn is_attended(&self) -> bool {
        true
    }
}
