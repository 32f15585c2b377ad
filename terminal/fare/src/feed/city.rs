//! A city's folder: a feed in `gtfs/` and, beside it, what GTFS lacks in TOML (docs/fares.md, Rules
//! beyond GTFS). Its journeys are priced as terminals price them: gated networks by distance or
//! zones from gate to gate, buses by section or flat, then concessions and transfers; a rider
//! category is a card kind. What a card carries (caps, passes) is not part of the question.

use card_spec::{purse::files::CardKind, time::CardTime};

use super::{
    Feed,
    ask::{Ask, AskError, cut_off, unknown},
    money::Currency,
    network::StopIx,
    notes,
    quote::{FeedQuote, QuotedStep, saved},
    ride::{Ride, Run},
};
use crate::{
    BusRide, MetroRide, OperatorId, OperatorKind, PriorLeg, Quote, Ridden, Rider, RouteId, StopId,
    Tariffs, clock,
};

/// The names of docs/fares.md.
const KINDS: [(&str, CardKind); 6] = [
    ("normal", CardKind::Normal),
    ("student", CardKind::Student),
    ("elderly", CardKind::Elderly),
    ("test", CardKind::Test),
    ("military", CardKind::Military),
    ("disabled", CardKind::Disabled),
];

/// Without a time: every hour of a Wednesday and a Sunday, seconds since 1970-01-01.
fn hours() -> impl Iterator<Item = CardTime> {
    /// 2026-03-04 and 2026-03-08: no holiday, no weekend worked in exchange.
    const DAYS: [i64; 2] = [20_516, 20_520];
    DAYS.into_iter()
        .flat_map(|day| (0..24).map(move |hour| day * 86_400 + hour * 3600))
        .filter_map(clock::time)
}

/// One tap or one way from gate to gate.
struct Leg<'a> {
    rides: &'a [Ride],
    operator: OperatorId,
    gated: bool,
}

/// A journey as priced.
struct Priced<'a> {
    rides: &'a [Ride],
    at: CardTime,
    quotes: Vec<Quote>,
}

impl Priced<'_> {
    fn total(&self) -> i64 {
        self.quotes.iter().map(|quote| quote.amount.0).sum()
    }
}

impl Feed {
    /// Card kinds by name, for a feed with tariffs beside it.
    pub(super) fn kinds() -> impl Iterator<Item = (&'static str, CardKind)> {
        KINDS
            .into_iter()
            .filter(|(_, kind)| *kind != CardKind::Test)
    }

    pub(super) fn quote_city(
        &self,
        tariffs: &Tariffs,
        ask: &Ask<'_>,
    ) -> Result<FeedQuote, AskError> {
        let places = self.places(ask)?;
        let route = ask.route.map(|id| self.route(id)).transpose()?;
        if let Some(media) = ask.media {
            return Err(unknown("fare medium", media, std::iter::empty()));
        }
        let name = ask.rider.unwrap_or("normal");
        let kind = KINDS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| *kind);
        let names = KINDS.iter().map(|(name, _)| (*name, ""));
        let kind = kind.ok_or_else(|| unknown("rider category", name, names))?;
        let mut ways = self.ways(&places, route);
        if let ([from, to], None) = (&places[..], route) {
            // A gated network joins any two of its stations, however often one changes inside.
            ways.journeys.push(vec![Ride {
                run: Run::Any,
                from: *from,
                to: *to,
                zones: None,
                seconds: 0,
            }]);
        }
        let (mut best, mut compared): (Option<Priced<'_>>, _) = (None, 0);
        for rides in &ways.journeys {
            let Some(legs) = self.legs(tariffs, rides) else {
                continue;
            };
            let times: Vec<CardTime> = ask.at.map_or_else(|| hours().collect(), |at| vec![at]);
            for at in times {
                let rider = Rider { kind, age: ask.age };
                let Some(quotes) = self.price_city(tariffs, &legs, rider, at) else {
                    continue;
                };
                let priced = Priced { rides, at, quotes };
                compared += 1;
                let rank = |p: &Priced<'_>| (p.total(), p.quotes.len(), p.rides.len());
                if best.as_ref().is_none_or(|kept| rank(&priced) < rank(kept)) {
                    best = Some(priced);
                }
            }
        }
        let Some(best) = best else {
            // The gated ride that was added above is no trip of the feed's.
            return Err(
                match ways
                    .journeys
                    .iter()
                    .flatten()
                    .any(|ride| ride.run != Run::Any)
                {
                    true => AskError::NoFare(ways.journeys.len(), ways.cut),
                    false => AskError::NoWay(ask.from.to_owned(), ask.to.to_owned()),
                },
            );
        };
        let mut quote = self.explain_city(&best, name, compared);
        quote.notes = notes::of(tariffs, &best.quotes, best.at, ask);
        quote.notes.extend(ways.cut.then(cut_off));
        Ok(quote)
    }

