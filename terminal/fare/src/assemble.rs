//! From texts to a checked [`Tariffs`], with everything that is wrong in them.

use std::collections::{BTreeMap, BTreeSet};

use card_spec::id::RegionCode;
use serde::de::DeserializeOwned;

use crate::{
    CityCode, FareError, ModeHistory, OperatorId, OperatorKind, TariffId, Tariffs,
    bus::BusTariff,
    calendar::Calendar,
    car_park::CarParkTariff,
    contract::{Contracts, ContractsFile},
    gate::ModesFile,
    gtfs::Feed,
    load::{CALENDAR, OPERATORS, Texts, cities, missing, parsed},
    metro::MetroTariff,
    problems::Problems,
    schema::{self, FileKind, Head},
    street_parking::StreetParkingTariff,
    taxi::TaxiTariff,
    transfer::Transfers,
};

impl Tariffs {
    /// Builds the set from texts, keyed by their path inside the data folder.
    pub fn from_texts(texts: &Texts) -> Result<Self, FareError> {
        let (tariffs, errors) = Self::check(texts);
        match (tariffs, errors.into_iter().next()) {
            (Some(tariffs), None) => Ok(tariffs),
            (_, Some(first)) => Err(first),
            (None, None) => Err(missing(OPERATORS)),
        }
    }

    /// The set, and everything that is wrong; it is of use only where nothing is.
    pub(crate) fn check(texts: &Texts) -> (Option<Self>, Vec<FareError>) {
        let mut errors = Vec::new();
        let operators = operators(texts, &mut errors);
        let calendar = parsed(texts, CALENDAR, &mut errors, |problems, raw| {
            Calendar::new(problems, raw)
        });
        let (Some(operators), Some(calendar)) = (operators, calendar) else {
            return (None, errors);
        };
        let mut set = Set {
            tariffs: Self {
                operators,
                calendar,
                transfers: BTreeMap::new(),
                contracts: BTreeMap::new(),
                modes: ModeHistory::default(),
                stops: BTreeMap::new(),
                bus: BTreeMap::new(),
                metro: BTreeMap::new(),
                taxi: BTreeMap::new(),
                street_parking: BTreeMap::new(),
                car_park: BTreeMap::new(),
            },
            ids: BTreeSet::new(),
            home: None,
            contracts: None,
            modes: Vec::new(),
            errors,
        };
        for city in cities(texts) {
            set.city(texts, &city);
        }
        // With another error a station may be unknown because the file that has it is wrong.
        if set.errors.is_empty() {
            for (file, raw) in set.modes {
                let text = texts.get(file).map_or("", String::as_str);
                let mut problems = Problems::new(file, text, &mut set.errors);
                set.tariffs.take_modes(&mut problems, raw);
            }
        }
        (Some(set.tariffs), set.errors)
    }
}

fn operators(
    texts: &Texts,
    errors: &mut Vec<FareError>,
) -> Option<BTreeMap<OperatorId, crate::Operator>> {
    parsed(
        texts,
        OPERATORS,
        errors,
        |problems, file: schema::OperatorsFile| {
            let mut operators = BTreeMap::new();
            for operator in file.operator {
                let field = format!("operator `{}`", operator.id);
                if operators.insert(operator.id.clone(), operator).is_some() {
                    problems.add(field, "appears twice");
                }
            }
            operators
        },
    )
}

struct Set<'t> {
    tariffs: Tariffs,
    ids: BTreeSet<TariffId>,
    /// The city whose folder is read: its feed's, else its first file's.
    home: Option<CityCode>,
    /// Its contracts file.
    contracts: Option<String>,
    /// Checked when every network is there.
    modes: Vec<(&'t str, ModesFile)>,
    errors: Vec<FareError>,
}

impl<'t> Set<'t> {
    fn city(&mut self, texts: &'t Texts, dir: &str) {
        let before = self.errors.len();
        (self.home, self.contracts) = (None, None);
        let gtfs = format!("{dir}gtfs/");
        let feed = texts
            .keys()
            .any(|path| path.starts_with(&gtfs))
            .then(|| self.feed(texts, &gtfs));
        for (file, text) in texts {
            let is_tariff = file
                .strip_prefix(dir)
                .is_some_and(|name| name.ends_with(".toml") && !name.contains('/'));
            if is_tariff {
                self.tariff(file, text, feed.as_ref());
            }
        }
        // With another error a name may be unknown because the file that has it is wrong.
        if self.errors.len() == before
            && let (Some(city), Some(file)) = (self.home, &self.contracts)
            && let (Some(contracts), Some(text)) =
                (self.tariffs.contracts.get(&city), texts.get(file))
        {
            let mut problems = Problems::new(file, text, &mut self.errors);
            contracts.check_scopes(city, &self.tariffs, &mut problems);
        }
    }

    /// Reads a feed, checks its agencies and takes over its stops.
    fn feed(&mut self, texts: &Texts, dir: &str) -> Feed {
        let feed = Feed::read(texts, dir, &mut self.errors);
        let file = format!("{dir}agency.txt");
        for (id, line) in &feed.agencies {
            let problem = match self.tariffs.operators.get(id).map(|o| o.city.into()) {
                None => format!("`{id}` is not in operators.toml; add the operator"),
                Some(its) if *self.home.get_or_insert(its) != its => {
                    format!("`{id}` works in another city than the feed's other agencies")
                }
                Some(_) => continue,
            };
            self.errors.push(FareError::Wrong {
                file: file.clone(),
                line: usize::try_from(*line).ok(),
                field: "agency_id".to_owned(),
                problem,
            });
        }
        for (id, stop) in &feed.stops {
            if let Some(city) = self.home {
                self.tariffs.stops.insert((city, id.clone()), stop.clone());
            }
        }
        feed
    }

