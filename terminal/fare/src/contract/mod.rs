//! What a rider has bought or earned in a city: passes and caps, and the compact record that
//! carries them on the card.

mod cap;
mod pass;
mod record;
mod state;

use std::collections::BTreeSet;

use card_spec::id::RegionCode;
use serde::Deserialize;

use crate::{
    CityCode, LegClass, OperatorId, Provenance, RouteId, TariffId, TariffRef, Tariffs, ZoneId,
    clock::TimeOfDay, problems::Problems, schema::FileKind,
};

use cap::Cap;
use pass::Pass;
pub use pass::{PassOrder, PassSale};
pub use record::{FareStates, Travel, TravelError, TravelUpdate};
pub use state::{Counter, FareState, HeldPass};

/// A city's `kind = "contracts"` file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContractsFile {
    #[serde(rename = "kind")]
    _kind: FileKind,
    pub(crate) id: TariffId,
    pub(crate) city: RegionCode,
    provenance: Provenance,
    /// Local time at which a service day begins.
    day_begins: TimeOfDay,
    #[serde(default)]
    cap: Vec<Cap>,
    #[serde(default)]
    pass: Vec<Pass>,
}

/// Which legs a cap or a pass is for; an empty list means any.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scope {
    #[serde(default)]
    operators: Vec<OperatorId>,
    #[serde(default)]
    classes: Vec<LegClass>,
    #[serde(default)]
    routes: Vec<RouteId>,
    /// Both ends of the leg must lie in these zones.
    #[serde(default)]
    zones: Vec<ZoneId>,
}

/// A leg as a scope sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScopedLeg<'a> {
    pub(crate) operator: &'a OperatorId,
    pub(crate) class: LegClass,
    pub(crate) route: Option<&'a RouteId>,
    /// Zones of the two ends, where the tariff has zones.
    pub(crate) zones: Option<[&'a ZoneId; 2]>,
}

impl Scope {
    /// Every name must be one that a leg in the city can have; else nothing would ever count.
    fn check(&self, of: &str, city: CityCode, tariffs: &Tariffs, problems: &mut Problems<'_>) {
        let mut unknown = |key: &str, i: usize, id: &str, what: &str| {
            let problem = format!("`{id}` is no {what} of this city; correct or remove it");
            problems.add(format!("{of}, scope, {key}[{i}]"), problem);
        };
        for (i, id) in self.operators.iter().enumerate() {
            let fares = tariffs.bus.contains_key(id) || tariffs.metro.contains_key(id);
            if !fares
                || tariffs
                    .operator(id)
                    .is_none_or(|o| CityCode::from(o.city) != city)
            {
                unknown(
                    "operators",
                    i,
                    id.as_str(),
                    "operator with a bus or gate tariff",
                );
            }
        }
        // A leg between gates has no route: it may run over any of the network's lines.
        let buses = || tariffs.bus.values().filter(|bus| bus.city == city);
        for (i, id) in self.routes.iter().enumerate() {
            if !buses().any(|bus| bus.routes().any(|route| route.id == *id)) {
                unknown("routes", i, id.as_str(), "bus route");
            }
        }
        let gated = || tariffs.metro.values().filter(|metro| metro.city == city);
        for (i, id) in self.zones.iter().enumerate() {
            if !gated().any(|metro| metro.has_zone(id)) {
                unknown("zones", i, id.as_str(), "zone of a gate tariff");
            }
        }
    }

    fn covers(&self, leg: ScopedLeg<'_>) -> bool {
        let has = |empty: bool, found: bool| empty || found;
        has(
            self.operators.is_empty(),
            self.operators.contains(leg.operator),
        ) && has(self.classes.is_empty(), self.classes.contains(&leg.class))
            && has(
                self.routes.is_empty(),
                leg.route.is_some_and(|r| self.routes.contains(r)),
            )
            && has(
                self.zones.is_empty(),
                leg.zones
                    .is_some_and(|ends| ends.iter().all(|z| self.zones.contains(z))),
            )
    }
}

/// A city's passes and caps.
#[derive(Debug)]
pub(crate) struct Contracts {
    pub(crate) tariff: TariffRef,
    day_begins: i64,
    caps: Vec<Cap>,
    passes: Vec<Pass>,
}

impl Contracts {
    /// Holds the scopes against the city's tariffs.
    pub(crate) fn check_scopes(
        &self,
        city: CityCode,
        tariffs: &Tariffs,
        problems: &mut Problems<'_>,
    ) {
        for cap in &self.caps {
            (cap.scope).check(&format!("cap `{}`", cap.id), city, tariffs, problems);
        }
        for pass in &self.passes {
            (pass.scope).check(&format!("pass `{}`", pass.id), city, tariffs, problems);
        }
    }

    pub(crate) fn new(problems: &mut Problems<'_>, raw: ContractsFile) -> Self {
        for (i, cap) in raw.cap.iter().enumerate() {
            cap.check(problems, raw.cap.get(..i).unwrap_or_default());
        }
        let mut codes = BTreeSet::new();
        for pass in &raw.pass {
            pass.check(problems, &mut codes);
        }
        Self {
            tariff: TariffRef {
                id: raw.id,
                provenance: raw.provenance,
            },
            day_begins: raw.day_begins.0,
            caps: raw.cap,
            passes: raw.pass,
        }
    }
}
