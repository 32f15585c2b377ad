//! Kerb-side parking meter 泊车电子计时表: it knows which spaces are taken since when.

use std::{collections::BTreeMap, sync::Arc};

use card_spec::{Fen, time::CardTime};
use fare::{MeterStay, OperatorId, Tariffs, VehicleClass, ZoneClass};

use super::{Behaviour, Model, Step};
use crate::{
    code::{Code, Verdict},
    machine::{Amount, Colour, Face, Key, Row, Served, SoftKey, Stay, Task, entry::Entry, face},
};

/// Digits of a space's number; so at most 999 spaces are held.
const SPACE_DIGITS: usize = 3;

#[derive(Debug)]
pub(super) struct Meter {
    tariffs: Arc<Tariffs>,
    operator: OperatorId,
    class: ZoneClass,
    vehicle: VehicleClass,
    taken: BTreeMap<String, CardTime>,
    entry: Entry,
    /// The space whose driver leaves.
    leaving: Option<String>,
}

fn space_entry() -> Entry {
    Entry::number(("车位号", "Space"), SPACE_DIGITS)
}

impl Meter {
    pub(super) fn new(
        tariffs: Arc<Tariffs>,
        operator: OperatorId,
        class: ZoneClass,
        vehicle: VehicleClass,
    ) -> Self {
        Self {
            tariffs,
            operator,
            class,
            vehicle,
            taken: BTreeMap::new(),
            entry: space_entry(),
            leaving: None,
        }
    }

    fn due(&self, from: CardTime, now: CardTime) -> Option<Fen> {
        let stay = MeterStay {
            operator: self.operator.clone(),
            class: self.class.clone(),
            vehicle: self.vehicle,
            from,
            to: now,
            permit: None,
        };
        self.tariffs
            .quote_meter(&stay)
            .ok()
            .map(|quote| quote.amount)
    }

    fn stay(&self) -> Option<(&String, CardTime)> {
        let space = self.leaving.as_ref()?;
        self.taken.get(space).map(|from| (space, *from))
    }

    fn face(&self, mut face: Face, from: CardTime, now: CardTime) -> Face {
        face.rows.push(Row::new("停入时间", "Since", from));
        match self.due(from, now) {
            Some(due) => face.amount = Some(Amount::Due(due)),
            None => face.code = Some(Code::TariffFault),
        }
        face
    }

    fn enter(&mut self, now: CardTime) -> Step {
        let space = std::mem::replace(&mut self.entry, space_entry()).text();
        if space.is_empty() {
            return Step::Ignored;
        }
        let Some(from) = self.taken.get(&space).copied() else {
            self.taken.insert(space.clone(), now);
            let mut face = Face::new(
                Colour::Go,
                ("开始计时", "Parking begins"),
                ("离开时请输入车位号", "Key in the space on leaving"),
            );
            face.rows = vec![
                Row::new("车位号", "Space", space),
                Row::new("停入时间", "Since", now),
            ];
            return Step::Tell(Box::new(face));
        };
        if self.due(from, now) == Some(Fen::ZERO) {
            self.taken.remove(&space);
            let action = ("请驶离", "You may leave");
            return Step::Tell(Box::new(Face::new(
                Colour::Go,
                ("免费停车", "Nothing to pay"),
                action,
            )));
        }
        self.leaving = Some(space);
        Step::Taken
    }
}

impl Behaviour for Meter {
    fn home(&self, now: CardTime) -> Face {
        if let Some((space, from)) = self.stay() {
            let mut face = Face::new(
                Colour::Ready,
                ("请刷卡付费", "Tap to pay"),
                ("付费后请驶离", "Pay, then leave"),
            );
            face.rows.push(Row::new("车位号", "Space", space));
            let mut face = self.face(face, from, now);
            face.keys.push(SoftKey::new("返回", "Back"));
            return face;
        }
        let mut face = Face::new(
            Colour::Ready,
            ("请输入车位号", "Key in your space"),
            ("停入和离开都请输入", "On arrival and on leaving"),
        );
        face.field = Some(self.entry.field());
        face
    }

    fn prompt(&self, task: &Task, now: CardTime) -> Face {
        match task {
            Task::Stay(stay) => self.face(face::present(task), stay.from, now),
            _ => face::present(task),
        }
    }

    fn card(&mut self, _now: CardTime) -> Option<Task> {
        self.stay().map(|(_, from)| Task::Stay(Stay { from }))
    }

    fn key(&mut self, key: Key, now: CardTime) -> Step {
        if self.leaving.is_some() {
            return match key {
                Key::Cancel | Key::Soft(0) => {
                    self.leave();
                    Step::Taken
                }
                _ => Step::Ignored,
            };
        }
        match key {
            Key::Enter => self.enter(now),
            Key::Cancel if !self.entry.is_empty() => {
                self.leave();
                Step::Taken
            }
            key if self.entry.key(key) => Step::Taken,
            _ => Step::Ignored,
        }
    }

    fn is_idle(&self) -> bool {
        self.leaving.is_none()
    }

    /// The stays that were begun go on.
    fn adopt(&mut self, model: Model) {
        if let Model::ParkingMeter {
            tariffs,
            operator,
            class,
            vehicle,
        } = model
        {
            (self.tariffs, self.operator) = (tariffs, operator);
            (self.class, self.vehicle) = (class, vehicle);
        }
    }

    fn accepts(&self, task: &Task) -> bool {
        matches!(task, Task::Stay(_)) && self.leaving.is_none()
    }

    fn served(&mut self, task: &Task, served: &Served, _now: CardTime) {
        let paid = matches!(task, Task::Stay(_)) && served.result.verdict == Verdict::Open;
        if let Some(space) = self.leaving.take_if(|_| paid) {
            self.taken.remove(&space);
        }
    }

    fn leave(&mut self) {
        self.entry = space_entry();
        self.leaving = None;
    }
}
