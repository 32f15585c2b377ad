//! What happens to a device.

use card_spec::time::CardTime;

use super::{ModeOrder, action::Task};
use crate::result::TapResult;

/// What a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Empty,
    /// One card that answers.
    Card,
    /// One card that answers nothing this system understands.
    Unknown,
    /// More than one card in the field.
    Several,
    /// The reader itself is gone.
    Lost,
}

/// A key of the device, of its driver's keypad or of its touch screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// 0 to 9.
    Digit(u8),
    /// One of the screen's [`super::SoftKey`]s, by its place.
    Soft(u8),
    /// Confirms an input.
    Enter,
    /// Takes back one character.
    Delete,
    /// Leaves a dialogue.
    Cancel,
}

/// How the journal and its uploads stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Store {
    /// Records that wait for the clearing house.
    pub waiting: usize,
    /// Space used, percent.
    pub used_percent: u8,
    /// Whether the clearing house answered the last time it was asked.
    pub online: bool,
}

/// One event.
#[derive(Debug)]
pub enum Event {
    /// Time goes on. Sent at least every 200 ms; a machine measures its waits with it.
    Tick(CardTime),
    /// The card reader's field changed.
    Reader(Presence),
    /// The SAM answers (again), or does not.
    Sam {
        /// Whether it answers.
        ready: bool,
    },
    /// A key was pressed.
    Key(Key),
    /// The driver is done with the task that the machine gave it.
    Served(Box<TapResult>),
    /// A task from outside that replaces the device's own dialogue: a taximeter's total, a till's
    /// amount, a hospital's bill.
    Request(Box<Task>),
    /// The operator orders a mode: by signed parameters, or by an operator card at the device.
    Mode(ModeOrder),
    /// The journal's level changed.
    Store(Store),
}
