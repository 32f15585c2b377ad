//! What a device shows. A value: windows draw it, tests compare it, the log prints it.

use card_spec::{Fen, time::CardTime};
use serde::Serialize;

use super::Mode;
use crate::code::Code;

/// A text in both languages. Chinese stands first on every screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Text {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Text {
    /// From its two forms.
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            zh: zh.into(),
            en: en.into(),
        }
    }
}

/// The colour that fills the screen: understood from two metres away, never the only sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// Ready: blue.
    Ready,
    /// At work with a card: keep it still. White.
    Busy,
    /// Go: green.
    Go,
    /// Go, at a concession or transfer price: green with a band.
    GoConcession,
    /// The same card or another try is wanted: yellow.
    Again,
    /// Refused: red.
    Stop,
    /// Out of service or closed: grey.
    Out,
}

/// Money on the screen, and whether it moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Amount {
    /// To pay; nothing moved yet.
    Due(Fen),
    /// Taken from the card.
    Paid(Fen),
    /// Put on the card.
    Loaded(Fen),
}

/// A line of a list: the explanation of a price, a trip, a total.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What.
    pub what: Text,
    /// How much, or when; as it is shown.
    pub value: String,
}

impl Row {
    /// A line.
    pub fn new(zh: impl Into<String>, en: impl Into<String>, value: impl ToString) -> Self {
        Self {
            what: Text::new(zh, en),
            value: value.to_string(),
        }
    }
}

/// Something that is being keyed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// What is asked.
    pub what: Text,
    /// What was keyed in so far; a PIN shows dots.
    pub shown: String,
    /// How it ends: `yuan`, `km`, a number of digits.
    pub unit: Text,
}

/// A key that the screen names; sent as [`super::Key::Soft`] with its place in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SoftKey {
    /// Its name.
    pub name: Text,
    /// Whether it can be pressed now.
    pub enabled: bool,
}

impl SoftKey {
    /// A key that can be pressed.
    pub fn new(zh: &str, en: &str) -> Self {
        Self {
            name: Text::new(zh, en),
            enabled: true,
        }
    }
}

/// The line that every screen carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// What the device is and where it stands: `17路 车载机`.
    pub place: Text,
    /// Device time.
    pub at: CardTime,
    /// Mode.
    pub mode: Mode,
    /// Records waiting for upload.
    pub waiting: usize,
    /// Whether the clearing house answered the last time; `None` before it was asked.
    pub online: Option<bool>,
    /// The operator on shift, when there is one.
    pub operator: Option<String>,
}

/// What a screen says, without its status line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Face {
    /// Colour.
    pub colour: Colour,
    /// Headline, a few words.
    pub headline: Text,
    /// The numbered code, when something happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What to do next.
    pub action: Text,
    /// Money.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// Balance of the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Fen>,
    /// Seconds left to do what is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub countdown: Option<u32>,
    /// A list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Row>,
    /// An input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<Field>,
    /// Keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<SoftKey>,
}

impl Face {
    /// A headline and what to do next, each in Chinese and English.
    pub fn new(colour: Colour, headline: (&str, &str), action: (&str, &str)) -> Self {
        Self {
            colour,
            headline: Text::new(headline.0, headline.1),
            code: None,
            action: Text::new(action.0, action.1),
            amount: None,
            balance: None,
            countdown: None,
            rows: Vec::new(),
            field: None,
            keys: Vec::new(),
        }
    }

    /// What a code says.
    pub fn of(colour: Colour, code: Code) -> Self {
        Self {
            code: Some(code),
            ..Self::new(
                colour,
                (code.zh(), code.en()),
                (code.action_zh(), code.action_en()),
            )
        }
    }
}

/// One screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Screen {
    /// What it says.
    #[serde(flatten)]
    pub face: Face,
    /// Status line.
    pub status: Status,
}
