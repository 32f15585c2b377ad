//! One device of any kind: what it needs and what it does with a card.

use std::sync::Arc;

use card_spec::{Channel, Fen, time::CardTime};
use clearing_api::{Client, national};
use ed25519_dalek::{SigningKey, VerifyingKey};
use fare::Tariffs;
use serde::Deserialize;

use super::RunError;
use crate::{
    card::Pin,
    code::Code,
    device::{
        BusValidator, CarParkEntry, CarParkExit, MetroEntryGate, MetroExitGate, ParkingMeter,
        Seller, Site, TaxiMeter,
    },
    hospital::{Bill, HospitalWindow, Slip},
    hotlist::{self, Hotlist},
    journal::{Journal, Storage},
    kiosk::Kiosk,
    online::NationalLink,
    person::Randoms,
    pos::{Pos, PosSetup, TopUp},
    profile::{DeviceProfile, Kind, read_text},
    result::{Refusal, TapResult},
    sam::{SamError, SamUnit},
    tap::PurseTerminal,
};

/// A taxi trip at flag-up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TripLine {
    /// Metres driven.
    pub metres: u32,
    /// Seconds below the tariff's speed limit.
    pub waiting_seconds: u32,
    /// Flag down, `YYYY-MM-DDThh:mm:ss`.
    pub started: CardTime,
}

/// A stay at the kerb.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StayLine {
    /// Arrival, `YYYY-MM-DDThh:mm:ss`.
    pub from: CardTime,
}

/// A top-up.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopUpLine {
    /// Amount, fen.
    pub amount_fen: Fen,
    /// `cash`, `bank` or `mobile`.
    pub paid_by: String,
    /// PIN of the purse, six digits.
    pub pin: String,
}

/// A PIN, for a proof of life.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinLine {
    /// PIN of the social-security side, six digits.
    pub pin: String,
}

/// A bill and the holder's consent to its settlement.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillLineRequest {
    /// The bill.
    pub bill: Bill,
    /// PIN of the social-security side, six digits.
    pub pin: String,
}

/// What a presentation came to.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) result: TapResult,
    pub(super) slip: Option<Slip>,
}

impl From<TapResult> for Done {
    fn from(result: TapResult) -> Self {
        Self { result, slip: None }
    }
}

