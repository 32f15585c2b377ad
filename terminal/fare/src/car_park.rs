//! Car parks (停车场): free minutes, a first block, then day and night units, a cap every 24 hours.

use std::collections::BTreeMap;

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    LegMark, OperatorId, ParkId, Permit, Quote, QuoteError, TariffRef, Tariffs, VehicleClass,
    clock::{DAY, DailyWindow},
    permit::{ParkedStay, Permits},
    problems::Problems,
    quote::Bill,
    schema::{CarParkFile, Park, VehicleFactors},
};

/// A stay in a car park.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarParkStay {
    /// Who runs it.
    pub operator: OperatorId,
    /// Which one.
    pub park: ParkId,
    /// Class of the vehicle.
    pub vehicle: VehicleClass,
    /// In through the barrier.
    pub entered_at: CardTime,
    /// Out, or at the pay station.
    pub exited_at: CardTime,
    /// The vehicle's permit, where it has one.
    #[serde(default)]
    pub permit: Option<Permit>,
}

/// The tariff of an operator's car parks.
#[derive(Debug)]
pub(crate) struct CarParkTariff {
    pub(crate) tariff: TariffRef,
    day: DailyWindow,
    vehicle: VehicleFactors,
    pub(crate) parks: BTreeMap<ParkId, Park>,
    pub(crate) permits: Permits,
}

/// What the units of a stay came to.
#[derive(Default)]
struct Units {
    day: i64,
    night: i64,
    /// Taken off by the caps.
    capped: i64,
}

impl Units {
    /// With the first block, for a small car, fen.
    const fn total(&self, park: &Park) -> i64 {
        park.first.fare.0.0
            + self.day * park.day_unit_fare.0.0
            + self.night * park.night_unit_fare.0.0
            - self.capped
    }
}

impl CarParkTariff {
    pub(crate) fn new(problems: &mut Problems<'_>, raw: CarParkFile) -> Self {
        let mut parks = BTreeMap::new();
        for park in raw.park {
            let field = format!("park `{}`", park.id);
            if park.unit_minutes == 0 {
                problems.add(format!("{field}, unit_minutes"), "must be above zero");
            }
            if park.first.minutes < park.free_minutes {
                let problem = "minutes must not be below free_minutes";
                problems.add(format!("{field}, first"), problem);
            }
            if parks.insert(park.id.clone(), park).is_some() {
                problems.add(field, "appears twice");
            }
        }
        Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            day: raw.day,
            vehicle: raw.vehicle,
            parks,
            permits: Permits::new(problems, raw.permit),
        }
    }

    pub(crate) fn parks(&self) -> impl Iterator<Item = &ParkId> {
        self.parks.keys()
    }

    pub(crate) fn quote(&self, stay: &CarParkStay) -> Result<Quote, QuoteError> {
        let park = self
            .parks
            .get(&stay.park)
            .ok_or_else(|| QuoteError::Park(stay.park.clone()))?;
        let factor = self.vehicle.of(stay.vehicle)?;
        let (from, to) = Tariffs::bounded_stay(stay.entered_at, stay.exited_at)?;
        let mut bill = Bill::new();
        let id = &self.tariff.id;
        if to - from <= i64::from(park.free_minutes) * 60 {
            bill.add(
                id,
                "free-minutes",
                format!("{}{}分钟内免费", park.zh, park.free_minutes),
                format!("{}, free within {} min", park.en, park.free_minutes),
                Fen::ZERO,
            );
            return Ok(bill.quote(
                Fen::ZERO,
                self.tariff.clone(),
                Vec::new(),
                LegMark::default(),
            ));
        }
        let units = self.units(park, from, to);
        let first = Fen(park.first.fare.0.0 * factor);
        bill.add(
            id,
            &format!("first/{}", park.class),
            format!("{}前{}分钟{first}元", park.zh, park.first.minutes),
            format!("{}, first {} min: {first}", park.en, park.first.minutes),
            first,
        );
        for (rule, zh, en, count, fare) in [
            ("day-units", "日间", "day", units.day, park.day_unit_fare.0),
            (
                "night-units",
                "夜间",
                "night",
                units.night,
                park.night_unit_fare.0,
            ),
        ] {
            let fare = Fen(fare.0 * factor);
            if count > 0 {
                bill.add(
                    id,
                    rule,
                    format!("{zh}{count}×{}分钟，每次{fare}元", park.unit_minutes),
                    format!("{en}, {count} x {} min at {fare}", park.unit_minutes),
                    Fen(count * fare.0),
                );
            }
        }
        let base = bill.total();
        if units.capped > 0 {
            let cap = Fen(park.cap_24h.map_or(0, |c| c.0.0) * factor);
            bill.add(
                id,
                "cap-24h",
                format!("24小时封顶{cap}元"),
                format!("cap of {cap} in 24 hours"),
                Fen(-units.capped * factor),
            );
        }
        let parked = ParkedStay {
            permit: stay.permit.as_ref(),
            vehicle: stay.vehicle,
            place: stay.park.as_str(),
            from,
            to,
        };
        self.permits
            .take_off(&self.tariff, parked, &mut bill, |from, to| {
                if to - from <= i64::from(park.free_minutes) * 60 {
                    return Fen::ZERO;
                }
                Fen(self.units(park, from, to).total(park) * factor)
            })?;
        Ok(bill.quote(base, self.tariff.clone(), Vec::new(), LegMark::default()))
    }

    /// Counts the units after the first block. Each is charged whole, at the rate of the period it
    /// begins in, and belongs to the 24 hours it begins in. At most one step a minute of a bounded
    /// stay.
    fn units(&self, park: &Park, from: i64, to: i64) -> Units {
        let mut units = Units::default();
        let mut period_sum = park.first.fare.0.0;
        let mut period_end = from + DAY;
        let over = |sum: i64| park.cap_24h.map_or(0, |cap| (sum - cap.0.0).max(0));
        let mut start = from + i64::from(park.first.minutes) * 60;
        while start < to {
            if start >= period_end {
                units.capped += over(period_sum);
                period_sum = 0;
                period_end += DAY;
                continue;
            }
            period_sum += if self.day.holds(start) {
                units.day += 1;
                park.day_unit_fare.0.0
            } else {
                units.night += 1;
                park.night_unit_fare.0.0
            };
            start += i64::from(park.unit_minutes) * 60;
        }
        units.capped += over(period_sum);
        units
    }
}
