//! Re-rating: the back office prices the sale again from the record's facts, with the registered
//! card kind and the registered person's age, by the same fare engine.

use super::checks::holder_age;
use crate::store::Facts;
use crate::tariffs::Terms;
use card_spec::{
    Fen,
    purse::files::{CardKind, Journey},
};
use clearing_api::record::{Purchase, Service};
use fare::{
    Area, BusRide, CarParkStay, CityCode, DeskAdvice, DeskVisit, ExitDecision, FareState,
    MeterStay, MetroExit, ModeHistory, OperatorId, PassOrder, Passage, PriorLeg, Ridden, Rider,
    Tariffs, TaxiTrip, VehicleClass,
};

/// What re-rating found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rated {
    /// The same price.
    Same,
    /// Another price, or none that can be computed: paid, and queried.
    Queried(String),
    /// Above what any service of this mode can cost: quarantined.
    Implausible(String),
}

/// Highest price of one sale by mode; beyond it a record is wrong, not dear.
const fn maximum(service: &Service) -> Fen {
    match service {
        Service::Bus { .. }
        | Service::MetroEntry { .. }
        | Service::MetroExit { .. }
        | Service::MetroDesk { .. } => Fen::yuan(50),
        // The goods are not known here; the till's limit is.
        Service::Retail { .. } => Fen::yuan(1_000),
        Service::ParkingMeter { .. } | Service::CarPark { .. } | Service::Pass { .. } => {
            Fen::yuan(500)
        }
        Service::Taxi { .. } => Fen::yuan(2_000),
    }
}

/// Prices a purchase again.
pub(crate) fn rate(terms: Terms<'_>, purchase: &Purchase, facts: &Facts) -> Rated {
    let maximum = maximum(&purchase.service);
    if purchase.amount > maximum {
        return Rated::Implausible(format!(
            "{} is above the maximum of {maximum}",
            purchase.amount
        ));
    }
    let modes = terms.modes(&OperatorId::from(purchase.service.operator()));
    let doubt = |tariffs| match quote(tariffs, &modes, purchase, facts) {
        Ok(price) if price == purchase.amount => None,
        Ok(price) => Some(format!("charged {}, the fare is {price}", purchase.amount)),
        Err(why) => Some(format!("cannot be priced: {why}")),
    };
    match doubt(terms.in_force) {
        Some(why) if terms.before.is_none_or(|before| doubt(before).is_some()) => {
            Rated::Queried(why)
        }
        _ => Rated::Same,
    }
}

/// The rider as registered. The age enters only where the terminal knew one: a card whose holder
/// file it may not read is priced by its kind alone, there and here.
fn rider(purchase: &Purchase, facts: &Facts, age: Option<u8>) -> Rider {
    let pan = purchase.card.pan;
    let kind = facts.cards.get(&pan).map(|card| card.kind);
    Rider {
        kind: kind.unwrap_or(card_spec::purse::files::CardKind::Normal),
        age: age.and_then(|_| holder_age(facts, pan, purchase.time)),
    }
}

/// The open transfer window: of the journey record that the terminal read, or of the fare state.
fn prior_leg(prior: Option<&String>, state: Option<&String>) -> Option<PriorLeg> {
    let Some(prior) = prior else {
        return fare_state(state)?.prior();
    };
    let mut bytes = [0; Journey::LEN];
    hex::decode_to_slice(prior, &mut bytes).ok()?;
    PriorLeg::from_journey(&Journey::from_bytes(&bytes).ok()?)
}

fn fare_state(state: Option<&String>) -> Option<FareState> {
    let mut bytes = [0; FareState::LEN];
    hex::decode_to_slice(state?, &mut bytes).ok()?;
    FareState::from_bytes(&bytes)
}

fn vehicle_class(text: &str) -> Result<VehicleClass, String> {
    serde_json::from_value(serde_json::Value::String(text.to_ascii_lowercase()))
        .map_err(|why| why.to_string())
}

