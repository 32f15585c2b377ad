//! The exit gate: also in degraded modes, and for a card without an entry.

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use super::{GateRefusal, ModeHistory, Passage, StationMode};
use crate::{
    FareState, LegMark, MetroRide, OperatorId, PriorLeg, Quote, QuoteError, Rider, StopId, Tariffs,
    clock,
    metro::{Fixed, Presented, StayLimit},
};

/// A tap at an exit gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetroExit {
    /// Who runs the network.
    pub operator: OperatorId,
    /// Station.
    pub stop: StopId,
    /// When.
    pub at: CardTime,
    /// Who rides.
    pub rider: Rider,
    /// The transfer window that was open at entry, from the record that the entry wrote.
    pub prior: Option<PriorLeg>,
    /// The card's fare record of this city.
    #[serde(default)]
    pub state: Option<FareState>,
}

/// What an exit gate does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum ExitDecision {
    /// Lets out at a price.
    Leave {
        /// The price.
        quote: Box<Quote>,
        /// The mode without which the price would be another, or none.
        by: Option<StationMode>,
    },
    /// Emergency release: the gate stands open and writes nothing.
    OpenWritesNothing,
    /// Stays shut.
    Refuse {
        /// Why.
        why: GateRefusal,
    },
}

impl Tariffs {
    /// Decides on a tap at an exit gate.
    pub fn decide_exit(
        &self,
        exit: &MetroExit,
        passage: &Passage,
        history: &ModeHistory,
    ) -> Result<ExitDecision, QuoteError> {
        let history = &*self.modes(history);
        let network = self.network(&exit.operator)?;
        network.stop(&exit.stop)?;
        let on = |mode| history.is_on(&exit.operator, &exit.stop, mode, exit.at);
        if on(StationMode::EmergencyRelease) {
            return Ok(ExitDecision::OpenWritesNothing);
        }
        let refuse = |why| Ok(ExitDecision::Refuse { why });
        match passage {
            Passage::Elsewhere => refuse(GateRefusal::Elsewhere),
            Passage::Inside { stop, at, .. } => {
                let ride = exit.ride(stop, *at);
                self.leave(&ride, exit, history)
            }
            Passage::Outside { left } => {
                let again = left.as_ref().is_some_and(|(stop, at)| {
                    let since = clock::seconds(exit.at) - clock::seconds(*at);
                    *stop == exit.stop && (0..network.double_tap_seconds).contains(&since)
                });
                if again {
                    return refuse(GateRefusal::DoubleTap);
                }
                let open = history.let_in(&exit.operator, StationMode::EmergencyRelease, exit.at);
                let by = if on(StationMode::OrderBypass) {
                    StationMode::OrderBypass
                } else if open {
                    StationMode::EmergencyRelease
                } else {
                    return refuse(GateRefusal::NoEntry);
                };
                // Nobody knows where the journey began: the rider is not charged for that.
                let quote = network.fixed(
                    Fixed::Lowest,
                    &exit.presented(),
                    exit.at,
                    self.rules(network.city),
                );
                Ok(ExitDecision::Leave {
                    quote: Box::new(quote),
                    by: Some(by),
                })
            }
        }
    }

    fn leave(
        &self,
        ride: &MetroRide,
        exit: &MetroExit,
        history: &ModeHistory,
    ) -> Result<ExitDecision, QuoteError> {
        let network = self.network(&exit.operator)?;
        let rules = self.rules(network.city);
        let on = |mode| history.is_on(&exit.operator, &exit.stop, mode, exit.at);
        let failed = on(StationMode::TrainFailure)
            || history.cut_short(
                &exit.operator,
                StationMode::TrainFailure,
                ride.entered_at,
                exit.at,
            ) && ride.from_stop == exit.stop;
        let free = if failed {
            Some(StationMode::TrainFailure)
        } else {
            on(StationMode::FareBypass).then_some(StationMode::FareBypass)
        };
        if let Some(mode) = free {
            return Ok(ExitDecision::Leave {
                quote: Box::new(self.waived(ride, mode)?),
                by: Some(mode),
            });
        }
        let quote = network.quote(ride, StayLimit::Holds, rules)?;
        if on(StationMode::TimeBypass) {
            let waived = network.quote(ride, StayLimit::Waived, rules)?;
            let by = (waived.amount != quote.amount).then_some(StationMode::TimeBypass);
            return Ok(ExitDecision::Leave {
                quote: Box::new(waived),
                by,
            });
        }
        Ok(ExitDecision::Leave {
            quote: Box::new(quote),
            by: None,
        })
    }
}

impl Tariffs {
    /// A journey that costs nothing: no pass ride is spent, nothing counts towards a cap, and the
    /// transfer window is left as it was.
    fn waived(&self, ride: &MetroRide, mode: StationMode) -> Result<Quote, QuoteError> {
        let network = self.network(&ride.operator)?;
        let alone = MetroRide {
            state: None,
            ..ride.clone()
        };
        let mut quote = network.quote(&alone, StayLimit::Waived, self.rules(network.city))?;
        quote
            .steps
            .push(mode.step(&network.tariff.id, -quote.amount));
        quote.amount = Fen::ZERO;
        quote.leg = LegMark {
            discount: quote.base,
            ..LegMark::carried(ride.prior.as_ref(), network.city, ride.exited_at)
        };
        quote.state = ride.state.map(|mut state| {
            state.set_window(quote.leg.window, ride.exited_at);
            state
        });
        Ok(quote)
    }
}

impl MetroExit {
    pub(super) fn ride(&self, from_stop: &StopId, entered_at: CardTime) -> MetroRide {
        MetroRide {
            operator: self.operator.clone(),
            from_stop: from_stop.clone(),
            to_stop: self.stop.clone(),
            entered_at,
            exited_at: self.at,
            rider: self.rider,
            prior: self.prior,
            state: self.state,
        }
    }

    pub(super) const fn presented(&self) -> Presented<'_> {
        Presented {
            rider: self.rider,
            prior: self.prior.as_ref(),
            state: self.state.as_ref(),
        }
    }
}
