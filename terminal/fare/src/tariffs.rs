//! The whole set of networks and tariffs, and the questions it answers.

use std::collections::{BTreeMap, BTreeSet};

use card_spec::{Fen, time::CardTime};

use crate::{
    BusRide, CarParkStay, CityCode, EntryTerms, LegClass, LineCode, MeterStay, MetroEntry,
    MetroRide, ModeHistory, Operator, OperatorId, ParkId, PassOrder, PassSale, Permit, PermitOrder,
    Quote, QuoteError, RouteId, StationCode, StopId, TariffId, TaxiTrip, ZoneClass,
    bus::BusTariff,
    calendar::Calendar,
    car_park::CarParkTariff,
    clock::{self, DAY},
    contract::Contracts,
    discount::Discount,
    gtfs::FeedRoute,
    metro::{MetroTariff, StayLimit},
    ride::CityRules,
    street_parking::StreetParkingTariff,
    taxi::TaxiTariff,
    transfer::Transfers,
};

/// A stop or station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// GTFS `stop_id`.
    pub id: StopId,
    /// Its number on cards.
    pub code: StationCode,
    /// Name in Chinese.
    pub zh: String,
    /// Name in English (the Chinese one where `translations.txt` has none).
    pub en: String,
}

/// A bus route or metro line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// GTFS `route_id`.
    pub id: RouteId,
    /// Its number on cards.
    pub code: LineCode,
    /// What it is to transfer rules.
    pub class: LegClass,
    /// Short name: `17路`, `1号线`.
    pub name: String,
    /// Long name in Chinese, the two ends of the route.
    pub zh: String,
    /// Long name in English.
    pub en: String,
    /// Its stops in the order of the feed's first trip.
    pub stops: Vec<StopId>,
}

impl Route {
    pub(crate) fn new(id: RouteId, code: LineCode, class: LegClass, feed: &FeedRoute) -> Self {
        Self {
            id,
            code,
            class,
            name: feed.name.clone(),
            zh: feed.ends_zh.clone(),
            en: feed.ends_en.clone(),
            stops: feed.patterns.first().cloned().unwrap_or_default(),
        }
    }
}

/// Networks and tariffs, read once and never changed. Built by [`Tariffs::load`] or
/// [`Tariffs::from_texts`].
#[derive(Debug)]
pub struct Tariffs {
    pub(crate) operators: BTreeMap<OperatorId, Operator>,
    pub(crate) calendar: Calendar,
    pub(crate) transfers: BTreeMap<CityCode, Transfers>,
    pub(crate) contracts: BTreeMap<CityCode, Contracts>,
    pub(crate) modes: ModeHistory,
    pub(crate) stops: BTreeMap<(CityCode, StopId), Stop>,
    pub(crate) bus: BTreeMap<OperatorId, BusTariff>,
    pub(crate) metro: BTreeMap<OperatorId, MetroTariff>,
    pub(crate) taxi: BTreeMap<OperatorId, TaxiTariff>,
    pub(crate) street_parking: BTreeMap<OperatorId, StreetParkingTariff>,
    pub(crate) car_park: BTreeMap<OperatorId, CarParkTariff>,
}

fn of<'a, T>(map: &'a BTreeMap<OperatorId, T>, id: &OperatorId) -> Result<&'a T, QuoteError> {
    map.get(id).ok_or_else(|| QuoteError::Operator(id.clone()))
}

impl Tariffs {
    /// The longest stay that is priced, in days; a longer one is settled at a desk.
    pub const MAX_STAY_DAYS: u16 = 366;

