//! Modes between orders, tariffs and gates.

use super::*;

impl<S: Storage> Device<S> {
    /// The modes that the tariffs in effect name for its station, as orders.
    pub(in crate::run) fn station_orders(&self, profile: &DeviceProfile) -> Vec<ModeOrder> {
        let Some((tariffs, stop)) = self.tariffs.as_ref().zip(profile.stop.as_deref()) else {
            return Vec::new();
        };
        let (operator, stop) = (self.site.operator.as_str().into(), stop.into());
        let order = |mode, from| ModeOrder { mode, from };
        let shown = tariffs.modes_of(&operator, &stop).filter_map(|span| {
            let mode = match span.mode {
                StationMode::TrainFailure => Mode::TrainFailure,
                StationMode::EmergencyRelease => Mode::EmergencyRelease,
                // Nothing of them shows at a gate.
                StationMode::OrderBypass | StationMode::TimeBypass | StationMode::FareBypass => {
                    return None;
                }
            };
            Some((order(mode, span.from), span.to))
        });
        let (begins, ends): (Vec<_>, Vec<_>) = shown.unzip();
        // One that ends as the next begins does not end that one.
        let ends = ends.into_iter().flatten();
        let ends = ends.map(|to| order(Mode::Normal, to));
        ends.chain(begins).collect()
    }

    /// Takes over the modes of the last seven days: gates and desks judge unfinished journeys by
    /// them. An order is for the whole network.
    pub(in crate::run) fn learn(&mut self, modes: &Modes) {
        let operator = fare::OperatorId::from(self.site.operator.as_str());
        let ends = modes.history().iter().skip(1).map(|next| Some(next.from));
        let spans = modes.history().iter().zip(ends.chain([None]));
        let history = spans.filter_map(|(order, to)| {
            let mode = match order.mode {
                Mode::TrainFailure => StationMode::TrainFailure,
                Mode::EmergencyRelease => StationMode::EmergencyRelease,
                Mode::Normal | Mode::Closed | Mode::Degraded | Mode::Test => return None,
            };
            Some(ModeSpan {
                operator: operator.clone(),
                stops: Vec::new(),
                mode,
                from: order.from,
                to,
            })
        });
        let history = ModeHistory(history.collect());
        match &mut self.work {
            Work::Sells(_, seller) => seller.learn(&history),
            Work::Desk(_, desk) => desk.learn(&history),
            _ => {}
        }
    }
}
