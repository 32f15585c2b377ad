//! What happens to a device.

use card_spec::time::CardTime;

use super::{ModeOrder, Served, Task};

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
    Digit(Digit),
    /// One of the screen's [`super::SoftKey`]s, by its place.
    Soft(u8),
    /// Confirms an input.
    Enter,
    /// Takes back one character.
    Delete,
    /// Leaves a dialogue.
    Cancel,
}

/// A decimal digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digit(u8);

impl Digit {
    /// 0 to 9.
    pub const fn new(value: u8) -> Option<Self> {
        if value <= 9 { Some(Self(value)) } else { None }
    }

    /// Its value.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Its character.
    pub const fn character(self) -> char {
        (b'0' + self.0) as char
    }
}

/// Not the name of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no key `{0}`: 0 to 9, soft0 to soft9, enter, delete or cancel")]
pub struct UnknownKey(String);

impl std::fmt::Display for Key {
    /// As key lines name it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digit(digit) => write!(f, "{}", digit.character()),
            Self::Soft(place) => write!(f, "soft{place}"),
            Self::Enter => f.write_str("enter"),
            Self::Delete => f.write_str("delete"),
            Self::Cancel => f.write_str("cancel"),
        }
    }
}

impl std::str::FromStr for Key {
    type Err = UnknownKey;

    /// As key lines name them.
    fn from_str(text: &str) -> Result<Self, UnknownKey> {
        let digit = |text: &str| match text.as_bytes() {
            [byte @ b'0'..=b'9'] => Digit::new(byte - b'0'),
            _ => None,
        };
        let key = match text {
            "enter" => Some(Self::Enter),
            "delete" => Some(Self::Delete),
            "cancel" => Some(Self::Cancel),
            other => match other.strip_prefix("soft") {
                Some(place) => digit(place).map(|digit| Self::Soft(digit.value())),
                None => digit(other).map(Self::Digit),
            },
        };
        key.ok_or_else(|| UnknownKey(text.to_owned()))
    }
}

/// How the journal and its uploads stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Store {
    /// Records that wait for the clearing house.
    pub waiting: usize,
    /// Whether no further record fits.
    pub full: bool,
    /// Whether the clearing house answered the last time; `None` before it was asked.
    pub online: Option<bool>,
}

/// Whether prices can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TariffState {
    /// In force.
    #[default]
    Current,
    /// A newer one was announced and could not be taken over; this one still prices.
    Old,
    /// None: nothing can be sold.
    Missing,
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
    Served(Box<Served>),
    /// A task from outside that replaces the device's own dialogue: a taximeter's total, a till's
    /// amount, a hospital's bill.
    Request(Box<Task>),
    /// The taximeter's wheel turned this many metres.
    Driven {
        /// Metres since the last such event.
        metres: u32,
    },
    /// The operator orders a mode: by signed parameters, or at the device.
    Mode(ModeOrder),
    /// The journal's level changed.
    Store(Store),
    /// The tariff came, went or aged.
    Tariff(TariffState),
}
