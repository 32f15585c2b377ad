//! What a device does with cards, of its profile and tariffs: the part of it that new tariffs renew.

use std::sync::Arc;

use fare::{Tariffs, VehicleClass, ZoneClass};

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
                let park = park()?.as_str().into();
                Self::Sells(Box::new(CarParkEntry::new(site, tariffs()?, park, vehicle)))
            }
            Kind::CarParkExit => {
                let park = park()?.as_str().into();
                Self::Sells(Box::new(CarParkExit::new(site, tariffs()?, park, vehicle)))
            }
            Kind::Taxi => {
                profile.need("plate", profile.plate.as_deref())?;
                Self::Taxi
            }
            Kind::ParkingMeter => {
                Self::Meter(needed("zone", &profile.zone)?.as_str().into(), vehicle)
            }
            Kind::Pos => Self::Pos,
            Kind::Kiosk => Self::Kiosk,
            Kind::Hospital => Self::Hospital,
        })
    }
}
