//! Journeys between gates: what is asked at the entry and at the exit.

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{FareState, LegMark, OperatorId, PriorLeg, Rider, StopId, TariffRef};

/// A journey from gate to gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetroRide {
    /// Who runs the metro.
    pub operator: OperatorId,
    /// Station of entry.
    pub from_stop: StopId,
    /// Station of exit.
    pub to_stop: StopId,
    /// Time of entry: concessions and the transfer window are judged here.
    pub entered_at: CardTime,
    /// Time of exit.
    pub exited_at: CardTime,
    /// Who rides.
    pub rider: Rider,
    /// The transfer window that was open at entry. [`PriorLeg::from_journey`] of the last record
    /// gives it at the entry gate, and at the exit gate from the record that the entry wrote.
    pub prior: Option<PriorLeg>,
    /// The card's fare record of this city; without it neither caps nor passes hold.
    #[serde(default)]
    pub state: Option<FareState>,
}

/// A tap at an entry gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetroEntry {
    /// Who runs the metro.
    pub operator: OperatorId,
    /// Station.
    pub stop: StopId,
    /// When.
    pub at: CardTime,
    /// Who rides.
    pub rider: Rider,
    /// The open transfer window, from the card's last journey record.
    pub prior: Option<PriorLeg>,
    /// The card's fare record of this city.
    #[serde(default)]
    pub state: Option<FareState>,
}

/// What an entry gate needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryTerms {
    /// The highest fare this rider can come to: what a missing exit costs (record 1A's maximum).
    pub maximum: Fen,
    /// The lowest fare this rider can come to: less than this on the card and the gate stays shut.
    pub least: Fen,
    /// What the entry's journey record says: a running window is carried to the exit.
    pub leg: LegMark,
    /// The tariff.
    pub tariff: TariffRef,
}
