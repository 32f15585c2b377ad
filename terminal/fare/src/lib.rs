//! Pure fare engine: what a ride, a taxi trip or a parked hour costs, and why.
//!
//! Every price is a function of values: a [`Tariffs`] set read once from dated and sourced data,
//! and one input such as [`BusRide`] or [`MetroRide`]. The terminal prices with it offline; the
//! clearing house prices the same inputs again and must come to the same fen. Nothing here reads a
//! clock, keeps state or uses a floating-point number.
//!
//! * Networks are GTFS (`agency`, `stops`, `routes`, `trips`, `stop_times`, `translations`, and
//!   `fare_attributes` with `fare_rules` for flat fares). What GTFS lacks stands beside it in TOML
//!   files, documented in `docs/fares.md`.
//! * Money is [`card_spec::Fen`], distances are metres, times are local [`card_spec::time::CardTime`].
//! * A [`Quote`] explains itself: its steps add up to its amount, and it names every tariff it used.
//!
//! The crate knows `card-spec` only.

mod assemble;
mod bus;
mod calendar;
mod car_park;
mod clock;
mod contract;
mod discount;
mod error;
pub mod feed;
mod gate;
mod gtfs;
mod gtfs_table;
mod id;
mod journey;
mod leg;
mod load;
mod metro;
mod network;
mod operator;
mod permit;
mod problems;
mod quote;
mod ride;
mod scale;
mod schema;
mod section;
mod street_parking;
mod tariffs;
mod taxi;
mod transfer;
mod window;

pub use bus::BusRide;
pub use car_park::CarParkStay;
pub use contract::{
    Counter, FareState, FareStates, HeldPass, PassOrder, PassSale, Travel, TravelError,
    TravelUpdate,
};
pub use error::{FareError, QuoteError};
pub use gate::{
    Area, Correction, DeskAdvice, DeskVisit, EntryDecision, ExitDecision, GateRefusal, MetroExit,
    ModeHistory, ModeSpan, Passage, StationMode, Unfinished,
};
pub use id::{
    CityCode, LineCode, OperatorId, ParkId, RouteId, StationCode, StopId, TariffId, ZoneClass,
    ZoneId,
};
pub use journey::{EntryTerms, MetroEntry, MetroRide};
pub use leg::{LegClass, LegMark, OpenWindow, Place, PriorLeg};
pub use operator::{Operator, OperatorKind};
pub use permit::{Permit, PermitOrder};
pub use quote::{Other, Provenance, Quote, Status, Step, TariffRef};
pub use ride::Rider;
pub use section::Ridden;
pub use street_parking::{MeterStay, VehicleClass};
pub use tariffs::{Route, Stop, Tariffs};
pub use taxi::TaxiTrip;
