//! Taxi meter 出租车计价器 with its card terminal.

use std::sync::Arc;

use card_spec::{Fen, time::CardTime};
use fare::{OperatorId, Tariffs, TaxiTrip};

use super::{Behaviour, Model, Step};
use crate::{
    clock,
    code::{Code, Verdict},
    machine::{Amount, Colour, Face, Key, Row, Served, SoftKey, Task, Trip, face},
};

/// Where a hire stands.
#[derive(Debug)]
enum Hire {
    /// 空车.
    Free,
    /// 载客: the meter runs.
    Running {
        trip: Trip,
        /// Metres and time of the sample that is being taken.
        sample: (u32, CardTime),
    },
    /// 停表: to be paid.
    Stopped { trip: Trip, ended: CardTime },
}

#[derive(Debug)]
pub(super) struct Taxi {
    tariffs: Arc<Tariffs>,
    operator: OperatorId,
    hire: Hire,
}

impl Taxi {
    pub(super) const fn new(tariffs: Arc<Tariffs>, operator: OperatorId) -> Self {
        Self {
            tariffs,
            operator,
            hire: Hire::Free,
        }
    }

    fn due(&self, trip: &Trip, now: CardTime) -> Option<Fen> {
        let trip = TaxiTrip {
            operator: self.operator.clone(),
            metres: trip.metres,
            low_speed_seconds: trip.waiting_seconds,
            started_at: trip.started,
            ended_at: now,
        };
        self.tariffs
            .quote_taxi(&trip)
            .ok()
            .map(|quote| quote.amount)
    }

    fn face(&self, mut face: Face, trip: &Trip, now: CardTime) -> Face {
        let (km, metres) = (trip.metres / 1_000, trip.metres % 1_000 / 100);
        let (minutes, seconds) = (trip.waiting_seconds / 60, trip.waiting_seconds % 60);
        face.rows = vec![
            Row::new("里程 公里", "Distance, km", format!("{km}.{metres}")),
            Row::new("低速等候", "Waiting", format!("{minutes}:{seconds:02}")),
        ];
        match self.due(trip, now) {
            Some(due) => face.amount = Some(Amount::Due(due)),
            None => face.code = Some(Code::TariffFault),
        }
        face
    }
}

impl Behaviour for Taxi {
    fn home(&self, now: CardTime) -> Face {
        match &self.hire {
            Hire::Free => {
                let mut face = Face::new(
                    Colour::Ready,
                    ("空车", "For hire"),
                    ("乘客上车后请压表", "Flag down when hired"),
                );
                face.keys.push(SoftKey::new("压表", "Flag down"));
                face
            }
            Hire::Running { trip, .. } => {
                let face = Face::new(
                    Colour::Busy,
                    ("载客", "Hired"),
                    ("到达后请停表", "Stop the meter on arrival"),
                );
                let mut face = self.face(face, trip, now);
                face.keys.push(SoftKey::new("停表", "Stop"));
                face
            }
            Hire::Stopped { trip, ended } => {
                let face = Face::new(
                    Colour::Ready,
                    ("请刷卡付费", "Tap to pay"),
                    ("也可付现金", "Cash is taken too"),
                );
                let mut face = self.face(face, trip, *ended);
                face.keys.push(SoftKey::new("现金", "Cash"));
                face
            }
        }
    }

    fn prompt(&self, task: &Task, now: CardTime) -> Face {
        let face = face::present(task);
        match task {
            Task::Trip(trip) => self.face(face, trip, now),
            _ => face,
        }
    }

    fn card(&mut self, _now: CardTime) -> Option<Task> {
        match &self.hire {
            Hire::Stopped { trip, .. } => Some(Task::Trip(trip.clone())),
            Hire::Free | Hire::Running { .. } => None,
        }
    }

    fn key(&mut self, key: Key, now: CardTime) -> Step {
        if key != Key::Soft(0) {
            return Step::Ignored;
        }
        self.tick(now);
        match std::mem::replace(&mut self.hire, Hire::Free) {
            Hire::Free => {
                self.hire = Hire::Running {
                    trip: Trip {
                        metres: 0,
                        waiting_seconds: 0,
                        started: now,
                    },
                    sample: (0, now),
                };
                Step::Taken
            }
            Hire::Running { mut trip, sample } => {
                trip.metres = trip.metres.saturating_add(sample.0);
                self.hire = Hire::Stopped { trip, ended: now };
                Step::Taken
            }
            Hire::Stopped { trip, ended } => match self.due(&trip, ended) {
                Some(due) => Step::Cash(due),
                None => Step::Taken,
            },
        }
    }

    /// A hire is paid by the tariff that it was flagged down with.
    fn is_idle(&self) -> bool {
        matches!(self.hire, Hire::Free)
    }

    fn adopt(&mut self, model: Model) {
        if let Model::Taxi { tariffs, operator } = model {
            (self.tariffs, self.operator) = (tariffs, operator);
        }
    }

    fn accepts(&self, task: &Task) -> bool {
        matches!((task, &self.hire), (Task::Trip(_), Hire::Free))
    }

    fn served(&mut self, task: &Task, served: &Served, _now: CardTime) {
        if matches!(task, Task::Trip(_)) && served.result.verdict == Verdict::Open {
            self.hire = Hire::Free;
        }
    }

    fn driven(&mut self, metres: u32, _now: CardTime) {
        if let Hire::Running { sample, .. } = &mut self.hire {
            sample.0 = sample.0.saturating_add(metres);
        }
    }

    /// A second in which the car was slower than the tariff's limit counts as waiting.
    fn tick(&mut self, now: CardTime) {
        let limit = self.tariffs.taxi_low_speed_kmh(&self.operator);
        let Hire::Running { trip, sample } = &mut self.hire else {
            return;
        };
        let (metres, since) = *sample;
        let seconds = clock::elapsed(since, now);
        if seconds == 0 {
            return;
        }
        trip.metres = trip.metres.saturating_add(metres);
        *sample = (0, now);
        // A clock that was set tells nothing of the speed.
        let Some(seconds) = u32::try_from(seconds).ok().filter(|s| *s <= 10) else {
            return;
        };
        let slow = limit.is_some_and(|kmh| {
            u64::from(metres) * 3_600 < u64::from(kmh) * 1_000 * u64::from(seconds)
        });
        if slow {
            trip.waiting_seconds = trip.waiting_seconds.saturating_add(seconds);
        }
    }

    fn is_attended(&self) -> bool {
        true
    }
}
