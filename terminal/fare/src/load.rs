//! From a folder of files to a checked [`Tariffs`]. The only part of the crate that does I/O, and
//! it only reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::de::DeserializeOwned;

use crate::{
    CityCode, FareError, ModeHistory, OperatorId, OperatorKind, TariffId, Tariffs,
    bus::BusTariff,
    calendar::Calendar,
    car_park::CarParkTariff,
    contract::{Contracts, ContractsFile},
    gate::ModesFile,
    gtfs::Feed,
    metro::MetroTariff,
    schema::{self, FileKind, Head},
    street_parking::StreetParkingTariff,
    taxi::TaxiTariff,
    transfer::Transfers,
};

/// File contents by their path inside the data folder, `/` between the parts.
pub(crate) type Texts = BTreeMap<String, String>;

const OPERATORS: &str = "operators.toml";
const CALENDAR: &str = "transit/calendar.toml";

/// Largest file that is read, bytes.
const MAX_FILE_BYTES: u64 = 64 << 20;

impl Tariffs {
    /// Loads the data folder (such as `data/fujian`): `operators.toml`, `transit/calendar.toml`,
    /// and for each city `transit/<city>/*.toml` and `transit/<city>/gtfs/*.txt`.
    pub fn load(folder: &Path) -> Result<Self, FareError> {
        Self::from_texts(&Self::texts(folder)?)
    }

    /// The files of a data folder that [`Self::load`] reads, by their path in it.
    pub fn texts(folder: &Path) -> Result<BTreeMap<String, String>, FareError> {
        let mut texts = Texts::new();
        for file in [OPERATORS, CALENDAR] {
            texts.insert(file.to_owned(), read(&folder.join(file))?);
        }
        for city in list(&folder.join("transit"))? {
            let path = folder.join("transit").join(&city);
            if !path.is_dir() {
                continue;
            }
            take(&mut texts, &path, &format!("transit/{city}/"), ".toml")?;
            let gtfs = path.join("gtfs");
            if gtfs.is_dir() {
                take(&mut texts, &gtfs, &format!("transit/{city}/gtfs/"), ".txt")?;
            }
        }
        Ok(texts)
    }

    /// Builds the set from texts, keyed by their path inside the data folder.
    pub fn from_texts(texts: &BTreeMap<String, String>) -> Result<Self, FareError> {
        let file: schema::OperatorsFile = parse(OPERATORS, required(texts, OPERATORS)?)?;
        let mut operators = BTreeMap::new();
        for operator in file.operator {
            let field = format!("operator `{}`", operator.id);
            if operators.insert(operator.id.clone(), operator).is_some() {
                return Err(FareError::field(OPERATORS, field, "appears twice"));
            }
        }
        let calendar = parse(CALENDAR, required(texts, CALENDAR)?)?;
        let mut loader = Loader {
            tariffs: Self {
                operators,
                calendar: Calendar::new(CALENDAR, calendar)?,
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
            modes: Vec::new(),
        };
        for city in cities(texts) {
            loader.city(texts, &city)?;
        }
        for (file, raw) in loader.modes {
            loader.tariffs.take_modes(&file, raw)?;
        }
        Ok(loader.tariffs)
    }
}

/// The `transit/<city>/` folders that hold files.
fn cities(texts: &Texts) -> BTreeSet<String> {
    texts
        .keys()
        .filter_map(|path| {
            let (city, _) = path.strip_prefix("transit/")?.split_once('/')?;
            Some(format!("transit/{city}/"))
        })
        .collect()
}

struct Loader {
    tariffs: Tariffs,
    ids: BTreeSet<TariffId>,
    /// Checked when every network is there.
    modes: Vec<(String, ModesFile)>,
}

impl Loader {
    fn city(&mut self, texts: &Texts, dir: &str) -> Result<(), FareError> {
        let gtfs = format!("{dir}gtfs/");
        let feed = match texts.keys().any(|path| path.starts_with(&gtfs)) {
            true => Some(self.feed(texts, &gtfs)?),
            false => None,
        };
        for (file, text) in texts {
            let is_tariff = file
                .strip_prefix(dir)
                .is_some_and(|name| name.ends_with(".toml") && !name.contains('/'));
            if is_tariff {
                self.tariff(file, text, feed.as_ref())?;
            }
        }
        Ok(())
    }

    /// Reads a feed, checks its agencies and takes over its stops.
    fn feed(&mut self, texts: &Texts, dir: &str) -> Result<Feed, FareError> {
        let feed = Feed::read(texts, dir)?;
        let file = format!("{dir}agency.txt");
        let mut cities = BTreeSet::<CityCode>::new();
        for id in &feed.agencies {
            let operator = self.tariffs.operators.get(id).ok_or_else(|| {
                let field = format!("agency_id `{id}`");
                FareError::field(&file, field, "is not in operators.toml; add the operator")
            })?;
            cities.insert(operator.city.into());
        }
        let (Some(city), 1) = (cities.first().copied(), cities.len()) else {
            let problem = "all agencies of a feed must be operators of one city";
            return Err(FareError::field(file, "agency_id", problem));
        };
        for (id, stop) in &feed.stops {
            self.tariffs.stops.insert((city, id.clone()), stop.clone());
        }
        Ok(feed)
    }

