//! One question, answered with its reasons.

use serde::Serialize;

use super::{
    Feed,
    ask::{Ask, AskError, cut_off},
    money::Currency,
    ride::{Payment, Ride, Run},
    timeframes::When,
    v2_match::Payer,
};
use crate::clock;

/// The cheapest price and how it comes about: the steps add up to the amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedQuote {
    /// Price in minor units.
    pub amount_minor: i64,
    /// The same in decimals.
    pub amount: String,
    /// ISO 4217 code.
    pub currency: Currency,
    /// Rider category; empty where the feed has none.
    pub rider: String,
    /// Fare medium; empty where the feed does not say.
    pub media: String,
    /// The rides.
    pub rides: Vec<QuotedRide>,
    /// What each rule charges.
    pub steps: Vec<QuotedStep>,
    /// What the rides would cost each for itself.
    pub separate_minor: i64,
    /// What the steps took off: concessions, transfers, discounts.
    pub saved_minor: i64,
    /// How many ways to travel and pay were compared.
    pub compared: usize,
    /// What the price does not take into account.
    pub notes: Vec<String>,
}

/// One ride of a quote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuotedRide {
    /// `stop_id`.
    pub from: String,
    /// Name of the stop.
    pub from_name: String,
    /// `stop_id`.
    pub to: String,
    /// Name of the stop.
    pub to_name: String,
    /// `route_id`; `None` where no trip of the feed runs it.
    pub route: Option<String>,
    /// The route's or network's name.
    pub on: String,
}

/// One charge of a quote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuotedStep {
    /// File of the rule; `tariff id/rule` for a rule beyond GTFS.
    pub file: String,
    /// Line of the rule; `None` for a rule beyond GTFS.
    pub line: Option<u64>,
    /// `fare_product_id`, or `fare_id` in V1; empty for a transfer that costs nothing.
    pub product: String,
    /// What it adds (or takes off), minor units.
    pub amount_minor: i64,
    /// The reason.
    pub why: String,
}

/// A way to travel, the medium it is paid with, and the payment.
struct Way<'a> {
    rides: &'a [Ride],
    media: Option<&'a str>,
    payment: Payment,
}

/// What steps took off. Of a discount larger than the fare only the fare counts: nothing is paid out.
pub(super) fn saved(steps: &[QuotedStep], amount_minor: i64) -> i64 {
    let charged: i64 = steps.iter().map(|step| step.amount_minor.max(0)).sum();
    charged - amount_minor
}

impl Feed {
    /// The cheapest legal price among all journeys that answer the question: at equal price fewer
    /// rides, then the rule that stands first. Currencies cannot be compared; the one that the feed
    /// uses first goes before the others.
    pub fn quote(&self, ask: &Ask<'_>) -> Result<FeedQuote, AskError> {
        if let Some(tariffs) = &self.tariffs {
            return self.quote_city(tariffs, ask);
        }
        let places = self.places(ask)?;
        let route = ask.route.map(|id| self.route(id)).transpose()?;
        let rider = self.rider(ask.rider)?;
        let media = self.medium(ask.media)?;
        let exact = ask.at.map(|at| {
            let (h, m, s) = at.clock();
            let second = u32::from(h) * 3600 + u32::from(m) * 60 + u32::from(s);
            [When::At(clock::days(at.date()), second)]
        });
        let times = exact.as_ref().map_or(&*self.states, |at| at);
        let ways = self.ways(&places, route);
        let mut best: Option<Way<'_>> = None;
        let mut compared = 0;
        for rides in &ways.journeys {
            for media in &media {
                let payer = Payer {
                    rider,
                    media: *media,
                };
                for payment in times
                    .iter()
                    .flat_map(|when| self.payments(rides, when, payer))
                {
                    compared += 1;
                    let way = Way {
                        rides,
                        media: *media,
                        payment,
                    };
                    if best
                        .as_ref()
                        .is_none_or(|kept| self.rank(&way) < self.rank(kept))
                    {
                        best = Some(way);
                    }
                }
            }
        }
        let best = best.ok_or(AskError::NoFare(ways.journeys.len(), ways.cut))?;
        let mut quote = self.explain(ask, best, rider, compared);
        quote.notes.extend(ways.cut.then(cut_off));
        Ok(quote)
    }

    fn rank(&self, way: &Way<'_>) -> (Option<usize>, i64, usize, Option<u64>) {
        let currency = |c: &Currency| *c == way.payment.currency;
        let first = way.payment.charges.first();
        (
            self.currencies().iter().position(currency),
            way.payment.total(),
            way.rides.len(),
            first.map(|charge| charge.line),
        )
    }

    fn explain(
        &self,
        ask: &Ask<'_>,
        way: Way<'_>,
        rider: Option<&str>,
        compared: usize,
    ) -> FeedQuote {
        let Payment {
            currency,
            ref charges,
            separate,
        } = way.payment;
        let total = way.payment.total();
        let quoted = charges.iter().map(|charge| QuotedStep {
            file: charge.file.to_owned(),
            line: Some(charge.line),
            product: charge.product.to_string(),
            amount_minor: charge.minor,
            why: charge.why.clone(),
        });
        let steps: Vec<QuotedStep> = quoted.collect();
        let mut notes = Vec::new();
        if way
            .rides
            .iter()
            .any(|ride| ride.zones.is_none() && !self.is_timetabled(ride))
        {
            notes.push(
                "no trip of the feed runs here in one ride; priced by the rules alone".into(),
            );
        }
        if ask.at.is_none() && self.states.len() > 1 {
            notes.push("at the cheapest time; give --at for a time of your own".into());
        }
        if ask.age.is_some() {
            notes.push("the feed has no rule by age; give --rider instead of --age".into());
        }
        if way.rides.len() > 1 {
            notes
                .push("time limits of transfers are held against riding time without waits".into());
        }
        FeedQuote {
            amount_minor: total,
            amount: currency.decimal(total),
            currency,
            rider: rider.unwrap_or_default().to_owned(),
            media: way.media.unwrap_or_default().to_owned(),
            rides: self.quoted_rides(way.rides),
            saved_minor: saved(&steps, total),
            steps,
            separate_minor: separate,
            compared,
            notes,
        }
    }

    pub(super) fn quoted_rides(&self, rides: &[Ride]) -> Vec<QuotedRide> {
        let stop = |ix: u32| &self.network.stops[ix as usize];
        let quoted = rides.iter().map(|ride| {
            let (route, on) = match &ride.run {
                Run::Route(ix) => {
                    let route = &self.network.routes[*ix as usize];
                    (Some(route.id.to_string()), route.name.to_string())
                }
                Run::Network(id) => (None, format!("network {id}")),
                Run::Any => (None, String::new()),
            };
            QuotedRide {
                from: stop(ride.from).id.to_string(),
                from_name: stop(ride.from).name.to_string(),
                to: stop(ride.to).id.to_string(),
                to_name: stop(ride.to).name.to_string(),
                route,
                on,
            }
        });
        quoted.collect()
    }

    fn is_timetabled(&self, ride: &Ride) -> bool {
        match ride.run {
            Run::Route(ix) => self.network.routes[ix as usize].timetabled,
            Run::Network(_) | Run::Any => false,
        }
    }
}
