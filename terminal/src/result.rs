//! What one presentation of a card came to, and how errors become codes.

use card_spec::{
    ChannelError, Fen, Sw, id::DeviceNo, id::Pan, purse::files::CardKind, time::CardTime,
};
use serde::{Serialize, Serializer};

use crate::{
    card::{CardError, ssse::AuthError},
    code::{Code, Verdict},
    journal::JournalError,
    sam::SamError,
};

/// The answer of a device to one presented card: everything a screen or a log shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TapResult {
    /// The device.
    pub device: DeviceNo,
    /// Device time.
    pub at: CardTime,
    /// The numbered code; its texts stand in [`crate::code`].
    pub code: Code,
    /// What the device does.
    pub verdict: Verdict,
    /// Short text, Chinese.
    pub zh: &'static str,
    /// Short text, English.
    pub en: &'static str,
    /// Next action, Chinese.
    pub action_zh: &'static str,
    /// Next action, English.
    pub action_en: &'static str,
    /// The card. Printed with its middle masked.
    #[serde(serialize_with = "masked", skip_serializing_if = "Option::is_none")]
    pub pan: Option<Pan>,
    /// The card's kind, when it was read: the concession class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card_kind: Option<CardKind>,
    /// Amount paid or loaded, when money moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Fen>,
    /// Balance afterwards, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Fen>,
    /// Journal sequences of the records this presentation wrote.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub journal: Vec<u64>,
    /// How the price came about, Chinese and English by turns of one line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub price: Vec<PriceLine>,
    /// What exactly was wrong, for staff; empty when nothing was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// One line of a price's explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PriceLine {
    /// Rule.
    pub rule: String,
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
    /// What it added or took off.
    pub delta: Fen,
}

impl TapResult {
    /// A bare result of `code`, of no particular card.
    pub fn of(device: DeviceNo, at: CardTime, code: Code) -> Self {
        let outcome = match code.verdict() {
            Verdict::Open => Ok(code),
            _ => Err(code.into()),
        };
        Note::default().finish(device, at, outcome)
    }

    /// The exit code of a command that ends with this result: 0 served, 5 present the card again
    /// or reader lost, 6 card refused, 1 any other fault of the device.
    pub const fn exit_code(&self) -> u8 {
        match (self.verdict, self.code) {
            (Verdict::Open, _) => 0,
            (Verdict::Refuse, _) => 6,
            (Verdict::Again, _) | (_, Code::ReaderLost) => 5,
            (Verdict::OutOfService, _) => 1,
        }
    }
}

fn masked<S: Serializer>(pan: &Option<Pan>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = pan.map(|p| p.to_string()).unwrap_or_default();
    let (head, tail) = (text.get(..6).unwrap_or(""), text.get(16..).unwrap_or(""));
    serializer.serialize_str(&format!("{head}**********{tail}"))
}

/// What a presentation has found out so far; becomes part of the result whatever happens later.
#[derive(Debug, Clone, Default)]
pub(crate) struct Note {
    pub(crate) pan: Option<Pan>,
    pub(crate) card_kind: Option<CardKind>,
    pub(crate) amount: Option<Fen>,
    pub(crate) balance: Option<Fen>,
    pub(crate) journal: Vec<u64>,
    pub(crate) price: Vec<PriceLine>,
}

impl Note {
    /// The result; amounts are told only when the verdict is open.
    pub(crate) fn finish(
        self,
        device: DeviceNo,
        at: CardTime,
        outcome: Result<Code, Refusal>,
    ) -> TapResult {
        let (code, detail) = match outcome {
            Ok(code) => (code, String::new()),
            Err(refusal) => (refusal.code, refusal.detail),
        };
        let open = code.verdict() == Verdict::Open;
        TapResult {
            device,
            at,
            code,
            verdict: code.verdict(),
            zh: code.zh(),
            en: code.en(),
            action_zh: code.action_zh(),
            action_en: code.action_en(),
            pan: self.pan,
            card_kind: self.card_kind,
            amount: self.amount.filter(|_| open),
            balance: self.balance,
            journal: self.journal,
            price: if open { self.price } else { Vec::new() },
            detail,
        }
    }
}

/// Why a card is not served: a code and what exactly was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// For staff.
    pub detail: String,
}

impl Refusal {
    /// A refusal with its detail.
    pub fn new(code: Code, detail: impl ToString) -> Self {
        Self {
            code,
            detail: detail.to_string(),
        }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self {
            code,
            detail: String::new(),
        }
    }
}

impl From<CardError> for Refusal {
    fn from(error: CardError) -> Self {
        let code = match &error {
            CardError::Channel(ChannelError::ReaderLost) => Code::ReaderLost,
            CardError::Channel(ChannelError::Malformed) | CardError::Format { .. } => Code::BadCard,
            CardError::Channel(_) => Code::PresentAgain,
            CardError::Status { step, sw } => status(step, *sw),
        };
        Self::new(code, error)
    }
}

fn status(step: &str, sw: Sw) -> Code {
    match sw {
        // Both spellings are in the field.
        Sw::INSUFFICIENT | Sw(0x9301) => Code::Insufficient,
        Sw::SELECTED_BLOCKED | Sw::SELECTED_TERMINATED | Sw::PERMANENTLY_LOCKED | Sw::LOCKED => {
            Code::Blocked
        }
        // Cards of other systems say in many ways that they know no such application.
        Sw::NOT_FOUND | Sw::WRONG_P1P2 | Sw::WRONG_DATA | Sw::INS | Sw::CLA
            if step.starts_with("SELECT") =>
        {
            Code::UnknownCard
        }
        Sw::KEY_INDEX if step.starts_with("INITIALIZE") => Code::ForeignCard,
        Sw::MAC_WRONG => Code::NotAuthentic,
        Sw::AUTH_BLOCKED if step == "VERIFY PIN" => Code::PinBlocked,
        sw if sw.tries() == Some(0) && step == "VERIFY PIN" => Code::PinBlocked,
        sw if sw.tries().is_some() && step == "VERIFY PIN" => Code::PinWrong,
        // The card's own limits: per tap and balance after a load at INIT, per day at DEBIT.
        Sw::CONDITIONS if step.starts_with("INITIALIZE") || step == "DEBIT" => Code::OverLimit,
        _ if step == "EXTERNAL AUTHENTICATE" || step == "INTERNAL AUTHENTICATE" => {
            Code::NotAuthentic
        }
        _ => Code::BadCard,
    }
}

impl From<SamError> for Refusal {
    fn from(error: SamError) -> Self {
        // A SAM without a key for the card's region is in order: the card is foreign.
        let code = if error.is_missing_key() {
            Code::ForeignCard
        } else {
            Code::SamFault
        };
        Self::new(code, error)
    }
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        let code = match error {
            JournalError::Full { .. } => Code::JournalFull,
            _ => Code::JournalFault,
        };
        Self::new(code, error)
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Card(card) => card.into(),
            AuthError::Sam(sam) => sam.into(),
            AuthError::NotAuthentic => Self::new(Code::NotAuthentic, error),
        }
    }
}
