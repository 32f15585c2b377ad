//! Car parks (停车场): free minutes, a first block, then day and night units, a cap every 24 hours.

use std::collections::BTreeMap;

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    FareError, LegMark, OperatorId, ParkId, Quote, QuoteError, TariffRef, Tariffs,
    clock::{DAY, DailyWindow},
    quote::Bill,
    schema::{CarParkFile, Park},
};

/// A stay in a car park.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarParkStay {
    /// Who runs it.
    pub operator: OperatorId,
    /// Which one.
    pub park: ParkId,
    /// In through the barrier.
    pub entered_at: CardTime,
    /// Out, or at the pay station.
    pub exited_at: CardTime,
}

/// The tariff of an operator's car parks.
#[derive(Debug)]
pub(crate) struct CarParkTariff {
    tariff: TariffRef,
    day: DailyWindow,
    parks: BTreeMap<ParkId, Park>,
}

/// What the units of a stay came to.
#[derive(Default)]
struct Units {
    day: i64,
    night: i64,
    /// Taken off by the caps.
    capped: i64,
}

impl CarParkTariff {
    pub(crate) fn new(file: &str, raw: CarParkFile) -> Result<Self, FareError> {
        let mut parks = BTreeMap::new();
        for park in raw.park {
            let field = format!("park `{}`", park.id);
            if park.unit_minutes == 0 || park.first.minutes < park.free_minutes {
                let problem =
                    "unit_minutes must be above zero, and first.minutes not below free_minutes";
                return Err(FareError::field(file, field, problem));
            }
            if parks.insert(park.id.clone(), park).is_some() {
                return Err(FareError::field(file, field, "appears twice"));
            }
        }
        Ok(Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            day: raw.day,
            parks,
        })
    }

    pub(crate) fn parks(&self) -> impl Iterator<Item = &ParkId> {
        self.parks.keys()
    }

    pub(crate) fn quote(&self, stay: &CarParkStay) -> Result<Quote, QuoteError> {
        let park = self
            .parks
            .get(&stay.park)
            .ok_or_else(|| QuoteError::Park(stay.park.clone()))?;
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
        bill.add(
            id,
            &format!("first/{}", park.class),
            format!(
                "{}前{}分钟{}元",
                park.zh, park.first.minutes, park.first.fare.0
            ),
            format!(
                "{}, first {} min: {}",
                park.en, park.first.minutes, park.first.fare.0
            ),
            park.first.fare.0,
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
            let cap = park.cap_24h.map(|c| c.0).unwrap_or_default();
            bill.add(
                id,
                "cap-24h",
                format!("24小时封顶{cap}元"),
                format!("cap of {cap} in 24 hours"),
                Fen(-units.capped),
            );
        }
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