fn quote(
    tariffs: &Tariffs,
    modes: &ModeHistory,
    purchase: &Purchase,
    facts: &Facts,
) -> Result<Fen, String> {
    let at = purchase.time;
    let id = |text: &String| OperatorId::from(text.as_str());
    let quote = match &purchase.service {
        Service::Bus {
            operator,
            route,
            sections,
            prior,
            state,
            age,
            kind: _,
            companion,
        } => tariffs.quote_bus(&BusRide {
            operator: id(operator),
            route: route.as_str().into(),
            ridden: sections.map_or(Ridden::Unknown, Ridden::Sections),
            at,
            rider: match companion {
                true => Rider::of_kind(CardKind::Normal),
                false => rider(purchase, facts, *age),
            },
            prior: prior_leg(prior.as_ref(), state.as_ref()),
            state: fare_state(state.as_ref()),
        }),
        Service::MetroEntry { .. } => return Ok(Fen::ZERO),
        Service::Retail { .. } => return Ok(purchase.amount),
        Service::Pass {
            city,
            pass,
            from,
            state,
            age,
            ..
        } => {
            let city = CityCode::from(*city);
            let order = PassOrder {
                city,
                pass: pass.clone(),
                rider: rider(purchase, facts, *age),
                at,
                from: *from,
                state: fare_state(Some(state)).unwrap_or(FareState::new(city)),
            };
            tariffs.quote_pass(&order).map(|sale| sale.quote)
        }
        Service::MetroDesk {
            operator,
            desk,
            paid_area,
            entry,
            named,
            prior,
            state,
            age,
            kind: _,
        } => {
            let passage = match entry {
                Some((stop, at)) => Passage::Inside {
                    stop: stop.as_str().into(),
                    at: *at,
                    maximum: Fen::ZERO,
                },
                None => Passage::Outside { left: None },
            };
            let visit = DeskVisit {
                exit: MetroExit {
                    operator: id(operator),
                    stop: desk.as_str().into(),
                    at,
                    rider: rider(purchase, facts, *age),
                    prior: prior_leg(prior.as_ref(), state.as_ref()),
                    state: fare_state(state.as_ref()),
                },
                area: if *paid_area { Area::Paid } else { Area::Unpaid },
                named: named.as_deref().map(Into::into),
            };
            match tariffs.desk(&visit, &passage, modes) {
                Ok(DeskAdvice::CloseJourney { quote }) => Ok(*quote),
                Ok(DeskAdvice::WriteEntry { .. } | DeskAdvice::UseTheGate) => return Ok(Fen::ZERO),
                Err(why) => Err(why),
            }
        }
        Service::MetroExit {
            operator,
            from,
            to,
            entered,
            prior,
            state,
            age,
            kind: _,
        } => {
            let exit = MetroExit {
                operator: id(operator),
                stop: to.as_str().into(),
                at,
                rider: rider(purchase, facts, *age),
                prior: prior_leg(prior.as_ref(), state.as_ref()),
                state: fare_state(state.as_ref()),
            };
            // A gate writes its own name and time for an entry that nobody knows.
            let passage = match from == to && *entered == at {
                true => Passage::Outside { left: None },
                false => Passage::Inside {
                    stop: from.as_str().into(),
                    at: *entered,
                    maximum: Fen::ZERO,
                },
            };
            match tariffs.decide_exit(&exit, &passage, modes) {
                Ok(ExitDecision::Leave { quote, .. }) => Ok(*quote),
                Ok(ExitDecision::OpenWritesNothing | ExitDecision::Refuse { .. }) => {
                    return Err("the gate would not have sold this exit".to_owned());
                }
                Err(why) => Err(why),
            }
        }
        Service::Taxi {
            operator,
            vehicle: _,
            metres,
            waiting_seconds,
            started,
        } => tariffs.quote_taxi(&TaxiTrip {
            operator: id(operator),
            metres: *metres,
            low_speed_seconds: *waiting_seconds,
            started_at: *started,
            ended_at: at,
        }),
        Service::ParkingMeter {
            operator,
            class,
            vehicle,
            from,
        } => tariffs.quote_meter(&MeterStay {
            operator: id(operator),
            class: class.as_str().into(),
            vehicle: vehicle_class(vehicle)?,
            from: *from,
            to: at,
            permit: None,
        }),
        Service::CarPark {
            operator,
            park,
            vehicle,
            from,
        } => tariffs.quote_car_park(&CarParkStay {
            operator: id(operator),
            park: park.as_str().into(),
            vehicle: vehicle_class(vehicle)?,
            entered_at: *from,
            exited_at: at,
            permit: None,
        }),
    };
    quote
        .map(|quote| quote.amount)
        .map_err(|why| why.to_string())
}