    fn tariff(&mut self, file: &str, text: &str, feed: Option<&Feed>) -> Result<(), FareError> {
        let gtfs = || {
            feed.ok_or_else(|| {
                FareError::field(file, "kind", "needs a gtfs folder beside the file")
            })
        };
        match parse::<schema::Kind>(file, text)?.kind {
            FileKind::Bus => self.add(
                (file, text, &[OperatorKind::Bus]),
                |raw| BusTariff::new(file, raw, gtfs()?),
                |tariffs| &mut tariffs.bus,
            ),
            FileKind::Metro => self.add(
                (file, text, &[OperatorKind::Metro, OperatorKind::Brt]),
                |raw| MetroTariff::new(file, raw, gtfs()?),
                |tariffs| &mut tariffs.metro,
            ),
            FileKind::Taxi => self.add(
                (file, text, &[OperatorKind::Taxi]),
                |raw| TaxiTariff::new(file, raw),
                |tariffs| &mut tariffs.taxi,
            ),
            FileKind::StreetParking => self.add(
                (file, text, &[OperatorKind::StreetParking]),
                |raw| StreetParkingTariff::new(file, raw),
                |tariffs| &mut tariffs.street_parking,
            ),
            FileKind::CarPark => self.add(
                (file, text, &[OperatorKind::CarPark]),
                |raw| CarParkTariff::new(file, raw),
                |tariffs| &mut tariffs.car_park,
            ),
            FileKind::Transfer => {
                let raw: schema::TransferFile = parse(file, text)?;
                self.take_id(file, &raw.id)?;
                let city: CityCode = raw.city.into();
                let transfers = Transfers::new(file, raw)?;
                match self.tariffs.transfers.insert(city, transfers) {
                    None => Ok(()),
                    Some(_) => Err(FareError::field(
                        file,
                        "city",
                        "already has a transfer file",
                    )),
                }
            }
            FileKind::Contracts => {
                let raw: ContractsFile = parse(file, text)?;
                self.take_id(file, &raw.id)?;
                let city: CityCode = raw.city.into();
                let contracts = Contracts::new(file, raw)?;
                match self.tariffs.contracts.insert(city, contracts) {
                    None => Ok(()),
                    Some(_) => Err(FareError::field(
                        file,
                        "city",
                        "already has a contracts file",
                    )),
                }
            }
            FileKind::Modes => {
                let raw: ModesFile = parse(file, text)?;
                self.take_id(file, &raw.id)?;
                self.modes.push((file.to_owned(), raw));
                Ok(())
            }
            FileKind::Calendar => Err(FareError::field(
                file,
                "kind",
                format!("a calendar stands in {CALENDAR}, once"),
            )),
        }
    }

    /// Parses a tariff with an operator, checks its head and files it under the operator.
    fn add<F: DeserializeOwned + Head, T>(
        &mut self,
        (file, text, kinds): (&str, &str, &[OperatorKind]),
        build: impl FnOnce(F) -> Result<T, FareError>,
        map: impl FnOnce(&mut Tariffs) -> &mut BTreeMap<OperatorId, T>,
    ) -> Result<(), FareError> {
        let raw: F = parse(file, text)?;
        let (id, operator, city) = raw.head();
        self.take_id(file, id)?;
        let known = self.tariffs.operators.get(operator).ok_or_else(|| {
            let problem = format!("`{operator}` is not in operators.toml; add it");
            FareError::field(file, "operator", problem)
        })?;
        if !kinds.contains(&known.kind) {
            let problem = format!("`{operator}` is not of this kind in operators.toml");
            return Err(FareError::field(file, "operator", problem));
        }
        if known.city != city {
            let problem = format!("`{operator}` works in {}", known.city);
            return Err(FareError::field(file, "city", problem));
        }
        let operator = operator.clone();
        match map(&mut self.tariffs).insert(operator, build(raw)?) {
            None => Ok(()),
            Some(_) => Err(FareError::field(
                file,
                "operator",
                "already has such a tariff",
            )),
        }
    }

    fn take_id(&mut self, file: &str, id: &TariffId) -> Result<(), FareError> {
        match self.ids.insert(id.clone()) {
            true => Ok(()),
            false => Err(FareError::field(
                file,
                "id",
                format!("`{id}` is another file's"),
            )),
        }
    }
}

fn required<'a>(texts: &'a Texts, file: &str) -> Result<&'a str, FareError> {
    texts
        .get(file)
        .map(String::as_str)
        .ok_or_else(|| FareError::Missing {
            file: file.to_owned(),
        })
}

/// Parses TOML; an error names the line.
fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, FareError> {
    toml::from_str(text).map_err(|error| {
        let upto = error.span().map_or(0, |span| span.start);
        let before = text.as_bytes().get(..upto).unwrap_or_default();
        FareError::Syntax {
            file: file.to_owned(),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            problem: error.message().to_owned(),
        }
    })
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> FareError {
    let path = path.display().to_string();
    move |source| FareError::Io { path, source }
}

fn read(path: &Path) -> Result<String, FareError> {
    let length = std::fs::metadata(path).map_err(io(path))?.len();
    if length > MAX_FILE_BYTES {
        let problem = format!("is larger than {MAX_FILE_BYTES} bytes");
        return Err(FareError::field(
            path.display().to_string(),
            "size",
            problem,
        ));
    }
    std::fs::read_to_string(path).map_err(io(path))
}

/// The names in a folder, sorted; those that are not UTF-8 are none of ours.
fn list(path: &Path) -> Result<BTreeSet<String>, FareError> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(path).map_err(io(path))? {
        if let Ok(name) = entry.map_err(io(path))?.file_name().into_string() {
            names.insert(name);
        }
    }
    Ok(names)
}

/// Takes the files of a folder that end in `suffix`.
fn take(texts: &mut Texts, folder: &Path, key: &str, suffix: &str) -> Result<(), FareError> {
    for name in list(folder)? {
        if name.ends_with(suffix) {
            texts.insert(format!("{key}{name}"), read(&folder.join(&name))?);
        }
    }
    Ok(())
}
