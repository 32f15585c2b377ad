//! What a device does.

use serde::Serialize;

use super::{Mode, Screen, Shift, Task};

/// A gate's or car park's barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Barrier {
    /// Opens for one passage; the mechanism shuts behind it.
    OpenOnce,
    /// Shuts.
    Shut,
    /// Stands open until it is shut.
    StandOpen,
}

/// A sound. One for each concession class, so that a driver hears which card was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tone {
    /// Ordinary price.
    Normal,
    /// Transfer discount.
    Transfer,
    /// Student card.
    Student,
    /// Elderly card.
    Elderly,
    /// Disabled card.
    Disabled,
    /// Military card.
    Military,
    /// A pass or a multi-ride ticket.
    Pass,
    /// Refused.
    Refused,
    /// Again, please.
    Again,
    /// A key was pressed.
    Key,
}

/// One action.
#[derive(Debug)]
pub enum Action {
    /// Do this with the card in the field, then send [`super::Event::Served`].
    Serve(Box<Task>),
    /// The torn card did not come back in time: its record goes on as unknown.
    GiveUp,
    /// Move the barrier.
    Barrier(Barrier),
    /// Sound it.
    Sound(Tone),
    /// The device works in another mode now.
    Mode(Mode),
    /// A shift was opened or closed: print it.
    Shift(Box<Shift>),
    /// The screen changed; this is it.
    Show(Box<Screen>),
}
