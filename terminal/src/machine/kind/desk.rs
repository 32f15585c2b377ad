//! Fare-adjustment desk 补票亭: the card is looked at first, then corrected.

use card_spec::time::CardTime;
use fare::{Area, StopId};

use super::{Behaviour, Model, Step};
use crate::{
    code::Verdict,
    machine::{Colour, Correction, Face, Key, Row, Served, SoftKey, Task, Text, entry::Entry},
};

#[derive(Debug)]
pub(super) struct Desk {
    stations: Vec<(u16, StopId, Text)>,
    area: Area,
    /// Number of the station that the rider names.
    named: Entry,
}

fn station_entry() -> Entry {
    Entry::number(("站点编号", "Station number"), 5)
}

impl Desk {
    pub(super) fn new(stations: Vec<(u16, StopId, Text)>) -> Self {
        Self {
            stations,
            area: Area::Paid,
            named: station_entry(),
        }
    }

    fn station(&self) -> Option<&(u16, StopId, Text)> {
        let number: u16 = self.named.text().parse().ok()?;
        self.stations.iter().find(|(code, ..)| *code == number)
    }

    fn correct(&self, look: bool) -> Task {
        Task::Correct(Correction {
            area: self.area,
            named: self.station().map(|(_, stop, _)| stop.clone()),
            look,
        })
    }
}

impl Behaviour for Desk {
    fn home(&self, _now: CardTime) -> Face {
        let mut face = Face::new(
            Colour::Ready,
            ("补票", "Fare adjustment"),
            ("刷卡查询，输入站点后确认", "Tap to look, station, Enter"),
        );
        let area = match self.area {
            Area::Paid => "付费区 paid area",
            Area::Unpaid => "非付费区 unpaid area",
        };
        face.rows = vec![Row::new("乘客位置", "Rider is in", area)];
        if let Some((_, _, name)) = self.station() {
            let name = format!("{} {}", name.zh, name.en);
            face.rows.push(Row::new("站点", "Station", name));
        }
        face.field = Some(self.named.field());
        face.keys = vec![
            SoftKey::new("换区域", "Other area"),
            SoftKey::new("站点不明", "Station unknown"),
        ];
        face
    }

    fn card(&mut self, _now: CardTime) -> Option<Task> {
        Some(self.correct(true))
    }

    fn key(&mut self, key: Key, _now: CardTime) -> Step {
        match key {
            Key::Soft(0) => {
                self.area = match self.area {
                    Area::Paid => Area::Unpaid,
                    Area::Unpaid => Area::Paid,
                };
            }
            Key::Soft(1) => {
                self.named = station_entry();
                return Step::Do(Box::new(self.correct(false)));
            }
            Key::Enter if self.station().is_some() => {
                return Step::Do(Box::new(self.correct(false)));
            }
            Key::Cancel if !self.named.is_empty() => self.leave(),
            key => return Step::of_use(self.named.key(key)),
        }
        Step::Taken
    }

    fn adopt(&mut self, model: Model) {
        if let Model::FareDesk { stations } = model {
            self.stations = stations;
        }
    }

    fn served(&mut self, task: &Task, served: &Served, _now: CardTime) {
        let looked = matches!(task, Task::Correct(correction) if correction.look);
        if !looked && served.result.verdict == Verdict::Open {
            self.leave();
        }
    }

    fn leave(&mut self) {
        self.named = station_entry();
    }

    fn is_attended(&self) -> bool {
        true
    }

    fn keeps_card(&self) -> bool {
        true
    }
}