    /// The rules that hold for every operator of a city.
    pub(crate) fn rules(&self, city: CityCode) -> CityRules<'_> {
        CityRules {
            calendar: &self.calendar,
            transfers: self.transfers.get(&city),
            contracts: self.contracts.get(&city),
        }
    }

    pub(crate) fn network(&self, operator: &OperatorId) -> Result<&MetroTariff, QuoteError> {
        of(&self.metro, operator)
    }

    /// Prices a tap on a bus: flat or sectional fare, then the best way to pay it.
    pub fn quote_bus(&self, ride: &BusRide) -> Result<Quote, QuoteError> {
        let tariff = of(&self.bus, &ride.operator)?;
        tariff.quote(ride, self.rules(tariff.city))
    }

    /// What an entry gate holds against and writes.
    pub fn metro_entry(&self, entry: &MetroEntry) -> Result<EntryTerms, QuoteError> {
        let tariff = self.network(&entry.operator)?;
        tariff.entry(entry, self.rules(tariff.city))
    }

    /// Prices a journey between gates at its exit: distance or zones (or the same-station rule),
    /// overstay, then the best way to pay it.
    pub fn quote_metro(&self, ride: &MetroRide) -> Result<Quote, QuoteError> {
        let tariff = self.network(&ride.operator)?;
        tariff.quote(ride, StayLimit::Holds, self.rules(tariff.city))
    }

    /// Prices a pass and says what it writes on the card.
    pub fn quote_pass(&self, order: &PassOrder) -> Result<PassSale, QuoteError> {
        self.contracts
            .get(&order.city)
            .ok_or_else(|| QuoteError::Pass(order.pass.clone()))?
            .sell(order)
    }

    /// Prices a metered taxi trip.
    pub fn quote_taxi(&self, trip: &TaxiTrip) -> Result<Quote, QuoteError> {
        of(&self.taxi, &trip.operator)?.quote(trip)
    }

    /// Whether a price of this bus company or network asks for the rider's age.
    pub fn asks_age(&self, operator: &OperatorId) -> bool {
        let bus = self.bus.get(operator).map(|tariff| &tariff.discounts);
        let metro = self.metro.get(operator).map(|tariff| &tariff.discounts);
        let mut all = bus.into_iter().chain(metro).flatten();
        all.any(Discount::asks_age)
    }

    /// How many sections a bus route has; 0 on a route with a flat fare.
    pub fn bus_sections(&self, operator: &OperatorId, route: &RouteId) -> usize {
        of(&self.bus, operator).map_or(0, |tariff| tariff.sections(route))
    }

    /// Below this speed a taxi of `operator` counts time; `None` for an operator without a tariff.
    pub fn taxi_low_speed_kmh(&self, operator: &OperatorId) -> Option<u16> {
        of(&self.taxi, operator).ok().map(TaxiTariff::below_kmh)
    }

    /// Prices a stay in a kerb-side space.
    pub fn quote_meter(&self, stay: &MeterStay) -> Result<Quote, QuoteError> {
        of(&self.street_parking, &stay.operator)?.quote(stay)
    }

    /// Prices a stay in a car park.
    pub fn quote_car_park(&self, stay: &CarParkStay) -> Result<Quote, QuoteError> {
        of(&self.car_park, &stay.operator)?.quote(stay)
    }

    /// Prices a parking permit for a calendar month, and gives it.
    pub fn quote_permit(&self, order: &PermitOrder) -> Result<(Quote, Permit), QuoteError> {
        if let Some(street) = self.street_parking.get(&order.operator) {
            return street.permits.sell(&street.tariff, order);
        }
        let park = of(&self.car_park, &order.operator)?;
        park.permits.sell(&park.tariff, order)
    }

    /// The undiscounted off-peak fare for a distance in metres, of a network priced by distance.
    pub fn metro_distance_fare(
        &self,
        operator: &OperatorId,
        metres: u32,
    ) -> Result<Fen, QuoteError> {
        of(&self.metro, operator)?
            .distance_fare(metres)
            .ok_or_else(|| QuoteError::Operator(operator.clone()))
    }

    /// The network's highest single fare, undiscounted.
    pub fn metro_highest_fare(&self, operator: &OperatorId) -> Result<Fen, QuoteError> {
        Ok(of(&self.metro, operator)?.highest())
    }

    /// The concessions of a bus or gate tariff.
    pub(crate) fn discounts_of(&self, tariff: &TariffId) -> &[Discount] {
        let bus = self
            .bus
            .values()
            .map(|bus| (&bus.tariff.id, &bus.discounts));
        let gates = self
            .metro
            .values()
            .map(|metro| (&metro.tariff.id, &metro.discounts));
        let found = bus.chain(gates).find(|(id, _)| *id == tariff);
        found.map_or(&[], |(_, discounts)| discounts)
    }

    /// The years whose holidays are known, `2026, 2027`; in others days go by their weekday.
    pub fn holiday_years(&self) -> String {
        let years: Vec<String> = self.calendar.years.iter().map(u16::to_string).collect();
        years.join(", ")
    }

    /// All operators, by id.
    pub fn operators(&self) -> impl Iterator<Item = &Operator> {
        self.operators.values()
    }

    /// Where something is sold: every route, station, taxi company, kind of space and car park with its
    /// operator. A device of a place that another set does not have cannot work by that set.
    pub fn places(&self) -> BTreeSet<String> {
        let mut places = BTreeSet::new();
        for id in self.operators.keys() {
            let mut add = |place: &dyn std::fmt::Display| places.insert(format!("{id} {place}"));
            for route in self.routes(id) {
                add(&route.id);
            }
            for stop in self.stations(id) {
                add(&stop.id);
            }
            if self.taxi.contains_key(id) {
                add(&"taxi");
            }
            for class in self
                .street_parking
                .get(id)
                .iter()
                .flat_map(|t| t.classes.keys())
            {
                add(class);
            }
            for park in self.car_park.get(id).iter().flat_map(|t| t.parks.keys()) {
                add(park);
            }
        }
        places
    }

    /// One operator.
    pub fn operator(&self, id: &OperatorId) -> Option<&Operator> {
        self.operators.get(id)
    }

    /// The routes or lines of an operator, by id.
    pub fn routes(&self, operator: &OperatorId) -> Vec<&Route> {
        let bus = self
            .bus
            .get(operator)
            .into_iter()
            .flat_map(BusTariff::routes);
        let metro = self
            .metro
            .get(operator)
            .into_iter()
            .flat_map(MetroTariff::routes);
        bus.chain(metro).collect()
    }

    /// A route by its id.
    pub fn route(&self, operator: &OperatorId, id: &RouteId) -> Option<&Route> {
        self.routes(operator).into_iter().find(|r| r.id == *id)
    }

    /// A route by its number on cards.
    pub fn route_by_code(&self, operator: &OperatorId, code: LineCode) -> Option<&Route> {
        self.routes(operator).into_iter().find(|r| r.code == code)
    }

    /// The stations of a metro operator, by id.
    pub fn stations(&self, operator: &OperatorId) -> Vec<&Stop> {
        self.metro
            .get(operator)
            .into_iter()
            .flat_map(MetroTariff::stops)
            .collect()
    }

    /// A stop of the city that the operator works in.
    pub fn stop(&self, operator: &OperatorId, id: &StopId) -> Option<&Stop> {
        let city = self.operators.get(operator)?.city.into();
        self.stops.get(&(city, id.clone()))
    }

    /// A stop by its number on cards, in the city that the operator works in.
    pub fn stop_by_code(&self, operator: &OperatorId, code: StationCode) -> Option<&Stop> {
        let city: CityCode = self.operators.get(operator)?.city.into();
        self.stops
            .iter()
            .filter(|((c, _), _)| *c == city)
            .map(|(_, stop)| stop)
            .find(|stop| stop.code == code)
    }

    /// The classes of kerb-side spaces of an operator.
    pub fn zone_classes(&self, operator: &OperatorId) -> Vec<&ZoneClass> {
        self.street_parking
            .get(operator)
            .into_iter()
            .flat_map(StreetParkingTariff::classes)
            .collect()
    }

    /// The car parks of an operator.
    pub fn car_parks(&self, operator: &OperatorId) -> Vec<&ParkId> {
        self.car_park
            .get(operator)
            .into_iter()
            .flat_map(CarParkTariff::parks)
            .collect()
    }

    /// Start and end of a stay in local seconds, in order and of a bounded length.
    pub(crate) fn bounded_stay(from: CardTime, to: CardTime) -> Result<(i64, i64), QuoteError> {
        let (from, to) = (clock::seconds(from), clock::seconds(to));
        if to < from {
            return Err(QuoteError::TimeOrder);
        }
        if to - from > i64::from(Self::MAX_STAY_DAYS) * DAY {
            return Err(QuoteError::TooLong(Self::MAX_STAY_DAYS));
        }
        Ok((from, to))
    }
}
