//! What a device does.

use super::Screen;

/// What the edge is to do with the card that is presented.
#[derive(Debug, Clone)]
pub enum Task {
    /// Sell what the device sells by itself: a ride, an entry, an exit.
    Sell {
        /// Section of a sectional bus fare that the driver keyed in.
        section: Option<u8>,
    },
}

/// A gate's or car park's barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    /// Opens for one passage.
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
    /// Move the barrier.
    Barrier(Barrier),
    /// Sound it.
    Sound(Tone),
    /// The screen changed; this is it.
    Show(Box<Screen>),
}
