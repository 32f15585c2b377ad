//! The fare-adjustment desk (补票亭, BOM): what it writes and charges, so that the next gate
//! accepts the card.

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use super::{ExitDecision, GateRefusal, MetroExit, ModeHistory, Passage};
use crate::{
    MetroRide, Quote, QuoteError, StopId, Tariffs,
    clock::{self, DAY},
    metro::{Fixed, StayLimit},
};

/// Where the rider stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Area {
    /// Inside the gates 付费区.
    Paid,
    /// Outside 非付费区.
    Unpaid,
}

/// A rider at a desk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskVisit {
    /// The exit that the desk would make: station of the desk, time, rider and card.
    pub exit: MetroExit,
    /// Where the rider stands.
    pub area: Area,
    /// The station that the rider names: of entry in the paid area, of exit in the unpaid one.
    pub named: Option<StopId>,
}

/// What the desk does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "advice", rename_all = "kebab-case")]
pub enum DeskAdvice {
    /// The card is as it should be: the gate accepts it.
    UseTheGate,
    /// Writes an entry (state "updated, in"); the exit gate charges the journey.
    WriteEntry {
        /// Station of entry.
        stop: StopId,
        /// Time of entry: now, so that nobody overstays for what a gate failed to write.
        at: CardTime,
    },
    /// Charges and writes an exit (state "updated, out"). In the paid area the desk lets out.
    CloseJourney {
        /// The price.
        quote: Box<Quote>,
    },
}

/// A missing exit, corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// What the journey costs.
    pub quote: Quote,
    /// What goes back to the card, as a load.
    pub refund: Fen,
}

impl Tariffs {
    /// What a desk does with a card that a gate refused.
    pub fn desk(
        &self,
        visit: &DeskVisit,
        passage: &Passage,
        history: &ModeHistory,
    ) -> Result<DeskAdvice, QuoteError> {
        let exit = &visit.exit;
        let told = history;
        let history = &*self.modes(told);
        let network = self.network(&exit.operator)?;
        let highest = || {
            let rules = self.rules(network.city);
            let quote = network.fixed(Fixed::Highest, &exit.presented(), exit.at, rules);
            DeskAdvice::CloseJourney {
                quote: Box::new(quote),
            }
        };
        if let Some(named) = &visit.named {
            network.stop(named)?;
        }
        match (visit.area, passage) {
            (_, Passage::Elsewhere) => Err(QuoteError::Record(exit.operator.clone())),
            // The entry is still to come, by the desk's clock and the exit gate's: the gate would
            // send the rider back here.
            (Area::Paid, Passage::Inside { stop, at, .. }) if *at > exit.at => {
                let ride = exit.ride(stop, exit.at);
                let rules = self.rules(network.city);
                let quote = Box::new(network.quote(&ride, StayLimit::Waived, rules)?);
                Ok(DeskAdvice::CloseJourney { quote })
            }
            (Area::Paid, Passage::Inside { .. }) | (Area::Unpaid, Passage::Outside { .. }) => {
                Ok(DeskAdvice::UseTheGate)
            }
            (Area::Paid, Passage::Outside { .. }) => {
                let decision = self.decide_exit(exit, passage, told)?;
                if matches!(&decision, ExitDecision::Refuse { why } if *why == GateRefusal::NoEntry)
                {
                    return Ok(match &visit.named {
                        Some(stop) => DeskAdvice::WriteEntry {
                            stop: stop.clone(),
                            at: exit.at,
                        },
                        None => highest(),
                    });
                }
                Ok(DeskAdvice::UseTheGate)
            }
            (Area::Unpaid, Passage::Inside { stop, at, .. }) => {
                if history.forgives(&exit.operator, *at, exit.at).is_some() {
                    return Ok(DeskAdvice::UseTheGate);
                }
                let Some(named) = &visit.named else {
                    return Ok(highest());
                };
                let ride = MetroRide {
                    to_stop: named.clone(),
                    ..exit.ride(stop, (*at).min(exit.at))
                };
                // When the rider left is not known: waiting for the desk is no overstay.
                let rules = self.rules(network.city);
                let quote = Box::new(network.quote(&ride, StayLimit::Waived, rules)?);
                Ok(DeskAdvice::CloseJourney { quote })
            }
        }
    }

    /// Corrects the highest fare that a missing exit cost at a later entry (`charged` then): the
    /// desk is shown where and when the rider left. Never charges more.
    pub fn correct_missing_exit(
        &self,
        charged: (Fen, CardTime),
        ride: &MetroRide,
        at: CardTime,
    ) -> Result<Correction, QuoteError> {
        let network = self.network(&ride.operator)?;
        let (charged, when) = charged;
        let since = clock::seconds(at) - clock::seconds(when);
        if since < 0 || ride.exited_at > when {
            return Err(QuoteError::TimeOrder);
        }
        if since > i64::from(network.correction_days) * DAY {
            return Err(QuoteError::TooLate(network.correction_days));
        }
        // Caps and passes of that day are gone from the card: the back office knows them.
        let alone = MetroRide {
            state: None,
            ..ride.clone()
        };
        let quote = self.quote_metro(&alone)?;
        let refund = (charged - quote.amount).max(Fen::ZERO);
        Ok(Correction { quote, refund })
    }
}
