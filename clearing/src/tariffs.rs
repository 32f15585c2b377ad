//! Which tariffs a sale was priced by: those published for its time, before them the data folder's.

use card_spec::time::CardTime;
use clearing_api::{
    parameters::Bundle,
    record::{Purchase, Service},
};
use fare::{FareError, Tariffs};
use std::sync::Arc;

/// How long after a start a sale may still be priced as before: a device goes over between two
/// cards, and waits for a card that left during its debit.
const GOING_OVER_SECONDS: i64 = 300;

/// Tariffs by the time of their start.
#[derive(Debug, Clone)]
pub struct Timeline {
    own: Arc<Tariffs>,
    published: Vec<(CardTime, Arc<Tariffs>)>,
}

impl Timeline {
    /// With nothing published.
    pub const fn new(own: Arc<Tariffs>) -> Self {
        Self {
            own,
            published: Vec::new(),
        }
    }

    /// Adds what a bundle brings. One that started no earlier never began anywhere: the new one took
    /// its waiting place on the devices.
    pub(crate) fn publish(&mut self, bundle: &Bundle) -> Result<(), FareError> {
        let tariffs = Arc::new(Tariffs::from_texts(&bundle.tariffs)?);
        self.published.retain(|(starts, _)| *starts < bundle.starts);
        self.published.push((bundle.starts, tariffs));
        Ok(())
    }

    /// The tariffs in force at a sale; and soon after their start those before, which may have priced
    /// it.
    pub(crate) fn of(&self, purchase: &Purchase) -> (&Tariffs, Option<&Tariffs>) {
        // A taxi's fare is by the tariff that it was flagged down with.
        let at = match &purchase.service {
            Service::Taxi { started, .. } => *started,
            _ => purchase.time,
        };
        let begun = self.published.partition_point(|(starts, _)| *starts <= at);
        let still =
            |(starts, _): &(CardTime, _)| at.seconds() - starts.seconds() < GOING_OVER_SECONDS;
        let mut begun = self.published.iter().take(begun).rev();
        let Some(in_force) = begun.next() else {
            return (&self.own, None);
        };
        let before = begun.next().map_or(&self.own, |(_, tariffs)| tariffs);
        (&in_force.1, still(in_force).then_some(before))
    }
}
