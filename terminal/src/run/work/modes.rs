//! Modes between orders, tariffs and gates.

use super::*;

impl<S: Storage> Device<S> {
    /// The modes that the tariffs in effect name for its station.
    pub(super) fn station_spans(&self, profile: &DeviceProfile) -> Vec<StationSpan> {
        let Some((tariffs, stop)) = self.tariffs.as_ref().zip(profile.stop.as_deref()) else {
            return Vec::new();
        };
        let (operator, stop) = (self.site.operator.as_str().into(), stop.into());
        let shown = tariffs.modes_of(&operator, &stop).filter_map(|span| {
            let mode = match span.mode {
                StationMode::TrainFailure => Mode::TrainFailure,
                StationMode::EmergencyRelease => Mode::EmergencyRelease,
                // Nothing of them shows at a gate.
                StationMode::OrderBypass | StationMode::TimeBypass | StationMode::FareBypass => {
                    return None;
                }
            };
            let (from, to) = (span.from, span.to);
            Some(StationSpan { mode, from, to })
        });
        shown.collect()
    }

    /// Takes over the modes of the last seven days: gates and desks judge unfinished journeys by
    /// them. An order is for the whole network.
    pub(in crate::run) fn learn(&mut self, modes: &Modes) {
        let operator = fare::OperatorId::from(self.site.operator.as_str());
        let orders = modes.history().iter().map(|order| {
            let mode = match order.mode {
                Mode::TrainFailure => Some(StationMode::TrainFailure),
                Mode::EmergencyRelease => Some(StationMode::EmergencyRelease),
                Mode::Normal | Mode::Closed | Mode::Degraded | Mode::Test => None,
            };
            (mode, order.from)
        });
        let history = ModeHistory::of_orders(&operator, orders);
        match &mut self.work {
            Work::Sells(_, seller) => seller.learn(&history),
            Work::Desk(_, desk) => desk.learn(&history),
            _ => {}
        }
    }
}
