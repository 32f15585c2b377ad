//! One device of any kind: what it needs and what it does with a card.

mod adopt;
mod modes;
mod perform;

use std::sync::Arc;

use card_spec::{Channel, id::SamNo, time::CardTime};
use clearing_api::{Client, national};
use ed25519_dalek::{SigningKey, VerifyingKey};
use fare::{ModeHistory, StationMode, Tariffs};

use super::{RunError, pool::Open, read, trade::Trade};
use crate::{
    code::Code,
    device::{
        BusValidator, FareDesk, Inspection, ParkingMeter, PassSale, Seller, Site, TaxiMeter, Till,
    },
    hospital::HospitalWindow,
    hotlist::{self, Hotlist},
    journal::{Journal, Storage},
    kiosk::Kiosk,
    load::LoadDesk,
    machine::{self, BillOrder, Mode, Model, Modes, Row, Served, StationSpan, Task},
    online::NationalLink,
    person::Randoms,
    pos::Pos,
    profile::{DeviceProfile, Kind, read_text},
    result::{Note, Refusal},
    sam::SamUnit,
    tap::PurseTerminal,
};

/// A device of any kind.
enum Work<S> {
    Sells(PurseTerminal<S>, Box<dyn Seller>),
    Bus(PurseTerminal<S>, BusValidator),
    Desk(PurseTerminal<S>, FareDesk),
    Inspector(PurseTerminal<S>, Inspection),
    Taxi(PurseTerminal<S>),
    Meter(PurseTerminal<S>, fare::ZoneClass, fare::VehicleClass),
    Pos(Pos<S>),
    Kiosk(Kiosk<S>),
    Hospital(HospitalWindow<S>, NationalLink),
}

/// A device with what all kinds share.
pub struct Device<S> {
    work: Work<S>,
    site: Site,
    plate: String,
    has_sam_reader: bool,
    /// The profile's.
    own_tariffs: Option<Arc<Tariffs>>,
    /// Those in effect.
    tariffs: Option<Arc<Tariffs>>,
    pub(super) key: SigningKey,
    pub(super) hotlist_key: Option<VerifyingKey>,
}

impl<S: Storage> Device<S> {
    /// A device as its profile says, over its opened journal.
    pub fn new(
        profile: &DeviceProfile,
        journal: Journal<S>,
        key: SigningKey,
    ) -> Result<Self, RunError> {
        let site = Site {
            device: profile.device,
            operator: profile.operator.clone(),
            region: profile.region,
        };
        let is_priced = match profile.kind {
            Kind::Hospital | Kind::Kiosk => false,
            // It sells passes where it is given tariffs.
            Kind::Pos => profile.tariffs.is_some(),
            Kind::Inspector => profile.route.is_some(),
            _ => true,
        };
        let tariffs = match is_priced {
            true => {
                let folder = profile.need("tariffs", profile.tariffs.as_deref())?;
                Some(Arc::new(Tariffs::load(folder)?))
            }
            false => None,
        };
        let hotlist_key = profile
            .hotlist_key
            .as_deref()
            .map(hotlist::key_from_hex)
            .transpose()?;
        let trade = Trade::of(profile, &site, tariffs.as_ref())?;
        let work = work(profile, trade, journal, &key)?;
        let plate = profile.plate.clone().unwrap_or_default();
        Ok(Self {
            work,
            site,
            plate,
            has_sam_reader: profile.sam_reader.is_some(),
            own_tariffs: tariffs.clone(),
            tariffs,
            key,
            hotlist_key,
        })
    }

    /// Its state machine's rules.
    pub(super) fn machine(&self, profile: &DeviceProfile) -> machine::Setup {
        let operator = || fare::OperatorId::from(profile.operator.as_str());
        let model = match (&self.work, &self.tariffs) {
            (Work::Taxi(_), Some(tariffs)) => Model::Taxi {
                tariffs: tariffs.clone(),
                operator: operator(),
            },
            (Work::Meter(_, class, vehicle), Some(tariffs)) => Model::ParkingMeter {
                tariffs: tariffs.clone(),
                operator: operator(),
                class: class.clone(),
                vehicle: *vehicle,
            },
            (Work::Bus(_, bus), _) => Model::Bus {
                companions: profile.companions,
                sections: bus.sections(),
            },
            (Work::Desk(_, desk), _) => Model::FareDesk {
                stations: desk.stations(),
            },
            (Work::Inspector(..), _) => Model::Inspector,
            _ => match profile.kind {
                Kind::MetroEntry => Model::MetroEntry,
                Kind::MetroExit => Model::MetroExit,
                Kind::CarParkEntry => Model::CarParkEntry,
                Kind::CarParkExit => Model::CarParkExit,
                Kind::Pos => Model::Pos,
                Kind::Kiosk => Model::Kiosk,
                Kind::Hospital => Model::Hospital,
                // Above; a taxi or meter without tariffs cannot be built.
                Kind::Bus | Kind::FareDesk | Kind::Inspector | Kind::Taxi | Kind::ParkingMeter => {
                    Model::Inspector
                }
            },
        };
        machine::Setup {
            model,
            place: profile.place_text(),
            same_card_seconds: profile.limits.same_card_seconds,
            operators: profile.operators.clone(),
            station: self.station_spans(profile),
        }
    }

