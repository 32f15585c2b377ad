//! Kerb-side parking (道路停车): units of paid time, a cap every 24 hours.

use std::collections::BTreeMap;

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    LegMark, OperatorId, Permit, Quote, QuoteError, TariffRef, Tariffs, ZoneClass,
    clock::{DAY, DailyWindow},
    permit::{ParkedStay, Permits},
    problems::Problems,
    quote::Bill,
    schema::{StreetClass, StreetParkingFile, VehicleFactors},
};

/// Vehicle classes of parking tariffs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VehicleClass {
    /// Small 小型车.
    Small,
    /// Medium 中型车.
    Medium,
    /// Large 大型车.
    Large,
}

/// A stay in a kerb-side space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterStay {
    /// Whose tariff.
    pub operator: OperatorId,
    /// Class of the space.
    pub class: ZoneClass,
    /// Class of the vehicle.
    pub vehicle: VehicleClass,
    /// Arrival.
    pub from: CardTime,
    /// Departure.
    pub to: CardTime,
    /// The vehicle's permit, where it has one.
    #[serde(default)]
    pub permit: Option<Permit>,
}

/// A kerb-side parking tariff.
#[derive(Debug)]
pub(crate) struct StreetParkingTariff {
    pub(crate) tariff: TariffRef,
    paid: DailyWindow,
    unit_seconds: i64,
    vehicle: VehicleFactors,
    pub(crate) classes: BTreeMap<ZoneClass, StreetClass>,
    pub(crate) permits: Permits,
}

impl StreetParkingTariff {
    pub(crate) fn new(problems: &mut Problems<'_>, raw: StreetParkingFile) -> Self {
        if raw.unit_minutes == 0 {
            problems.add("unit_minutes", "must be above zero");
        }
        let mut classes = BTreeMap::new();
        for class in raw.class {
            let id = class.id.clone();
            if classes.insert(id.clone(), class).is_some() {
                problems.add(format!("class `{id}`"), "appears twice");
            }
        }
        Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            paid: raw.paid,
            unit_seconds: i64::from(raw.unit_minutes) * 60,
            vehicle: raw.vehicle,
            classes,
            permits: Permits::new(problems, raw.permit),
        }
    }

    pub(crate) fn classes(&self) -> impl Iterator<Item = &ZoneClass> {
        self.classes.keys()
    }

    /// Started units of paid time, and what the caps take off them.
    fn count(&self, (from, to): (i64, i64), unit_fare: i64, cap: i64) -> (i64, i64) {
        let (mut units, mut capped) = (0, 0);
        let mut start = from;
        while start < to {
            let end = to.min(start + DAY);
            let started =
                (self.paid.overlap(start, end) + self.unit_seconds - 1) / self.unit_seconds;
            units += started;
            capped += (started * unit_fare - cap).max(0);
            start = end;
        }
        (units, capped)
    }

    pub(crate) fn quote(&self, stay: &MeterStay) -> Result<Quote, QuoteError> {
        let class = self
            .classes
            .get(&stay.class)
            .ok_or_else(|| QuoteError::Zone(stay.class.clone()))?;
        let factor = self.vehicle.of(stay.vehicle)?;
        let (from, to) = Tariffs::bounded_stay(stay.from, stay.to)?;
        let unit_fare = class.unit_fare.0.0 * factor;
        let cap = class.cap_24h.0.0 * factor;
        let (units, capped) = self.count((from, to), unit_fare, cap);
        let mut bill = Bill::new();
        let (id, minutes) = (&self.tariff.id, self.unit_seconds / 60);
        let base = Fen(units * unit_fare);
        bill.add(
            id,
            &format!("class-{}", class.id),
            format!(
                "{}类泊位{units}×{minutes}分钟，每次{}元",
                class.id,
                Fen(unit_fare)
            ),
            format!(
                "class {} space, {units} x {minutes} min at {}",
                class.id,
                Fen(unit_fare)
            ),
            base,
        );
        if capped > 0 {
            bill.add(
                id,
                "cap-24h",
                format!("24小时封顶{}元", Fen(cap)),
                format!("cap of {} in 24 hours", Fen(cap)),
                Fen(-capped),
            );
        }
        let parked = ParkedStay {
            permit: stay.permit.as_ref(),
            vehicle: stay.vehicle,
            place: stay.class.as_str(),
            from,
            to,
        };
        self.permits
            .take_off(&self.tariff, parked, &mut bill, |from, to| {
                let (units, capped) = self.count((from, to), unit_fare, cap);
                Fen(units * unit_fare - capped)
            })?;
        Ok(bill.quote(base, self.tariff.clone(), Vec::new(), LegMark::default()))
    }
}
