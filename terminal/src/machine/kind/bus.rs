//! Bus validator 车载机.

use card_spec::time::CardTime;

use super::{Behaviour, Model, Step};
use crate::{
    code::Verdict,
    machine::{Colour, Face, Key, Row, Sale, Served, SoftKey, Task},
};

#[derive(Debug)]
pub(super) struct Bus {
    companions: bool,
    /// How many sections the route has; 0 with a flat fare.
    sections: u8,
    /// Sections that the next rider goes through, as the driver keyed them.
    ridden: Option<u8>,
    /// The driver lets the next presentation pay for a companion of the card's holder.
    companion: bool,
}

impl Bus {
    pub(super) const fn new(companions: bool, sections: u8) -> Self {
        Self {
            companions,
            sections,
            ridden: None,
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
        if self.sections > 0 {
            let ridden = self.ridden.map_or_else(
                || "全程 to the end".to_owned(),
                |ridden| format!("{ridden} / {}", self.sections),
            );
            face.rows = vec![Row::new("乘坐段数", "Sections", ridden)];
        }
        face
    }

    fn card(&mut self, _now: CardTime) -> Option<Task> {
        let companion = self.companion;
        let sections = self.ridden;
        Some(Task::Sell(Sale {
            companion,
            sections,
        }))
    }

    fn key(&mut self, key: Key, _now: CardTime) -> Step {
        match key {
            Key::Soft(0) if self.companions => self.companion = !self.companion,
            Key::Digit(digit) if (1..=self.sections).contains(&digit.value()) => {
                self.ridden = Some(digit.value());
            }
            Key::Cancel if self.companion || self.ridden.is_some() => self.leave(),
            _ => return Step::Ignored,
        }
        Step::Taken
    }

    fn served(&mut self, _task: &Task, served: &Served, _now: CardTime) {
        if served.result.verdict == Verdict::Open {
            self.leave();
        }
    }

    fn adopt(&mut self, model: Model) {
        if let Model::Bus {
            companions,
            sections,
        } = model
        {
            (self.companions, self.sections) = (companions, sections);
            self.companion &= companions;
            self.ridden = self.ridden.filter(|ridden| *ridden <= sections);
        }
    }

    fn leave(&mut self) {
        self.companion = false;
        self.ridden = None;
    }

    fn is_attended(&self) -> bool {
        true
    }
}
