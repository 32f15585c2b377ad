//! What a device does with cards, of its profile and tariffs: the part of it that new tariffs renew.

use std::sync::Arc;

use card_spec::time::CardTime;
use fare::{
    CarParkStay, MeterStay, ParkId, Quote, QuoteError, Tariffs, TaxiTrip, VehicleClass, ZoneClass,
};

use super::RunError;
use crate::{
    code::Code,
    device::{
        BusValidator, CarParkEntry, CarParkExit, FareDesk, Inspection, MetroEntryGate,
        MetroExitGate, Seller, Site,
    },
    profile::{DeviceProfile, Kind},
    result::Refusal,
};

/// A device without its journal.
pub(super) enum Trade {
    Sells(Box<dyn Seller>),
    Bus(BusValidator),
    Desk(FareDesk),
    Inspector(Inspection),
    Taxi,
    Meter(ZoneClass, VehicleClass),
    Pos,
    Kiosk,
    Hospital,
}

impl Trade {
    /// What a profile says, at its place in the tariffs.
    pub(super) fn of(
        profile: &DeviceProfile,
        site: &Site,
        tariffs: Option<&Arc<Tariffs>>,
    ) -> Result<Self, RunError> {
        let site = site.clone();
        let needed = |field, value: &Option<String>| -> Result<String, RunError> {
            Ok(profile.need(field, value.as_deref())?.to_owned())
        };
        let route = || needed("route", &profile.route);
        let stop = || needed("stop", &profile.stop);
        let park = || needed("park", &profile.park);
        let vehicle = profile.vehicle_class.unwrap_or(VehicleClass::Small);
        let tariffs = || profile.need("tariffs", tariffs).cloned();
        Ok(match profile.kind {
            Kind::Bus => {
                let route = route()?.as_str().into();
                let bus = BusValidator::new(site, tariffs()?, route);
                Self::Bus(bus.map_err(RunError::Place)?)
            }
            Kind::FareDesk => {
                let (line, stop) = (route()?.as_str().into(), stop()?.as_str().into());
                let desk = FareDesk::new(site, tariffs()?, &line, stop);
                Self::Desk(desk.map_err(RunError::Place)?)
            }
            Kind::Inspector => {
                let operator = fare::OperatorId::from(profile.operator.as_str());
                let line = match &profile.route {
                    Some(route) => {
                        let route = route.as_str().into();
                        let tariffs = tariffs()?;
                        let known = tariffs.route(&operator, &route).map(|route| route.code);
                        let unknown = || RunError::Place(Refusal::new(Code::TariffFault, &route));
                        Some(known.ok_or_else(unknown)?)
                    }
                    None => None,
                };
                Self::Inspector(Inspection { site, line })
            }
            Kind::MetroEntry => {
                let (line, stop) = (route()?.as_str().into(), stop()?.as_str().into());
                let gate = MetroEntryGate::new(site, tariffs()?, &line, stop);
                Self::Sells(Box::new(gate.map_err(RunError::Place)?))
            }
            Kind::MetroExit => {
                let (line, stop) = (route()?.as_str().into(), stop()?.as_str().into());
                let gate = MetroExitGate::new(site, tariffs()?, &line, stop);
                Self::Sells(Box::new(gate.map_err(RunError::Place)?))
            }
            Kind::CarParkEntry => {
                let park: ParkId = park()?.as_str().into();
                priced(tariffs()?.quote_car_park(&trial_stay(&site, &park, vehicle)))?;
                Self::Sells(Box::new(CarParkEntry::new(site, tariffs()?, park, vehicle)))
            }
            Kind::CarParkExit => {
                let park: ParkId = park()?.as_str().into();
                priced(tariffs()?.quote_car_park(&trial_stay(&site, &park, vehicle)))?;
                Self::Sells(Box::new(CarParkExit::new(site, tariffs()?, park, vehicle)))
            }
            Kind::Taxi => {
                profile.need("plate", profile.plate.as_deref())?;
                priced(tariffs()?.quote_taxi(&TaxiTrip {
                    operator: site.operator.as_str().into(),
                    metres: 1_000,
                    low_speed_seconds: 0,
                    started_at: CardTime::MIN,
                    ended_at: CardTime::MIN,
                }))?;
                Self::Taxi
            }
            Kind::ParkingMeter => {
                let class: ZoneClass = needed("zone", &profile.zone)?.as_str().into();
                priced(tariffs()?.quote_meter(&MeterStay {
                    operator: site.operator.as_str().into(),
                    class: class.clone(),
                    vehicle,
                    from: CardTime::MIN,
                    to: CardTime::MIN,
                    permit: None,
                }))?;
                Self::Meter(class, vehicle)
            }
            Kind::Pos => Self::Pos,
            Kind::Kiosk => Self::Kiosk,
            Kind::Hospital => Self::Hospital,
        })
    }
}

/// That the tariffs price what the device sells: they would otherwise fail at the first customer.
fn priced(quote: Result<Quote, QuoteError>) -> Result<(), RunError> {
    let refused = |why| RunError::Place(Refusal::new(Code::TariffFault, why));
    quote.map(drop).map_err(refused)
}

fn trial_stay(site: &Site, park: &ParkId, vehicle: VehicleClass) -> CarParkStay {
    CarParkStay {
        operator: site.operator.as_str().into(),
        park: park.clone(),
        vehicle,
        entered_at: CardTime::MIN,
        exited_at: CardTime::MIN,
        permit: None,
    }
}