    /// Whether it has a SAM.
    pub(super) const fn needs_sam(&self) -> bool {
        match &self.work {
            Work::Pos(_) => self.has_sam_reader,
            Work::Inspector(..) => false,
            _ => true,
        }
    }

    /// Whether every service begins with a line: it ends when no more can come.
    pub(super) const fn needs_request(&self) -> bool {
        matches!(
            self.work,
            Work::Taxi(_) | Work::Meter(..) | Work::Pos(_) | Work::Kiosk(_) | Work::Hospital(..)
        )
    }

    /// How the SAM that this kind uses is opened.
    pub(super) const fn sam_opener<P: Channel>(&self) -> Open<P> {
        match self.work {
            Work::Kiosk(_) | Work::Hospital(..) => SamUnit::open_social_security,
            _ => SamUnit::open_purse,
        }
    }

    /// The SAM that holds the transaction of a torn debit.
    pub(super) fn awaited_sam(&self) -> Option<SamNo> {
        match &self.work {
            Work::Sells(t, _) | Work::Bus(t, _) | Work::Desk(t, _) => t.awaited_sam(),
            Work::Taxi(t) | Work::Meter(t, ..) | Work::Inspector(t, _) => t.awaited_sam(),
            Work::Pos(pos) => pos.awaited_sam(),
            // No SAM proves a medical debit afterwards.
            Work::Kiosk(_) | Work::Hospital(..) => None,
        }
    }

    pub(super) const fn journal(&self) -> &Journal<S> {
        match &self.work {
            Work::Sells(t, _) | Work::Bus(t, _) | Work::Desk(t, _) => t.journal(),
            Work::Taxi(t) | Work::Meter(t, ..) | Work::Inspector(t, _) => t.journal(),
            Work::Pos(pos) => pos.journal(),
            Work::Kiosk(kiosk) => kiosk.journal(),
            Work::Hospital(window, _) => window.journal(),
        }
    }

    /// The journal to upload from.
    pub(super) const fn journal_mut(&mut self) -> &mut Journal<S> {
        match &mut self.work {
            Work::Sells(t, _) | Work::Bus(t, _) | Work::Desk(t, _) => t.journal_mut(),
            Work::Taxi(t) | Work::Meter(t, ..) | Work::Inspector(t, _) => t.journal_mut(),
            Work::Pos(pos) => pos.journal_mut(),
            Work::Kiosk(kiosk) => kiosk.journal_mut(),
            Work::Hospital(window, _) => window.journal_mut(),
        }
    }

    pub(super) const fn hotlist_mut(&mut self) -> &mut Hotlist {
        match &mut self.work {
            Work::Sells(t, _) | Work::Bus(t, _) | Work::Desk(t, _) => t.hotlist_mut(),
            Work::Taxi(t) | Work::Meter(t, ..) | Work::Inspector(t, _) => t.hotlist_mut(),
            Work::Pos(pos) => pos.hotlist_mut(),
            Work::Kiosk(kiosk) => kiosk.hotlist_mut(),
            Work::Hospital(window, _) => window.hotlist_mut(),
        }
    }
}

fn work<S: Storage>(
    profile: &DeviceProfile,
    trade: Trade,
    journal: Journal<S>,
    key: &SigningKey,
) -> Result<Work<S>, RunError> {
    let terminal = |journal| PurseTerminal::new(profile.setup(), journal);
    let loads = || -> Result<LoadDesk, RunError> {
        Ok(LoadDesk {
            acceptance: profile.acceptance(),
            terminal: *profile.need("terminal", profile.terminal.as_ref())?,
            load_max: profile.limits.load_max_fen,
            key: key.clone(),
        })
    };
    Ok(match trade {
        Trade::Sells(seller) => Work::Sells(terminal(journal), seller),
        Trade::Bus(bus) => Work::Bus(terminal(journal), bus),
        Trade::Desk(desk) => Work::Desk(terminal(journal), desk),
        Trade::Inspector(inspection) => Work::Inspector(terminal(journal), inspection),
        Trade::Taxi => Work::Taxi(terminal(journal)),
        Trade::Meter(class, vehicle) => Work::Meter(terminal(journal), class, vehicle),
        Trade::Pos => Work::Pos(Pos::new(profile.setup(), loads()?, journal)),
        Trade::Kiosk => Work::Kiosk(Kiosk::new(loads()?, journal)),
        Trade::Hospital => hospital(profile, journal)?,
    })
}

fn hospital<S: Storage>(profile: &DeviceProfile, journal: Journal<S>) -> Result<Work<S>, RunError> {
    let hospital = profile.need("hospital", profile.hospital.as_ref())?;
    let caller = national::Caller {
        fixmedins_code: profile.operator.clone(),
        fixmedins_name: hospital.name.clone(),
        mdtrtarea: profile.region,
        opter: hospital.opter.clone(),
        opter_name: hospital.opter_name.clone(),
        sign_no: None,
    };
    let link = NationalLink {
        client: profile.client()?,
        credentials: national::Credentials {
            access_key: hospital.access_key.clone(),
            secret_key: read_text(&hospital.secret_key_file)?.trim().to_owned(),
        },
    };
    Ok(Work::Hospital(
        HospitalWindow::new(profile.acceptance(), caller, journal),
        link,
    ))
}
