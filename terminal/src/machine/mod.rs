//! A device as a pure state machine: [`Event`]s in, [`Action`]s out, and at any moment a [`Screen`].
//!
//! No reader, clock, disk or network is known in here. The edge ([`crate::run`]) turns readers, keys,
//! the network and the clock into events and carries the actions out; the windows of
//! `terminal-screens` show the screen and send the keys. So every state of every device can be
//! reached, tested and photographed without hardware.

mod action;
mod event;
mod mode;
mod screen;

pub use action::{Action, Barrier, Task, Tone};
pub use event::{Event, Key, Presence, Store};
pub use mode::{Mode, ModeOrder};
pub use screen::{Colour, Field, Row, Screen, SoftKey, Status, Text};
