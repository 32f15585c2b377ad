//! What one kind of device adds to what all share. One file each.

mod bus;
mod desk;
mod gate;
mod hospital;
mod inspector;
mod kiosk;
mod parking;
mod pos;
mod taxi;

use std::sync::Arc;

use card_spec::{Fen, time::CardTime};
use fare::{OperatorId, StopId, Tariffs, VehicleClass, ZoneClass};

use super::{Face, Key, Served, Task, Text, face};

/// A kind, with what it needs to decide.
#[derive(Debug, Clone)]
pub enum Model {
    /// Bus validator.
    Bus {
        /// The driver may let several riders pay with one card.
        companions: bool,
        /// How many sections the route has; 0 with a flat fare.
        sections: u8,
    },
    /// Metro entry gate.
    MetroEntry,
    /// Metro exit gate.
    MetroExit,
    /// Fare-adjustment desk.
    FareDesk {
        /// The network's stations: number on cards, id, name.
        stations: Vec<(u16, StopId, Text)>,
    },
    /// Inspector's hand-held.
    Inspector,
    /// Car park entry.
    CarParkEntry,
    /// Car park exit.
    CarParkExit,
    /// Taxi meter.
    Taxi {
        /// Prices the trip while it goes on.
        tariffs: Arc<Tariffs>,
        /// Whose tariff.
        operator: OperatorId,
    },
    /// Kerb-side parking meter.
    ParkingMeter {
        /// Prices the stay.
        tariffs: Arc<Tariffs>,
        /// Whose tariff.
        operator: OperatorId,
        /// Class of the spaces.
        class: ZoneClass,
        /// Class of the vehicles.
        vehicle: VehicleClass,
    },
    /// Point of sale.
    Pos,
    /// Self-service kiosk.
    Kiosk,
    /// Hospital window.
    Hospital,
}

impl Model {
    pub(super) fn behaviour(self) -> Box<dyn Behaviour> {
        match self {
            Self::Bus {
                companions,
                sections,
            } => Box::new(bus::Bus::new(companions, sections)),
            Self::FareDesk { stations } => Box::new(desk::Desk::new(stations)),
            Self::Inspector => Box::new(inspector::Inspector),
            Self::MetroEntry => Box::new(gate::METRO_ENTRY),
            Self::MetroExit => Box::new(gate::METRO_EXIT),
            Self::CarParkEntry => Box::new(gate::CAR_PARK_ENTRY),
            Self::CarParkExit => Box::new(gate::CAR_PARK_EXIT),
            Self::Taxi { tariffs, operator } => Box::new(taxi::Taxi::new(tariffs, operator)),
            Self::ParkingMeter {
                tariffs,
                operator,
                class,
                vehicle,
            } => Box::new(parking::Meter::new(tariffs, operator, class, vehicle)),
            Self::Pos => Box::new(pos::Counter::default()),
            Self::Kiosk => Box::new(kiosk::SelfService::default()),
            Self::Hospital => Box::new(hospital::Window),
        }
    }
}

/// What a key of the kind's own dialogue came to.
#[derive(Debug)]
pub(super) enum Step {
    /// It means nothing here.
    Ignored,
    /// The dialogue went on.
    Taken,
    /// The dialogue says something.
    Tell(Box<Face>),
    /// The dialogue is complete: do this with the card.
    Do(Box<Task>),
    /// It was paid in cash.
    Cash(Fen),
}

impl Step {
    /// Whether the key was of use.
    const fn of_use(was: bool) -> Self {
        if was { Self::Taken } else { Self::Ignored }
    }
}

/// What a kind adds.
pub(super) trait Behaviour: std::fmt::Debug + Send {
    /// The screen of the kind's own dialogue.
    fn home(&self, now: CardTime) -> Face;

    /// What is done with a card that is presented now, if anything.
    fn card(&mut self, now: CardTime) -> Option<Task>;

    /// The screen while an ordered task waits for its card.
    fn prompt(&self, task: &Task, _now: CardTime) -> Face {
        face::present(task)
    }

    /// A key.
    fn key(&mut self, _key: Key, _now: CardTime) -> Step {
        Step::Ignored
    }

    /// Whether a task from outside belongs here, now.
    fn accepts(&self, _task: &Task) -> bool {
        false
    }

    /// A task of this kind is done.
    fn served(&mut self, _task: &Task, _served: &Served, _now: CardTime) {}

    /// Whether nothing is under way that was begun by the tariff in force.
    fn is_idle(&self) -> bool {
        true
    }

    /// Goes on by another tariff.
    fn adopt(&mut self, _model: Model) {}

    /// The dialogue is left where it stands.
    fn leave(&mut self) {}

    /// The wheels turned.
    fn driven(&mut self, _metres: u32, _now: CardTime) {}

    /// Time went on.
    fn tick(&mut self, _now: CardTime) {}

    /// Whether somebody works at it, in shifts.
    fn is_attended(&self) -> bool {
        false
    }

    /// Whether it moves a barrier.
    fn has_barrier(&self) -> bool {
        false
    }

    /// Whether the card stays in the reader over several tasks.
    fn keeps_card(&self) -> bool {
        false
    }
}