    /// Prices legs that begin at `at`, one by one; `None` where a leg has no tariff.
    fn price_city(
        &self,
        tariffs: &Tariffs,
        legs: &[Leg<'_>],
        rider: Rider,
        at: CardTime,
    ) -> Option<Vec<Quote>> {
        let (mut clock, mut prior) = (clock::seconds(at), None::<PriorLeg>);
        let mut quotes = Vec::new();
        for leg in legs {
            let (from, to) = (leg.rides.first()?.from, leg.rides.last()?.to);
            if let Some(before) = &prior {
                // Who would come too early for the city's transfer waits for it.
                clock = clock.max(self.earliest(tariffs, leg, before)?);
            }
            let starts = clock::time(clock)?;
            clock += leg
                .rides
                .iter()
                .map(|ride| i64::from(ride.seconds))
                .sum::<i64>();
            let ends = clock::time(clock)?;
            let id = |stop: StopIx| Some(StopId::from(&*self.network.stops.get(stop as usize)?.id));
            let (quote, recorded) = if leg.gated {
                let ride = MetroRide {
                    operator: leg.operator.clone(),
                    from_stop: id(from)?,
                    to_stop: id(to)?,
                    entered_at: starts,
                    exited_at: ends,
                    rider,
                    prior,
                    state: None,
                };
                (tariffs.quote_metro(&ride).ok()?, ends)
            } else {
                let Run::Route(route) = leg.rides.first()?.run else {
                    return None;
                };
                let ride = BusRide {
                    operator: leg.operator.clone(),
                    route: RouteId::from(&*self.network.routes.get(route as usize)?.id),
                    ridden: Ridden::Between {
                        from: id(from)?,
                        to: id(to)?,
                    },
                    at: starts,
                    rider,
                    prior,
                    state: None,
                };
                (tariffs.quote_bus(&ride).ok()?, starts)
            };
            let city = tariffs.operator(&leg.operator)?.city.into();
            prior = quote.leg.window.map(|window| PriorLeg {
                class: window.class,
                city,
                at: recorded,
                age_seconds: window.age_seconds,
            });
            quotes.push(quote);
        }
        Some(quotes)
    }

    /// When a leg may begin at the earliest for a transfer after `before`, seconds since 1970-01-01.
    fn earliest(&self, tariffs: &Tariffs, leg: &Leg<'_>, before: &PriorLeg) -> Option<i64> {
        let city = tariffs.operator(&leg.operator)?.city.into();
        let gap = tariffs.rules(city).transfers.map(|t| t.min_gap_seconds);
        let opened = clock::seconds(before.at) - i64::from(before.age_seconds);
        Some(opened + gap.unwrap_or(0))
    }

    /// Cuts rides where a card is tapped: at every bus, and at the gates of a network.
    fn legs<'a>(&self, tariffs: &Tariffs, rides: &'a [Ride]) -> Option<Vec<Leg<'a>>> {
        let of = |ride: &Ride| -> Option<(OperatorId, bool)> {
            let Run::Route(route) = ride.run else {
                return self.gates(tariffs, ride).map(|operator| (operator, true));
            };
            let agency = self.network.routes.get(route as usize)?.agency.as_deref()?;
            let operator = tariffs.operator(&OperatorId::from(agency))?;
            let gated = matches!(operator.kind, OperatorKind::Metro | OperatorKind::Brt);
            Some((operator.id.clone(), gated))
        };
        rides
            .chunk_by(|a, b| match (of(a), of(b)) {
                (Some((a, true)), Some((b, true))) => a == b,
                _ => false,
            })
            .map(|rides| {
                let (operator, gated) = of(rides.first()?)?;
                Some(Leg {
                    rides,
                    operator,
                    gated,
                })
            })
            .collect()
    }

    /// The gated network that has both ends of a ride.
    fn gates(&self, tariffs: &Tariffs, ride: &Ride) -> Option<OperatorId> {
        let id = |ix: StopIx| self.network.stops.get(ix as usize).map(|stop| &*stop.id);
        let (from, to) = (id(ride.from)?, id(ride.to)?);
        tariffs
            .operators()
            .filter(|operator| self.network.agencies.contains(operator.id.as_str()))
            .find(|operator| {
                let stations = tariffs.stations(&operator.id);
                let has = |id: &str| stations.iter().any(|stop| stop.id.as_str() == id);
                has(from) && has(to)
            })
            .map(|operator| operator.id.clone())
    }

    fn explain_city(&self, best: &Priced<'_>, rider: &str, compared: usize) -> FeedQuote {
        let total = best.total();
        let quoted = best.quotes.iter().flat_map(|quote| {
            quote.steps.iter().map(|step| QuotedStep {
                file: step.rule.clone(),
                line: None,
                product: quote.tariff.id.to_string(),
                amount_minor: step.delta.0,
                why: format!("{} {}", step.zh, step.en),
            })
        });
        let steps: Vec<QuotedStep> = quoted.collect();
        FeedQuote {
            amount_minor: total,
            amount: Currency::CNY.decimal(total),
            currency: Currency::CNY,
            rider: rider.to_owned(),
            media: String::new(),
            rides: self.quoted_rides(best.rides),
            saved_minor: saved(&steps, total),
            steps,
            separate_minor: best.quotes.iter().map(|quote| quote.base.0).sum(),
            compared,
            notes: Vec::new(),
        }
    }

    /// The cheapest of rides that are one leg each, at any time: price and tariff.
    pub(super) fn cheapest_leg(
        &self,
        tariffs: &Tariffs,
        rides: &[Ride],
        kind: CardKind,
    ) -> Option<(i64, Box<str>)> {
        let mut best: Option<(i64, Box<str>)> = None;
        for ride in rides {
            let Some(legs) = self.legs(tariffs, std::slice::from_ref(ride)) else {
                continue;
            };
            for at in hours() {
                let quotes = self.price_city(tariffs, &legs, Rider::of_kind(kind), at);
                let Some([quote]) = quotes.as_deref() else {
                    continue;
                };
                if best
                    .as_ref()
                    .is_none_or(|(least, _)| quote.amount.0 < *least)
                {
                    best = Some((quote.amount.0, quote.tariff.id.as_str().into()));
                }
            }
        }
        best
    }
}
