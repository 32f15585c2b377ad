//! The entry gate: also for a card whose last journey has no exit.

use card_spec::Fen;
use serde::{Deserialize, Serialize};

use super::{GateRefusal, ModeHistory, Passage, StationMode};
use crate::{EntryTerms, MetroEntry, QuoteError, StopId, TariffRef, Tariffs, clock};

/// What an entry gate does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum EntryDecision {
    /// Lets in.
    Enter {
        /// What it holds against and writes.
        terms: EntryTerms,
        /// The journey before, if it had no exit.
        unfinished: Option<Unfinished>,
    },
    /// Emergency release: the gate stands open and writes nothing.
    OpenWritesNothing,
    /// Stays shut.
    Refuse {
        /// Why.
        why: GateRefusal,
    },
}

/// A journey without an exit, closed at the next entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "closed", rename_all = "kebab-case")]
pub enum Unfinished {
    /// It costs the highest fare that its entry recorded; a desk corrects it later
    /// ([`Tariffs::correct_missing_exit`]).
    Charged {
        /// Where it began.
        stop: StopId,
        /// What this entry debits for it.
        amount: Fen,
        /// Whose rule it is.
        tariff: TariffRef,
    },
    /// It costs nothing, by the mode of the network then or of this station now.
    Forgiven {
        /// Where it began.
        stop: StopId,
        /// The mode.
        by: StationMode,
    },
}

impl Tariffs {
    /// Decides on a tap at an entry gate.
    pub fn decide_entry(
        &self,
        entry: &MetroEntry,
        passage: &Passage,
        history: &ModeHistory,
    ) -> Result<EntryDecision, QuoteError> {
        let MetroEntry { operator, stop, .. } = entry;
        let history = &*self.modes(history);
        let network = self.network(operator)?;
        let on = |mode| history.is_on(operator, stop, mode, entry.at);
        if on(StationMode::EmergencyRelease) {
            return Ok(EntryDecision::OpenWritesNothing);
        }
        let unfinished = match passage {
            Passage::Elsewhere => {
                let why = GateRefusal::Elsewhere;
                return Ok(EntryDecision::Refuse { why });
            }
            Passage::Outside { .. } => None,
            Passage::Inside {
                stop: from,
                at: entered,
                maximum,
            } => {
                let since = clock::seconds(entry.at) - clock::seconds(*entered);
                if since < 0 {
                    return Err(QuoteError::TimeOrder);
                }
                let by = history
                    .forgives(operator, *entered, entry.at)
                    .or(on(StationMode::OrderBypass).then_some(StationMode::OrderBypass));
                match by {
                    Some(by) => Some(Unfinished::Forgiven {
                        stop: from.clone(),
                        by,
                    }),
                    None if from == stop && since < network.double_tap_seconds => {
                        let why = GateRefusal::DoubleTap;
                        return Ok(EntryDecision::Refuse { why });
                    }
                    None => Some(Unfinished::Charged {
                        stop: from.clone(),
                        amount: *maximum,
                        tariff: network.tariff.clone(),
                    }),
                }
            }
        };
        let terms = self.metro_entry(entry)?;
        Ok(EntryDecision::Enter { terms, unfinished })
    }
}
