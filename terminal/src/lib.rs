//! The terminals: bus validators, metro gates, taxi and parking meters, car park barriers, points
//! of sale, hospital windows, kiosks.
//!
//! * [`device`] decides: what a device sells to a card at a time, pure functions of values.
//! * [`PurseTerminal`], [`Pos`], [`HospitalWindow`], [`Kiosk`] drive: they carry the decision to
//!   card and SAM over any `card_spec::Channel`, journal it, and answer a [`TapResult`].
//! * [`journal`] makes every sale durable before its gate opens; [`upload`] sends it on.
//! * [`profile`] and [`run`] are the edge: files, PC/SC readers, the wall clock.
//!
//! Nothing below the edge knows a clock, a random source or a thread: all of them are arguments.

pub mod admit;
pub mod card;
pub mod clock;
pub mod code;
pub mod device;
pub mod hospital;
pub mod hotlist;
pub mod journal;
pub mod kiosk;
pub mod load;
pub mod machine;
pub mod meter;
pub mod names;
pub mod online;
pub mod parameters;
pub mod passback;
pub mod person;
pub mod pos;
pub mod profile;
pub mod result;
pub mod retry;
pub mod run;
pub mod sam;
pub mod tap;
pub mod upload;

pub use code::{Code, Verdict};
pub use hospital::HospitalWindow;
pub use journal::Journal;
pub use kiosk::Kiosk;
pub use pos::Pos;
pub use profile::{DeviceProfile, Kind};
pub use result::TapResult;
pub use run::run;
pub use sam::SamUnit;
pub use tap::{PurseTerminal, Setup};
