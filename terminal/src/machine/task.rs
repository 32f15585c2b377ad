//! What a device is to do with the card that is presented.

use card_spec::{Fen, time::CardTime};
use fare::{Area, StopId};
use serde::Deserialize;

use super::{Row, shift::Flow};
use crate::{
    card::Pin,
    hospital::{Bill, Slip},
    result::TapResult,
};

/// What the edge is to do, then to answer with [`super::Event::Served`].
#[derive(Debug, Clone)]
pub enum Task {
    /// Sell what the device sells by itself: a ride, an entry, an exit.
    Sell(Sale),
    /// Take a taxi fare.
    Trip(Trip),
    /// Take a kerb-side parking fee.
    Stay(Stay),
    /// Take the price of goods.
    Goods(Goods),
    /// Sell a pass or a multi-ride ticket.
    Pass(Pass),
    /// Correct a metro journey, or tell how it would be corrected.
    Correct(Correction),
    /// Tell what the card says of this ride.
    Inspect,
    /// Tell balance and last trips.
    Balance,
    /// Load the purse.
    TopUp(TopUp),
    /// Proof of life.
    ProofOfLife(ProofOfLife),
    /// The holder reports the card.
    LossReport(LossReport),
    /// Settle a hospital bill whose holder agreed beforehand.
    Bill(Box<BillOrder>),
    /// Read the card's number of somebody who works here.
    Operator,
    /// Read a card in test mode, write nothing.
    TestCard,
}

/// A sale by the device's own rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sale {
    /// For a companion of the holder: at the ordinary price, without transfer, although the card
    /// was presented a moment ago.
    pub companion: bool,
    /// Sectional bus: sections that the rider goes through, if the driver keyed them.
    pub sections: Option<u8>,
}

/// A sale of goods.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goods {
    /// Price, fen.
    pub sale_fen: Fen,
    /// Receipt number.
    pub receipt: String,
}

/// A sale of a pass 月票.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pass {
    /// Its id in the city's contracts.
    pub pass: String,
    /// A time on its first day, `YYYY-MM-DDThh:mm:ss`; of a calendar month any. Today without.
    pub from: Option<CardTime>,
}

/// A rider at a fare-adjustment desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// Where the rider stands.
    pub area: Area,
    /// The station that the rider names.
    pub named: Option<StopId>,
    /// Only look: tell what would be done.
    pub look: bool,
}

/// A taxi trip at flag-up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trip {
    /// Metres driven.
    pub metres: u32,
    /// Seconds below the tariff's speed limit.
    pub waiting_seconds: u32,
    /// Flag down, `YYYY-MM-DDThh:mm:ss`.
    pub started: CardTime,
}

/// A stay at the kerb.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stay {
    /// Arrival, `YYYY-MM-DDThh:mm:ss`.
    pub from: CardTime,
}

/// A top-up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopUp {
    /// Amount, fen.
    pub amount_fen: Fen,
    /// `cash`, `bank` or `mobile`.
    pub paid_by: String,
    /// PIN of the purse, six digits.
    pub pin: Pin,
}

/// A proof of life.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofOfLife {
    /// PIN of the social-security side, six digits.
    pub pin: Pin,
}

/// A holder's report of the card 挂失.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossReport {
    /// PIN of the social-security side, six digits.
    #[serde(rename = "loss_pin")]
    pub pin: Pin,
}

/// A bill and the holder's consent to its settlement.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillOrder {
    /// The bill.
    pub bill: Bill,
    /// PIN of the social-security side, six digits.
    pub pin: Pin,
}

impl Task {
    /// Whether a barrier opens when it succeeded.
    pub const fn opens(&self) -> bool {
        matches!(self, Self::Sell(_))
    }

    /// Which way its money goes; `None` where a shift does not count it.
    pub(super) const fn flow(&self) -> Option<Flow> {
        match self {
            Self::Sell(_)
            | Self::Trip(_)
            | Self::Stay(_)
            | Self::Goods(_)
            | Self::Pass(_)
            | Self::Bill(_) => Some(Flow::Paid),
            Self::Correct(correction) if !correction.look => Some(Flow::Paid),
            Self::TopUp(_) => Some(Flow::Loaded),
            Self::Correct(_)
            | Self::Inspect
            | Self::Balance
            | Self::ProofOfLife(_)
            | Self::LossReport(_)
            | Self::Operator
            | Self::TestCard => None,
        }
    }
}

/// What a task came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// For screen, log and totals.
    pub result: TapResult,
    /// What was read, as the screen lists it.
    pub rows: Vec<Row>,
    /// A settlement slip.
    pub slip: Option<Slip>,
}

impl From<TapResult> for Served {
    fn from(result: TapResult) -> Self {
        Self {
            result,
            rows: Vec::new(),
            slip: None,
        }
    }
}