    fn tariff(&mut self, file: &'t str, text: &str, feed: Option<&Feed>) {
        use OperatorKind as Of;
        let mut problems = Problems::new(file, text, &mut self.errors);
        let Some(schema::Kind { kind }) = problems.parse() else {
            return;
        };
        let at = (file, text);
        match kind {
            FileKind::Bus => self.add(
                (at, &[Of::Bus]),
                |p, raw| {
                    let feed = gtfs(p, feed)?;
                    Some(BusTariff::new(p, raw, feed))
                },
                |tariffs| &mut tariffs.bus,
            ),
            FileKind::Metro => self.add(
                (at, &[Of::Metro, Of::Brt]),
                |p, raw| {
                    let feed = gtfs(p, feed)?;
                    MetroTariff::new(p, raw, feed)
                },
                |tariffs| &mut tariffs.metro,
            ),
            FileKind::Taxi => self.add((at, &[Of::Taxi]), TaxiTariff::new, |tariffs| {
                &mut tariffs.taxi
            }),
            FileKind::StreetParking => self.add(
                (at, &[Of::StreetParking]),
                |p, raw| Some(StreetParkingTariff::new(p, raw)),
                |tariffs| &mut tariffs.street_parking,
            ),
            FileKind::CarPark => self.add(
                (at, &[Of::CarPark]),
                |p, raw| Some(CarParkTariff::new(p, raw)),
                |tariffs| &mut tariffs.car_park,
            ),
            FileKind::Transfer => {
                let Some(raw) = problems.parse::<schema::TransferFile>() else {
                    return;
                };
                take_id(&mut self.ids, &mut problems, &raw.id);
                let city = at_home(&mut self.home, &mut problems, raw.city);
                let transfers = Transfers::new(&mut problems, raw);
                if self.tariffs.transfers.insert(city, transfers).is_some() {
                    problems.add("city", "already has a transfer file");
                }
            }
            FileKind::Contracts => {
                let Some(raw) = problems.parse::<ContractsFile>() else {
                    return;
                };
                take_id(&mut self.ids, &mut problems, &raw.id);
                let city = at_home(&mut self.home, &mut problems, raw.city);
                self.contracts = Some(file.to_owned());
                let contracts = Contracts::new(&mut problems, raw);
                if self.tariffs.contracts.insert(city, contracts).is_some() {
                    problems.add("city", "already has a contracts file");
                }
            }
            FileKind::Modes => {
                let Some(raw) = problems.parse::<ModesFile>() else {
                    return;
                };
                take_id(&mut self.ids, &mut problems, &raw.id);
                at_home(&mut self.home, &mut problems, raw.city);
                self.modes.push((file, raw));
            }
            FileKind::Calendar => {
                problems.add("kind", format!("a calendar stands in {CALENDAR}, once"));
            }
        }
    }

    /// Parses a tariff with an operator, checks its head and files it under the operator.
    fn add<F: DeserializeOwned + Head, T>(
        &mut self,
        ((file, text), kinds): ((&str, &str), &[OperatorKind]),
        build: impl FnOnce(&mut Problems<'_>, F) -> Option<T>,
        map: impl FnOnce(&mut Tariffs) -> &mut BTreeMap<OperatorId, T>,
    ) {
        let mut problems = Problems::new(file, text, &mut self.errors);
        let Some(raw) = problems.parse::<F>() else {
            return;
        };
        let (id, operator, city) = raw.head();
        take_id(&mut self.ids, &mut problems, id);
        let operator = operator.clone();
        match self.tariffs.operators.get(&operator) {
            None => {
                let problem = format!("`{operator}` is not in operators.toml; add it");
                problems.add("operator", problem);
                return;
            }
            Some(known) if !kinds.contains(&known.kind) => {
                let problem = format!("`{operator}` is not of this kind in operators.toml");
                problems.add("operator", problem);
                return;
            }
            Some(known) if known.city != city => {
                problems.add("city", format!("`{operator}` works in {}", known.city));
            }
            Some(_) => {
                at_home(&mut self.home, &mut problems, city);
            }
        }
        if let Some(tariff) = build(&mut problems, raw)
            && map(&mut self.tariffs).insert(operator, tariff).is_some()
        {
            problems.add("operator", "already has such a tariff");
        }
    }
}

/// The feed that a tariff needs.
fn gtfs<'a>(problems: &mut Problems<'_>, feed: Option<&'a Feed>) -> Option<&'a Feed> {
    if feed.is_none() {
        problems.add("kind", "needs a gtfs folder beside the file");
    }
    feed
}

fn take_id(ids: &mut BTreeSet<TariffId>, problems: &mut Problems<'_>, id: &TariffId) {
    if !ids.insert(id.clone()) {
        problems.add("id", format!("`{id}` is another file's"));
    }
}

/// The city of a file, which must be its folder's.
fn at_home(home: &mut Option<CityCode>, problems: &mut Problems<'_>, city: RegionCode) -> CityCode {
    let city = city.into();
    if *home.get_or_insert(city) != city {
        let problem = "is not that of the folder's feed and other files; correct or move the file";
        problems.add("city", problem);
    }
    city
}
