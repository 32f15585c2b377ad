//! Taxi: flag fare, distance, empty return, low speed, night.

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    LegMark, OperatorId, Quote, QuoteError, TariffRef,
    clock::{self, DailyWindow},
    problems::Problems,
    quote::Bill,
    schema::{FlagFare, Reading, TaxiFile},
};

/// A metered trip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxiTrip {
    /// Whose tariff.
    pub operator: OperatorId,
    /// Metered distance, metres.
    pub metres: u32,
    /// Time below the tariff's low-speed threshold or waiting, seconds, as the meter counted it.
    pub low_speed_seconds: u32,
    /// Flag down.
    pub started_at: CardTime,
    /// Flag up.
    pub ended_at: CardTime,
}

/// A taxi tariff.
#[derive(Debug)]
pub(crate) struct TaxiTariff {
    tariff: TariffRef,
    flag: FlagFare,
    unit: FlagFare,
    empty_return_beyond_m: u32,
    empty_return_percent: u8,
    night: DailyWindow,
    night_percent: u8,
    low_speed: Reading,
    below_kmh: u16,
}

impl TaxiTariff {
    pub(crate) fn new(problems: &mut Problems<'_>, raw: TaxiFile) -> Option<Self> {
        if raw.unit.metres == 0 {
            problems.add("unit.metres", "must be above zero");
        }
        if raw.empty_return.beyond_m < raw.flag.metres {
            let problem = "must not be below flag.metres";
            problems.add("empty_return.beyond_m", problem);
        }
        let chosen = raw.low_speed.chosen;
        let low_speed = raw
            .low_speed
            .reading
            .into_iter()
            .find(|reading| reading.id == chosen && reading.unit_seconds > 0);
        if low_speed.is_none() {
            let problem = format!("no reading `{chosen}` with unit_seconds above zero");
            problems.add("low_speed.chosen", problem);
        }
        Some(Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            flag: raw.flag,
            unit: raw.unit,
            empty_return_beyond_m: raw.empty_return.beyond_m,
            empty_return_percent: raw.empty_return.add_percent,
            night: DailyWindow {
                from: raw.night.from,
                to: raw.night.to,
            },
            night_percent: raw.night.add_percent,
            low_speed: low_speed?,
            below_kmh: raw.low_speed.below_kmh,
        })
    }

    pub(crate) const fn below_kmh(&self) -> u16 {
        self.below_kmh
    }

    /// Started units beyond a distance.
    fn units_beyond(&self, metres: u32, beyond: u32) -> i64 {
        metres
            .saturating_sub(beyond)
            .div_ceil(self.unit.metres)
            .into()
    }

    pub(crate) fn quote(&self, trip: &TaxiTrip) -> Result<Quote, QuoteError> {
        let started = clock::seconds(trip.started_at);
        if clock::seconds(trip.ended_at) < started {
            return Err(QuoteError::TimeOrder);
        }
        let mut bill = Bill::new();
        let id = &self.tariff.id;
        let flag = self.flag.fare.0;
        bill.add(
            id,
            "flag",
            format!("起步价（{}米内）{flag}元", self.flag.metres),
            format!("flag fare, first {} m: {flag}", self.flag.metres),
            flag,
        );
        let units = self.units_beyond(trip.metres, self.flag.metres);
        let unit_fare = self.unit.fare.0;
        if units > 0 {
            bill.add(
                id,
                "distance",
                format!("续程{units}×{}米，每程{unit_fare}元", self.unit.metres),
                format!("{units} x {} m at {unit_fare}", self.unit.metres),
                Fen(unit_fare.0 * units),
            );
        }
        let far = self.units_beyond(trip.metres, self.empty_return_beyond_m);
        if far > 0 {
            let percent = self.empty_return_percent;
            bill.add(
                id,
                "empty-return",
                format!(
                    "{}米以上{far}程加收空驶费{percent}%",
                    self.empty_return_beyond_m
                ),
                format!(
                    "empty return beyond {} m, {far} units, +{percent} %",
                    self.empty_return_beyond_m
                ),
                percent_of(Fen(unit_fare.0 * far), percent),
            );
        }
        let slow = i64::from(trip.low_speed_seconds / self.low_speed.unit_seconds);
        if slow > 0 {
            let (each, fare, source) = (
                self.low_speed.unit_seconds,
                self.low_speed.fare.0,
                &self.low_speed.source,
            );
            bill.add(
                id,
                &format!("low-speed/{}", self.low_speed.id),
                format!(
                    "低速（{}公里/时以下）{slow}×{each}秒，每次{fare}元（{source}）",
                    self.below_kmh
                ),
                format!(
                    "below {} km/h, {slow} x {each} s at {fare} ({source})",
                    self.below_kmh
                ),
                Fen(fare.0 * slow),
            );
        }
        let metered = bill.total();
        if self.night.holds(started) {
            let percent = self.night_percent;
            bill.add(
                id,
                "night",
                format!("夜间上车加收{percent}%"),
                format!("night trip, +{percent} %"),
                percent_of(metered, percent),
            );
        }
        let total = bill.total();
        Ok(bill.quote(total, self.tariff.clone(), Vec::new(), LegMark::default()))
    }
}

fn percent_of(amount: Fen, percent: u8) -> Fen {
    // Amounts are bounded by the meter's u32 and the file's limit: the ratio always fits.
    amount.ratio_half_up(percent.into(), 100).unwrap_or(amount)
}
