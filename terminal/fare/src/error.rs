//! What can be wrong with tariff data, and with a question put to it.

use crate::{OperatorId, ParkId, RouteId, StopId, VehicleClass, ZoneClass};

/// Why a tariff set was not loaded. A set is refused whole; keep the last good one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FareError {
    /// A file or folder could not be read.
    #[error(
        "cannot read {path}: {source}; check that the folder holds operators.toml and transit/"
    )]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that must be there is missing.
    #[error("{file} is missing; every tariff set needs it")]
    Missing {
        /// Path of the file inside the data folder.
        file: String,
    },
    /// A file does not have its form, or a value contradicts another one or breaks a rule.
    #[error("{}: {problem}", place(.file, *.line, .field))]
    Wrong {
        /// Path of the file inside the data folder.
        file: String,
        /// Line, from 1; `None` where something is missing.
        line: Option<usize>,
        /// The field or record; empty where the row as a whole is meant.
        field: String,
        /// What is wrong and what is expected.
        problem: String,
    },
}

fn place(file: &str, line: Option<usize>, field: &str) -> String {
    let line = line.map_or_else(String::new, |line| format!(", line {line}"));
    let comma = if field.is_empty() { "" } else { ", " };
    format!("{file}{line}{comma}{field}")
}

/// Why a question has no price. The terminal shows "see staff" and charges nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuoteError {
    /// The operator has no tariff of the kind asked for.
    #[error("operator {0} has no tariff of this kind; check the device profile")]
    Operator(OperatorId),
    /// The operator does not run this route.
    #[error("operator {0} has no route {1}; check the device profile")]
    Route(OperatorId, RouteId),
    /// The stop is not in the operator's network.
    #[error("operator {0} has no stop {1}; the card or the device has a newer network")]
    Stop(OperatorId, StopId),
    /// No path joins the two stations.
    #[error("no path from {0} to {1}; check the segments of the metro tariff")]
    NoPath(StopId, StopId),
    /// The end lies before the start.
    #[error("the end lies before the start; check the clocks of the two devices")]
    TimeOrder,
    /// A stay longer than [`crate::Tariffs::MAX_STAY_DAYS`] days.
    #[error("the stay is longer than {0} days; settle it at the desk")]
    TooLong(u16),
    /// No such class of kerb-side spaces.
    #[error("no parking class {0}; check the device profile")]
    Zone(ZoneClass),
    /// The tariff does not say what such a vehicle pays.
    #[error("the tariff has no rate for vehicle class {0:?}")]
    Vehicle(VehicleClass),
    /// The city sells no such pass.
    #[error("no pass {0} in this city; check the contracts file")]
    Pass(String),
    /// The pass is not for this card kind.
    #[error("pass {0} is not for this card kind; offer the one that is")]
    PassKind(String),
    /// The card holds this pass for these days, with rides left.
    #[error("the card holds pass {0} for these days; sell it again when it is used up or over")]
    PassHeld(String),
    /// Record 1A names a station or time that this network does not know.
    #[error("the card's metro record is not one that {0} can read; the desk closes the journey")]
    Record(OperatorId),
    /// The card's places for passes are taken.
    #[error("the card holds two passes that are not over; wait until one is")]
    PassPlaces,
    /// A missing exit is corrected for some days only.
    #[error("a missing exit is corrected within {0} days; refer the rider to the operator")]
    TooLate(u16),
    /// The stop is not on the sectional route.
    #[error("the bus route {0} has no section for stop {1}; check the route's section_stops")]
    Section(RouteId, StopId),
    /// A number of sections that the route does not have.
    #[error("the bus route {0} has 1 to {1} sections; key one of them")]
    Sections(RouteId, usize),
    /// No such permit.
    #[error("no parking permit {0}; check the tariff, or the list of permits by plate")]
    Permit(String),
    /// No such car park.
    #[error("no car park {0}; check the device profile")]
    Park(ParkId),
}