/// A device of any kind.
enum Work<S> {
    Sells(PurseTerminal<S>, Box<dyn Seller>),
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
        let is_priced = !matches!(profile.kind, Kind::Pos | Kind::Hospital | Kind::Kiosk);
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
        let work = work(profile, &site, tariffs.as_ref(), journal, &key)?;
        let plate = profile.plate.clone().unwrap_or_default();
        Ok(Self {
            work,
            site,
            plate,
            tariffs,
            key,
            hotlist_key,
        })
    }

    /// Whether it has a SAM.
    pub(super) const fn needs_sam(&self) -> bool {
        !matches!(self.work, Work::Pos(_))
    }

    /// Whether every service needs a request line.
    pub(super) const fn needs_request(&self) -> bool {
        !matches!(self.work, Work::Sells(..))
    }

    /// Opens the SAM that this kind uses.
    pub(super) fn open_sam<P: Channel>(&self, channel: P) -> Result<SamUnit<P>, SamError> {
        match self.work {
            Work::Kiosk(_) | Work::Hospital(..) => SamUnit::open_social_security(channel),
            _ => SamUnit::open_purse(channel),
        }
    }

    pub(super) const fn journal(&self) -> &Journal<S> {
        match &self.work {
            Work::Sells(t, _) | Work::Taxi(t) | Work::Meter(t, ..) => t.journal(),
            Work::Pos(pos) => pos.journal(),
            Work::Kiosk(kiosk) => kiosk.journal(),
            Work::Hospital(window, _) => window.journal(),
        }
    }

    /// The journal to upload from; a point of sale uploads nothing.
    pub(super) const fn journal_mut(&mut self) -> Option<&mut Journal<S>> {
        match &mut self.work {
            Work::Sells(t, _) | Work::Taxi(t) | Work::Meter(t, ..) => Some(t.journal_mut()),
            Work::Pos(_) => None,
            Work::Kiosk(kiosk) => Some(kiosk.journal_mut()),
            Work::Hospital(window, _) => Some(window.journal_mut()),
        }
    }

    pub(super) const fn hotlist_mut(&mut self) -> &mut Hotlist {
        match &mut self.work {
            Work::Sells(t, _) | Work::Taxi(t) | Work::Meter(t, ..) => t.hotlist_mut(),
            Work::Pos(pos) => pos.hotlist_mut(),
            Work::Kiosk(kiosk) => kiosk.hotlist_mut(),
            Work::Hospital(window, _) => window.hotlist_mut(),
        }
    }

    /// Sends confirmations of top-ups that are still outstanding.
    pub(super) fn confirm_open(&mut self, client: &mut Client) -> Result<(), Refusal> {
        match &mut self.work {
            Work::Pos(pos) => pos.confirm_open(client).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Serves a presented card. `request` is the line that belongs to this service.
    pub(super) fn present<C: Channel, P: Channel>(
        &mut self,
        card: &mut C,
        sam: Option<&mut SamUnit<P>>,
        request: &str,
        at: CardTime,
        random: [u8; 16],
        client: &mut Client,
    ) -> Result<Done, Refusal> {
        let (site, tariffs) = (&self.site, self.tariffs.as_ref());
        if let Work::Pos(pos) = &mut self.work {
            let line: TopUpLine = parse(request)?;
            let wish = TopUp {
                amount: line.amount_fen,
                paid_by: &line.paid_by,
                pin: pin(&line.pin)?,
            };
            return Ok(pos.top_up(card, wish, at, client).into());
        }
        let sam = sam.ok_or(Code::SamFault)?;
        let done = match &mut self.work {
            Work::Sells(terminal, seller) => terminal.tap(card, sam, at, seller.as_ref()).into(),
            Work::Taxi(terminal) => {
                let line: TripLine = parse(request)?;
                let meter = TaxiMeter {
                    site: site.clone(),
                    tariffs: tariffs.ok_or(Code::TariffFault)?.clone(),
                    vehicle: self.plate.clone(),
                    metres: line.metres,
                    waiting_seconds: line.waiting_seconds,
                    started: line.started,
                };
                terminal.tap(card, sam, at, &meter).into()
            }
            Work::Meter(terminal, class, vehicle) => {
                let line: StayLine = parse(request)?;
                let meter = ParkingMeter {
                    site: site.clone(),
                    tariffs: tariffs.ok_or(Code::TariffFault)?.clone(),
                    class: class.clone(),
                    vehicle: *vehicle,
                    from: line.from,
                };
                terminal.tap(card, sam, at, &meter).into()
            }
            Work::Kiosk(kiosk) => {
                let line: PinLine = parse(request)?;
                kiosk
                    .proof_of_life(card, sam, pin(&line.pin)?, at, split(random))
                    .into()
            }
            Work::Hospital(window, link) => {
                let line: BillLineRequest = parse(request)?;
                visit(window, link, card, sam, &line, at, random)?
            }
            // Served above.
            Work::Pos(_) => return Err(Code::SamFault.into()),
        };
        Ok(done)
    }
}

fn visit<S: Storage, C: Channel, P: Channel>(
    window: &mut HospitalWindow<S>,
    link: &mut NationalLink,
    card: &mut C,
    sam: &mut SamUnit<P>,
    line: &BillLineRequest,
    at: CardTime,
    random: [u8; 16],
) -> Result<Done, Refusal> {
    let pin = pin(&line.pin)?;
    if window.is_waiting() {
        return Ok(window.resume(card, sam, pin, at).into());
    }
    match window.quote(card, sam, &line.bill, at, split(random), link) {
        Err(result) => Ok((*result).into()),
        Ok(mut quoted) => {
            let settlement = window.settle(card, sam, &mut quoted, pin, at, link);
            Ok(Done {
                result: settlement.result,
                slip: settlement.slip,
            })
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(request: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(request)
        .map_err(|error| Refusal::new(Code::PresentAgain, format!("request line: {error}")))
}

fn pin(digits: &str) -> Result<Pin, Refusal> {
    Pin::from_digits(digits).map_err(|_| Refusal::new(Code::PinWrong, "a PIN has six digits"))
}

fn split(random: [u8; 16]) -> Randoms {
    let (terminal, challenge) = random.split_at(8);
    Randoms {
        terminal: terminal.try_into().unwrap_or_default(),
        challenge: challenge.try_into().unwrap_or_default(),
    }
}

fn work<S: Storage>(
    profile: &DeviceProfile,
    site: &Site,
    tariffs: Option<&Arc<Tariffs>>,
    journal: Journal<S>,
    key: &SigningKey,
) -> Result<Work<S>, RunError> {
    let setup = profile.setup();
    let site = site.clone();
    let needed = |field, value: &Option<String>| -> Result<String, RunError> {
        Ok(profile.need(field, value.as_deref())?.to_owned())
    };
    let route = || needed("route", &profile.route);
    let stop = || needed("stop", &profile.stop);
    let park = || needed("park", &profile.park);
    let vehicle = profile.vehicle_class.unwrap_or(fare::VehicleClass::Small);
    let tariffs = || profile.need("tariffs", tariffs).cloned();
    let seller: Box<dyn Seller> = match profile.kind {
        Kind::Bus => {
            let route = route()?.as_str().into();
            Box::new(BusValidator::new(site, tariffs()?, route).map_err(RunError::Place)?)
        }
        Kind::MetroEntry => {
            let (line, stop) = (route()?.as_str().into(), stop()?.as_str().into());
            Box::new(MetroEntryGate::new(site, tariffs()?, &line, stop).map_err(RunError::Place)?)
        }
        Kind::MetroExit => {
            let (line, stop) = (route()?.as_str().into(), stop()?.as_str().into());
            Box::new(MetroExitGate::new(site, tariffs()?, &line, stop).map_err(RunError::Place)?)
        }
        Kind::CarParkEntry => Box::new(CarParkEntry::new(
            site,
            tariffs()?,
            park()?.as_str().into(),
            vehicle,
        )),
        Kind::CarParkExit => Box::new(CarParkExit::new(
            site,
            tariffs()?,
            park()?.as_str().into(),
            vehicle,
        )),
        Kind::Taxi => {
            profile.need("plate", profile.plate.as_deref())?;
            return Ok(Work::Taxi(PurseTerminal::new(setup, journal)));
        }
        Kind::ParkingMeter => {
            let zone = needed("zone", &profile.zone)?.as_str().into();
            return Ok(Work::Meter(
                PurseTerminal::new(setup, journal),
                zone,
                vehicle,
            ));
        }
        Kind::Pos => {
            let setup = PosSetup {
                acceptance: profile.acceptance(),
                terminal: *profile.need("terminal", profile.terminal.as_ref())?,
                load_max: profile.limits.load_max_fen,
            };
            return Ok(Work::Pos(Pos::new(setup, journal, key.clone())));
        }
        Kind::Kiosk => return Ok(Work::Kiosk(Kiosk::new(profile.acceptance(), journal))),
        Kind::Hospital => return hospital(profile, journal),
    };
    Ok(Work::Sells(PurseTerminal::new(setup, journal), seller))
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
        client: Client::new(&profile.clearing),
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
