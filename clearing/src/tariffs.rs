//! Which tariffs a sale was priced by: those published for its time, before them the data folder's.

use card_spec::time::CardTime;
use clearing_api::{
    mode::{Mode, ModeOrder},
    parameters::Bundle,
    record::{Purchase, Service},
};
use fare::{FareError, ModeHistory, OperatorId, StationMode, Tariffs};
use std::sync::Arc;

/// How long after a start a sale may still be priced as before: a device goes over between two
/// cards, and waits for a card that left during its debit.
const GOING_OVER_SECONDS: i64 = 300;

/// Tariffs by the time of their start.
#[derive(Debug, Clone)]
pub struct Timeline {
    own: Arc<Tariffs>,
    published: Vec<(CardTime, Arc<Tariffs>)>,
    modes: Vec<ModeOrder>,
}

/// What a sale is priced again by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'t> {
    /// The tariffs in force at the sale.
    pub(crate) in_force: &'t Tariffs,
    /// Soon after their start those before, which may have priced it.
    pub(crate) before: Option<&'t Tariffs>,
    modes: &'t [ModeOrder],
}

impl Terms<'_> {
    /// The ordered modes of a network.
    pub(crate) fn modes(&self, operator: &OperatorId) -> ModeHistory {
        let orders = self.modes.iter().map(|order| {
            let mode = match order.mode {
                Mode::TrainFailure => Some(StationMode::TrainFailure),
                Mode::EmergencyRelease => Some(StationMode::EmergencyRelease),
                Mode::Normal | Mode::Closed | Mode::Degraded | Mode::Test => None,
            };
            (mode, order.from)
        });
        ModeHistory::of_orders(operator, orders)
    }
}

impl Timeline {
    /// With nothing published.
    pub const fn new(own: Arc<Tariffs>) -> Self {
        Self {
            own,
            published: Vec::new(),
            modes: Vec::new(),
        }
    }

    /// Adds what a bundle brings. One that started no earlier never began anywhere: the new one took
    /// its waiting place on the devices.
    /// Answers the places that the tariffs before have and these have not: devices there go back to
    /// those before.
    pub(crate) fn publish(&mut self, bundle: &Bundle) -> Result<Vec<String>, FareError> {
        let tariffs = match bundle.tariffs.is_empty() {
            true => Arc::clone(&self.own),
            false => Arc::new(Tariffs::from_texts(&bundle.tariffs)?),
        };
        self.published.retain(|(starts, _)| *starts < bundle.starts);
        let before = self
            .published
            .last()
            .map_or(&self.own, |(_, before)| before);
        let gone = match Arc::ptr_eq(before, &tariffs) {
            true => Vec::new(),
            false => before
                .places()
                .difference(&tariffs.places())
                .cloned()
                .collect(),
        };
        self.published.push((bundle.starts, tariffs));
        Ok(gone)
    }

    /// Adds an order; one for the same moment takes the place of the earlier.
    pub(crate) fn order(&mut self, order: ModeOrder) {
        self.modes.retain(|known| known.from != order.from);
        let place = self.modes.partition_point(|known| known.from < order.from);
        self.modes.insert(place, order);
    }

    /// The orders that count for journeys at `now` or later, oldest first.
    pub(crate) fn orders(&self, now: CardTime) -> &[ModeOrder] {
        let horizon = now.seconds() - 86_400 * (1 + i64::from(ModeHistory::DAYS));
        let over = |pair: &[ModeOrder]| matches!(pair, [_, next] if next.from.seconds() < horizon);
        let over = self.modes.windows(2).take_while(|pair| over(pair)).count();
        self.modes.get(over..).unwrap_or_default()
    }

    /// What a sale is priced again by.
    pub(crate) fn of(&self, purchase: &Purchase) -> Terms<'_> {
        // A taxi's fare is by the tariff that it was flagged down with.
        let at = match &purchase.service {
            Service::Taxi { started, .. } => *started,
            _ => purchase.time,
        };
        let begun = self.published.partition_point(|(starts, _)| *starts <= at);
        let still =
            |(starts, _): &(CardTime, _)| at.seconds() - starts.seconds() < GOING_OVER_SECONDS;
        let mut begun = self.published.iter().take(begun).rev();
        let latest = begun.next();
        let before = begun.next().map_or(&self.own, |(_, tariffs)| tariffs);
        Terms {
            in_force: latest.map_or(&self.own, |(_, tariffs)| tariffs),
            before: latest.is_some_and(still).then_some(before),
            modes: &self.modes,
        }
    }
}
