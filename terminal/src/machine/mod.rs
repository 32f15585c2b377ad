//! A device as a pure state machine: [`Event`]s in, [`Action`]s out, and at any moment a [`Screen`].
//!
//! No reader, clock, disk or network is known in here. The edge ([`crate::run`]) turns readers, keys,
//! the network and the clock into events and carries the actions out; the windows of
//! `terminal-screens` show the screen and send the keys. So every state of every device can be
//! reached, tested and photographed without hardware.
//!
//! [`Machine`] holds what all kinds share; what one kind adds stands in a file of its own under
//! `kind/`.

mod action;
mod availability;
mod entry;
mod event;
mod face;
mod gallery;
mod kind;
mod mode;
mod screen;
mod shift;
mod shift_dialogue;
mod state;
mod task;

pub use action::{Action, Barrier, Tone};
pub use event::{Digit, Event, Key, Presence, Store, TariffState, UnknownKey};
pub use gallery::gallery;
pub use kind::Model;
pub use mode::{Mode, ModeOrder, Modes, StationSpan};
pub use screen::{Amount, Colour, Face, Field, Row, Screen, SoftKey, Status, Text};
pub use shift::{Operator, Shift, Sum, Totals};
pub use state::{Kept, Machine, Setup};
pub use task::{
    BillOrder, Correction, Goods, LossReport, Pass, ProofOfLife, Sale, Served, Stay, Task, TopUp,
    Trip,
};
