//! What a feed without errors lacks: an error where nothing can be priced.

use super::{
    findings::{Findings, Place},
    network::Network,
};
use crate::{OperatorId, Tariffs};

/// `fares`: whether a fare of either version is in the feed; a city's come from its tariffs.
pub(super) fn check(
    network: &Network,
    fares: bool,
    tariffs: Option<&Tariffs>,
    findings: &mut Findings,
) {
    if network.stops.iter().filter(|stop| stop.boardable).count() < 2 {
        let remedy = "add at least two stops with location_type 0: a fare is that of a ride";
        let problem = "names no two stops where riders board, so nothing can be priced";
        findings.error(Place::file("stops.txt"), problem, remedy);
    }
    if network.routes.is_empty() {
        let remedy = "add what runs; without it no fare of a route or network can be asked for";
        findings.warn(Place::file("routes.txt"), "names no route", remedy);
    }
    if network.patterns.is_empty() {
        let remedy = "add trips and their stop_times; without them rules alone price";
        findings.warn(Place::file("stop_times.txt"), "names no ride", remedy);
    }
    match tariffs {
        Some(tariffs) => {
            let priced = |agency: &str| !tariffs.routes(&OperatorId::from(agency)).is_empty();
            if !network.agencies.iter().any(|agency| priced(agency)) {
                let problem = "no bus.toml or metro.toml beside the feed prices any of its routes";
                let remedy = "add one, see docs/fares.md";
                findings.error(Place::file("agency.txt"), problem, remedy);
            }
        }
        None if !fares => {
            let problem = "no fare is in the feed, so nothing can be priced";
            let remedy = "add fare_attributes.txt, or fare_products.txt with fare_leg_rules.txt";
            findings.error(Place::file("fare_products.txt"), problem, remedy);
        }
        None => {}
    }
}
