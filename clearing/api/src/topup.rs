//! Online top-up (圈存): authorise, then confirm with the TAC.

use card_spec::{
    Fen,
    id::{DeviceNo, SamNo},
    time::{CardDate, CardTime},
};
use serde::{Deserialize, Serialize};

use crate::record::CardFacts;

/// Ask for MAC2. One authorisation exists for each (card, online sequence); the same request again
/// gives the same answer, another amount is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopUpRequest {
    /// The device (its key signs the body like a batch).
    pub device: DeviceNo,
    /// Terminal number that went into INIT.
    pub terminal: SamNo,
    /// The card (suite and version of its DLK).
    pub card: CardFacts,
    /// Amount.
    pub amount: Fen,
    /// Online sequence from INIT.
    pub seq: u16,
    /// The card's random number.
    pub rnd: [u8; 4],
    /// Balance before.
    pub balance_before: Fen,
    /// The card's MAC1.
    pub mac1: [u8; 4],
    /// Device time; the time in CREDIT FOR LOAD is the grant's.
    pub at: CardTime,
    /// How it was paid: `cash`, `bank`, `mobile`.
    pub paid_by: String,
}

/// MAC2, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUpGrant {
    /// Id of the authorisation.
    pub id: u64,
    /// Time to send in CREDIT FOR LOAD.
    pub time: CardTime,
    /// MAC2.
    pub mac2: [u8; 4],
}

/// The card took the load: its TAC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopUpConfirm {
    /// The device.
    pub device: DeviceNo,
    /// Id of the authorisation.
    pub id: u64,
    /// The card's TAC.
    pub tac: [u8; 4],
}

/// State of a top-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopUpState {
    /// MAC2 given; whether the card took it is not known yet: pending.
    Authorised,
    /// TAC verified, or a later MAC1-authenticated INIT showed a higher online sequence.
    Confirmed,
    /// Another MAC1-authenticated INIT showed the online sequence unchanged: money returned. A TAC
    /// that comes after all reinstates it.
    Reversed,
}

/// A top-up as clearing knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUp {
    /// Id.
    pub id: u64,
    /// State.
    pub state: TopUpState,
    /// Amount.
    pub amount: Fen,
    /// Settlement day.
    pub day: CardDate,
}
