//! One device of any kind: what it needs and what it does with a card.

use std::sync::Arc;

use card_spec::{Channel, id::SamNo, time::CardTime};
use clearing_api::{Client, national};
use ed25519_dalek::{SigningKey, VerifyingKey};
use fare::{ModeHistory, ModeSpan, StationMode, Tariffs};

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
    machine::{self, BillOrder, Mode, ModeOrder, Model, Modes, Row, Served, Task},
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

    /// Works by the limits of `profile` and by other tariffs, or by its own; what it has journalled
    /// and its torn debit stay. After an error all is as before.
    pub(super) fn adopt(
        &mut self,
        profile: &DeviceProfile,
        tariffs: Option<&Arc<Tariffs>>,
    ) -> Result<(), RunError> {
        let own = self.own_tariffs.as_ref();
        // One that prices nothing has no use for any.
        let tariffs = own.map(|own| tariffs.unwrap_or(own));
        let trade = Trade::of(profile, &self.site, tariffs)?;
        let setup = profile.setup();
        match (&mut self.work, trade) {
            (Work::Sells(terminal, seller), Trade::Sells(new)) => {
                terminal.adopt(setup);
                *seller = new;
            }
            (Work::Bus(terminal, bus), Trade::Bus(new)) => {
                terminal.adopt(setup);
                *bus = new;
            }
            (Work::Desk(terminal, desk), Trade::Desk(new)) => {
                terminal.adopt(setup);
                *desk = new;
            }
            (Work::Inspector(terminal, inspection), Trade::Inspector(new)) => {
                terminal.adopt(setup);
                *inspection = new;
            }
            (Work::Taxi(terminal) | Work::Meter(terminal, ..), _) => terminal.adopt(setup),
            (Work::Pos(pos), _) => pos.adopt(setup, profile.limits.load_max_fen),
            (Work::Kiosk(kiosk), _) => kiosk.adopt(profile.limits.load_max_fen),
            // The kind of a device does not change; a hospital window has no such limits.
            _ => {}
        }
        self.tariffs = tariffs.cloned();
        Ok(())
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

    /// Sends confirmations of top-ups that are still outstanding.
    pub(super) fn confirm_open(&mut self, client: &mut Client) -> Result<(), Refusal> {
        match &mut self.work {
            Work::Pos(pos) => pos.confirm_open(client).map(|_| ()),
            Work::Kiosk(kiosk) => kiosk.confirm_open(client).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Does a task with a presented card.
    pub(super) fn perform<C: Channel, P: Channel>(
        &mut self,
        task: &Task,
        card: &mut C,
        sam: Option<&mut SamUnit<P>>,
        at: CardTime,
        random: [u8; 16],
        client: &mut Client,
    ) -> Served {
        match self.try_perform(task, card, sam, at, random, client) {
            Ok(served) => served,
            Err(refusal) => self.refuse(at, refusal),
        }
    }

    /// What a refusal before any card looks like.
    pub(super) fn refuse(&self, at: CardTime, refusal: Refusal) -> Served {
        Note::default()
            .finish(self.site.device, at, Err(refusal))
            .into()
    }

    fn try_perform<C: Channel, P: Channel>(
        &mut self,
        task: &Task,
        card: &mut C,
        sam: Option<&mut SamUnit<P>>,
        at: CardTime,
        random: [u8; 16],
        client: &mut Client,
    ) -> Result<Served, Refusal> {
        if matches!(task, Task::Operator | Task::TestCard) {
            let device = self.site.device;
            return Ok(read::number(card, task, device, at).into());
        }
        match (&mut self.work, task) {
            (Work::Pos(pos), Task::TopUp(wish)) => {
                return Ok(pos.top_up(card, wish, at, client).into());
            }
            (Work::Kiosk(kiosk), Task::TopUp(wish)) => {
                return Ok(kiosk.top_up(card, wish, at, client).into());
            }
            _ => {}
        }
        let device = self.site.device;
        match (&self.work, task) {
            (Work::Inspector(terminal, inspection), Task::Inspect) => {
                let hotlist = terminal.hotlist();
                return Ok(read::inspect(card, inspection, hotlist, at));
            }
            (Work::Desk(_, desk), Task::Correct(wish)) if wish.look => {
                return Ok(read::examine(card, desk, wish, device, at));
            }
            (Work::Pos(_) | Work::Kiosk(_), Task::Balance) => {
                return Ok(read::balance(card, device, at));
            }
            _ => {}
        }
        let sam = sam.ok_or(Code::SamFault)?;
        let (site, tariffs) = (&self.site, self.tariffs.as_ref());
        let served = match (&mut self.work, task) {
            (Work::Sells(terminal, seller), Task::Sell(_)) => {
                terminal.tap(card, sam, at, seller.as_ref()).into()
            }
            (Work::Bus(terminal, bus), Task::Sell(sale)) => {
                let bus = bus.clone().for_companion(sale.companion);
                let bus = bus.through(sale.sections);
                terminal.tap(card, sam, at, &bus).into()
            }
            (Work::Desk(terminal, desk), Task::Correct(wish)) => {
                let desk = desk.visit(wish.area, wish.named.clone());
                terminal.tap(card, sam, at, &desk).into()
            }
            (Work::Pos(pos), Task::Goods(goods)) => {
                let till = Till {
                    site: site.clone(),
                    amount: goods.sale_fen,
                    receipt: goods.receipt.clone(),
                };
                pos.till().tap(card, sam, at, &till).into()
            }
            (Work::Pos(pos), Task::Pass(wish)) => {
                let sale = PassSale {
                    site: site.clone(),
                    tariffs: tariffs.ok_or(Code::TariffFault)?.clone(),
                    pass: wish.pass.clone(),
                    from: wish.from.unwrap_or(at),
                };
                pos.till().tap(card, sam, at, &sale).into()
            }
            (Work::Taxi(terminal), Task::Trip(trip)) => {
                let meter = TaxiMeter {
                    site: site.clone(),
                    tariffs: tariffs.ok_or(Code::TariffFault)?.clone(),
                    vehicle: self.plate.clone(),
                    metres: trip.metres,
                    waiting_seconds: trip.waiting_seconds,
                    started: trip.started,
                };
                terminal.tap(card, sam, at, &meter).into()
            }
            (Work::Meter(terminal, class, vehicle), Task::Stay(stay)) => {
                let meter = ParkingMeter {
                    site: site.clone(),
                    tariffs: tariffs.ok_or(Code::TariffFault)?.clone(),
                    class: class.clone(),
                    vehicle: *vehicle,
                    from: stay.from,
                };
                terminal.tap(card, sam, at, &meter).into()
            }
            (Work::Kiosk(kiosk), Task::ProofOfLife(proof)) => kiosk
                .proof_of_life(card, sam, proof.pin, at, split(random))
                .into(),
            (Work::Kiosk(kiosk), Task::LossReport(report)) => {
                let result = kiosk.report_loss(card, sam, report.pin, at, split(random));
                let receipt = result.journal.first();
                let receipt =
                    receipt.map(|seq| Row::new("受理号", "Receipt", format!("{device}-{seq}")));
                Served {
                    result,
                    rows: receipt.into_iter().collect(),
                    slip: None,
                }
            }
            (Work::Hospital(window, link), Task::Bill(order)) => {
                visit(window, link, card, sam, order, at, random)
            }
            _ => {
                let why = "this device cannot do that; look at its kind in the profile";
                return Err(Refusal::new(Code::PresentAgain, why));
            }
        };
        Ok(served)
    }

    /// The torn card did not come back: its record goes on as unknown.
    pub(super) fn give_up(&mut self) -> Result<(), Refusal> {
        match &mut self.work {
            Work::Sells(t, _) | Work::Bus(t, _) | Work::Desk(t, _) => t.give_up().map(|_| ()),
            Work::Taxi(t) | Work::Meter(t, ..) | Work::Inspector(t, _) => t.give_up().map(|_| ()),
            Work::Pos(pos) => pos.till().give_up().map(|_| ()),
            // These ask for the card again as long as it takes.
            Work::Kiosk(_) | Work::Hospital(..) => Ok(()),
        }
    }

    /// The modes that the tariffs in effect name for its station, as orders.
    pub(super) fn station_orders(&self, profile: &DeviceProfile) -> Vec<ModeOrder> {
        let Some((tariffs, stop)) = self.tariffs.as_ref().zip(profile.stop.as_deref()) else {
            return Vec::new();
        };
        let (operator, stop) = (self.site.operator.as_str().into(), stop.into());
        let order = |mode, from| ModeOrder { mode, from };
        let shown = tariffs.modes_of(&operator, &stop).filter_map(|span| {
            let mode = match span.mode {
                StationMode::TrainFailure => Mode::TrainFailure,
                StationMode::EmergencyRelease => Mode::EmergencyRelease,
                // Nothing of them shows at a gate.
                StationMode::OrderBypass | StationMode::TimeBypass | StationMode::FareBypass => {
                    return None;
                }
            };
            Some((order(mode, span.from), span.to))
        });
        let (begins, ends): (Vec<_>, Vec<_>) = shown.unzip();
        // One that ends as the next begins does not end that one.
        let ends = ends.into_iter().flatten();
        let ends = ends.map(|to| order(Mode::Normal, to));
        ends.chain(begins).collect()
    }

    /// Takes over the modes of the last seven days: gates and desks judge unfinished journeys by
    /// them. An order is for the whole network.
    pub(super) fn learn(&mut self, modes: &Modes) {
        let operator = fare::OperatorId::from(self.site.operator.as_str());
        let ends = modes.history().iter().skip(1).map(|next| Some(next.from));
        let spans = modes.history().iter().zip(ends.chain([None]));
        let history = spans.filter_map(|(order, to)| {
            let mode = match order.mode {
                Mode::TrainFailure => StationMode::TrainFailure,
                Mode::EmergencyRelease => StationMode::EmergencyRelease,
                Mode::Normal | Mode::Closed | Mode::Degraded | Mode::Test => return None,
            };
            Some(ModeSpan {
                operator: operator.clone(),
                stops: Vec::new(),
                mode,
                from: order.from,
                to,
            })
        });
        let history = ModeHistory(history.collect());
        match &mut self.work {
            Work::Sells(_, seller) => seller.learn(&history),
            Work::Desk(_, desk) => desk.learn(&history),
            _ => {}
        }
    }
}

fn visit<S: Storage, C: Channel, P: Channel>(
    window: &mut HospitalWindow<S>,
    link: &mut NationalLink,
    card: &mut C,
    sam: &mut SamUnit<P>,
    order: &BillOrder,
    at: CardTime,
    random: [u8; 16],
) -> Served {
    if window.is_waiting() {
        return window.resume(card, sam, order.pin, at).into();
    }
    match window.quote(card, sam, &order.bill, at, split(random), link) {
        Err(result) => (*result).into(),
        Ok(mut quoted) => {
            let settlement = window.settle(card, sam, &mut quoted, order.pin, at, link);
            Served {
                result: settlement.result,
                rows: Vec::new(),
                slip: settlement.slip,
            }
        }
    }
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
