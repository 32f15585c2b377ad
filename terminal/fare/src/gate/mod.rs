//! What a gate does with a card: functions of the card's record, the stations' mode history and
//! the time. The usual journey, and everything that goes wrong with one.

mod desk;
mod entry;
mod exit;
mod mode;
mod published;

use card_spec::{
    Fen,
    purse::files::{Metro, MetroSide, MetroState},
    time::CardTime,
};
use serde::{Deserialize, Serialize};

use crate::{OperatorId, QuoteError, StationCode, StopId, Tariffs};

pub use desk::{Area, Correction, DeskAdvice, DeskVisit};
pub use entry::{EntryDecision, Unfinished};
pub use exit::{ExitDecision, MetroExit};
pub use mode::{ModeHistory, ModeSpan, StationMode};
pub(crate) use published::ModesFile;

/// Why a gate stays shut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateRefusal {
    /// The card was used at this gate line a moment ago: one person, two taps.
    DoubleTap,
    /// No entry on the card: the desk asks where the rider came from.
    NoEntry,
    /// The card is inside another operator's network: that operator's desk closes the journey.
    Elsewhere,
}

/// What record 1A says of a card, as far as a network's gates decide by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Passage {
    /// Outside, or never inside.
    Outside {
        /// Where and when the card left this network, if that was its last journey.
        left: Option<(StopId, CardTime)>,
    },
    /// Inside this network.
    Inside {
        /// Station of entry.
        stop: StopId,
        /// Time of entry.
        at: CardTime,
        /// What a missing exit costs.
        maximum: Fen,
    },
    /// Inside another operator's network.
    Elsewhere,
}

/// The institution field of record 1A: the operator's id, cut or 00-padded.
fn institution(operator: &OperatorId) -> [u8; 8] {
    let mut out = [0; 8];
    for (target, byte) in out.iter_mut().zip(operator.as_str().bytes()) {
        *target = byte;
    }
    out
}

impl Tariffs {
    /// Reads record 1A for the gates of `operator`. A station or a time that this network does not
    /// know is an error: the desk's case.
    pub fn passage(&self, operator: &OperatorId, record: &Metro) -> Result<Passage, QuoteError> {
        let side = |side: &MetroSide| {
            let code = StationCode::from_metro_field(side.station);
            let stop = code
                // Nothing on the card is proved: a bus stop has a number too, and no fare from here.
                .and_then(|code| {
                    let mut stations = self.stations(operator).into_iter();
                    stations.find(|stop| stop.code == code)
                })
                .ok_or_else(|| QuoteError::Record(operator.clone()))?;
            let time = CardTime::from_bytes(side.time)
                .map_err(|_| QuoteError::Record(operator.clone()))?;
            Ok((stop.id.clone(), time))
        };
        let ours = |side: &MetroSide| side.institution == institution(operator);
        Ok(match record.state {
            MetroState::In | MetroState::UpdatedIn if ours(&record.entry) => {
                let (stop, at) = side(&record.entry)?;
                let maximum = record.maximum_fare;
                Passage::Inside { stop, at, maximum }
            }
            MetroState::In | MetroState::UpdatedIn => Passage::Elsewhere,
            MetroState::Out if ours(&record.exit) => Passage::Outside {
                left: Some(side(&record.exit)?),
            },
            MetroState::Idle | MetroState::Out | MetroState::UpdatedOut => {
                Passage::Outside { left: None }
            }
        })
    }
}
