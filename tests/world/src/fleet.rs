//! The devices of the province: journals, SAMs, and what a tap does on each.

use crate::{
    Bench, Result, WorldError,
    chance::{Chance, stream_seed},
    issue::{CardHolder, Sam, sam_no},
    network::{DeviceKind, POSTS, Post},
    plan::{Act, Step},
    setup::House,
};
use card_spec::{
    Channel, Fen,
    id::{DeviceNo, RegionCode},
    keys::class,
    time::CardTime,
};
use clearing_api::{
    BatchAnswer, Client, Record,
    national::{Caller, Decimal},
    registry,
};
use ed25519_dalek::SigningKey;
use fare::{RouteId, StopId, VehicleClass};
use std::{collections::BTreeSet, sync::Arc};
use terminal::{
    HospitalWindow, Journal, Kiosk, Pos, PurseTerminal, SamUnit, Setup, TapResult,
    admit::Acceptance,
    device::{
        BusValidator, CarParkEntry, CarParkExit, MetroEntryGate, MetroExitGate, ParkingMeter,
        Seller, Site, TaxiMeter,
    },
    hospital::{Bill, BillLine},
    hotlist::Hotlist,
    journal::FileStorage,
    load::LoadDesk,
    machine::TopUp,
    online::NationalLink,
    person::Randoms,
    result::Refusal,
    upload::{SignedBatch, accept_answer},
};
use virtual_card::VirtualCard;

/// The software of a device.
enum Machine {
    Purse(Box<PurseTerminal<FileStorage>>),
    Pos(Box<Pos<FileStorage>>),
    Window(Box<(HospitalWindow<FileStorage>, NationalLink)>),
    Kiosk(Box<Kiosk<FileStorage>>),
}

/// One device.
pub(crate) struct Device {
    /// Its place in [`POSTS`].
    pub post: &'static Post,
    /// Device number.
    pub no: DeviceNo,
    /// Upload key.
    pub key: SigningKey,
    machine: Machine,
    sam: Option<SamUnit<VirtualCard>>,
    /// Uploads nothing before this time.
    pub offline_until: Option<CardTime>,
    /// Journal sequences of records made through pcscd.
    pub via_pcsc: BTreeSet<u64>,
    region: RegionCode,
    chance: Chance,
}

/// Builds the devices over their personalised SAMs and registers them with clearing.
pub(crate) fn build(house: &House, sams: Vec<Option<Sam>>) -> Result<Vec<Device>> {
    let mut devices = Vec::new();
    for (index, sam) in sams.into_iter().enumerate() {
        let Some(post) = POSTS.get(index) else { break };
        let region = house.region_of(post.operator)?;
        let no = device_no(index)?;
        let key = SigningKey::from_bytes(&stream_seed(house.seed, &format!("device/{no}")));
        house
            .issuer
            .put_device(&registry::Device {
                device: no,
                operator: post.operator.to_owned(),
                public_key: hex::encode(key.verifying_key().to_bytes()),
            })
            .map_err(WorldError::at("registering a device"))?;
        let sam = match sam {
            Some(Sam { plan, card }) => {
                house
                    .issuer
                    .put_sam(&plan.registry_sam(post.operator))
                    .map_err(WorldError::at("registering a SAM"))?;
                Some(open_sam(post, card)?)
            }
            None => None,
        };
        let path = house.dir.join("journals").join(format!("{no}.journal"));
        let storage = FileStorage::open(&path).map_err(WorldError::at("opening a journal"))?;
        let journal = Journal::open(storage, no, clearing_api::limits::JOURNAL_BYTES)
            .map_err(WorldError::at("opening a journal"))?;
        let machine = machine(house, post, index, region, &key, journal)?;
        let chance = Chance::stream(house.seed, &format!("terminal/{no}"));
        devices.push(Device {
            post,
            no,
            key,
            machine,
            sam,
            offline_until: None,
            via_pcsc: BTreeSet::new(),
            region,
            chance,
        });
    }
    Ok(devices)
}

/// Number of the device at a post.
pub(crate) fn device_no(post: usize) -> Result<DeviceNo> {
    format!("350100000000{:04}", post + 1)
        .parse()
        .map_err(WorldError::at("numbering a device"))
}

fn open_sam<P: Channel>(post: &Post, channel: P) -> Result<SamUnit<P>> {
    let opened = if post.class().is_some() {
        SamUnit::open_purse(channel)
    } else {
        SamUnit::open_social_security(channel)
    };
    opened.map_err(WorldError::at("opening a SAM"))
}

fn machine(
    house: &House,
    post: &Post,
    index: usize,
    region: RegionCode,
    key: &SigningKey,
    journal: Journal<FileStorage>,
) -> Result<Machine> {
    let acceptance = Acceptance {
        region,
        sample_cards: false,
    };
    let setup = Setup {
        acceptance,
        class: post.class().unwrap_or(class::TRANSIT),
        per_tap_max: Fen::yuan(300),
        passback_seconds: 60,
        same_card_seconds: 10,
        torn_ride_seconds: 1_800,
    };
    let loads = |terminal| LoadDesk {
        acceptance,
        terminal,
        load_max: Fen::yuan(1_000),
        key: key.clone(),
    };
    Ok(match post.kind {
        DeviceKind::Pos => {
            let pos = Pos::new(setup, loads(sam_no(index)?), journal);
            Machine::Pos(Box::new(pos))
        }
        DeviceKind::Kiosk => {
            let kiosk = Kiosk::new(loads(sam_no(index)?), journal);
            Machine::Kiosk(Box::new(kiosk))
        }
        DeviceKind::Window => {
            let caller = Caller {
                fixmedins_code: post.operator.to_owned(),
                fixmedins_name: house.name_of(post.operator)?,
                mdtrtarea: region,
                opter: "0001".to_owned(),
                opter_name: "合成收费员".to_owned(),
                sign_no: None,
            };
            let credentials = house.credentials(post.operator)?;
            let link = NationalLink {
                client: Client::new(&house.address),
                credentials,
            };
            Machine::Window(Box::new((
                HospitalWindow::new(acceptance, caller, journal),
                link,
            )))
        }
        _ => Machine::Purse(Box::new(PurseTerminal::new(setup, journal))),
    })
}

impl Device {
    /// Serves one step. With a bench, card and SAM go through pcscd.
    pub(crate) fn serve(
        &mut self,
        house: &House,
        step: &Step,
        holder: &mut CardHolder,
        bench: Option<&mut Bench>,
    ) -> Result<TapResult> {
        let no_card = || WorldError::at("presenting a card")("a reader still holds it");
        let through = bench.is_some();
        let pin = holder.pin;
        let result = match (bench, self.sam.take()) {
            (Some(bench), Some(sam)) => {
                let mut chip = Some(sam.into_channel());
                let post = self.post;
                let result = bench.with_both(&mut holder.card, &mut chip, |card, channel| {
                    let mut sam = open_sam(post, channel)?;
                    self.work(house, step, pin, card, Some(&mut sam))
                })??;
                let chip = chip.ok_or_else(no_card)?;
                self.sam = Some(open_sam(post, chip)?);
                result
            }
            (Some(bench), None) => bench.with_card(&mut holder.card, |card| {
                self.work(house, step, pin, card, None::<&mut SamUnit<VirtualCard>>)
            })??,
            (None, mut sam) => {
                let card = holder.card.as_mut().ok_or_else(no_card)?;
                let result = self.work(house, step, pin, card, sam.as_mut())?;
                self.sam = sam;
                result
            }
        };
        if through {
            self.via_pcsc.extend(result.journal.iter().copied());
        }
        Ok(result)
    }

    fn work<C: Channel + ?Sized, P: Channel>(
        &mut self,
        house: &House,
        step: &Step,
        pin: terminal::card::Pin,
        card: &mut C,
        sam: Option<&mut SamUnit<P>>,
    ) -> Result<TapResult> {
        let seller = match &self.machine {
            Machine::Purse(_) => Some(self.seller(house, step)?),
            _ => None,
        };
        let randoms = Randoms {
            terminal: self.chance.bytes(),
            challenge: self.chance.bytes(),
        };
        let bill = match step.act {
            Act::Visit { draw } => Some(bill(house, step, draw)?),
            _ => None,
        };
        let wrong = || WorldError::at("serving a step")("the device cannot do that");
        Ok(match (&mut self.machine, sam) {
            (Machine::Purse(terminal), Some(sam)) => {
                let seller = seller.ok_or_else(wrong)?;
                terminal.tap(card, sam, step.at, &*seller)
            }
            (Machine::Pos(pos), _) => {
                let Act::TopUp { amount } = step.act else {
                    return Err(wrong());
                };
                let wish = TopUp {
                    amount_fen: amount,
                    paid_by: "cash".to_owned(),
                    pin,
                };
                pos.top_up(card, &wish, step.at, &mut house.public.clone())
            }
            (Machine::Kiosk(kiosk), Some(sam)) => {
                kiosk.proof_of_life(card, sam, pin, step.at, randoms)
            }
            (Machine::Window(both), Some(sam)) => {
                let (window, link) = &mut **both;
                let bill = bill.ok_or_else(wrong)?;
                match window.quote(card, sam, &bill, step.at, randoms, link) {
                    Ok(mut quoted) => {
                        window
                            .settle(card, sam, &mut quoted, pin, step.at, link)
                            .result
                    }
                    Err(refused) => *refused,
                }
            }
            (_, None) => return Err(wrong()),
        })
    }

    fn seller(&self, house: &House, step: &Step) -> Result<Box<dyn Seller>> {
        let site = Site {
            device: self.no,
            operator: self.post.operator.to_owned(),
            region: self.region,
        };
        let tariffs = Arc::clone(&house.tariffs);
        let place = self.post.place;
        let doing = || refused("setting up a device");
        let stop = || -> Result<(RouteId, StopId)> {
            let operator = self.post.operator.into();
            let stop: StopId = place.into();
            house
                .tariffs
                .routes(&operator)
                .into_iter()
                .find(|route| route.stops.contains(&stop))
                .map(|route| (route.id.clone(), stop.clone()))
                .ok_or_else(|| WorldError::at("finding a station's line")(place))
        };
        Ok(match step.act {
            Act::Board => {
                Box::new(BusValidator::new(site, tariffs, place.into()).map_err(doing())?)
            }
            Act::Enter => {
                let (line, stop) = stop()?;
                Box::new(MetroEntryGate::new(site, tariffs, &line, stop).map_err(doing())?)
            }
            Act::Leave => {
                let (line, stop) = stop()?;
                Box::new(MetroExitGate::new(site, tariffs, &line, stop).map_err(doing())?)
            }
            Act::Taxi {
                metres,
                waiting_seconds,
                started,
            } => Box::new(TaxiMeter {
                site,
                tariffs,
                vehicle: "闽ASYN01".to_owned(),
                metres,
                waiting_seconds,
                started,
            }),
            Act::Meter { from } => Box::new(ParkingMeter {
                site,
                tariffs,
                class: place.into(),
                vehicle: VehicleClass::Small,
                from,
            }),
            Act::ParkIn => Box::new(CarParkEntry::new(
                site,
                tariffs,
                place.into(),
                VehicleClass::Small,
            )),
            Act::ParkOut => Box::new(CarParkExit::new(
                site,
                tariffs,
                place.into(),
                VehicleClass::Small,
            )),
            _ => return Err(WorldError::at("setting up a device")("no purse act")),
        })
    }

    /// The journal of a device that uploads records; a point of sale asks online.
    pub(crate) fn journal(&mut self) -> Option<&mut Journal<FileStorage>> {
        match &mut self.machine {
            Machine::Purse(t) => Some(t.journal_mut()),
            Machine::Pos(_) => None,
            Machine::Window(w) => Some(w.0.journal_mut()),
            Machine::Kiosk(k) => Some(k.journal_mut()),
        }
    }

    /// Records that wait for an answer.
    pub(crate) fn waiting(&mut self) -> Vec<Record> {
        self.journal()
            .map(|j| j.waiting().cloned().collect())
            .unwrap_or_default()
    }

    /// The clearing house's answer to a batch of this device.
    pub(crate) fn accept(&mut self, batch: &SignedBatch, answer: &BatchAnswer) -> Result<()> {
        match self.journal() {
            Some(journal) => {
                accept_answer(journal, batch, answer).map_err(WorldError::at("reading an answer"))
            }
            None => Ok(()),
        }
    }

    /// The hotlist the device holds.
    pub(crate) fn hotlist(&mut self) -> &mut Hotlist {
        match &mut self.machine {
            Machine::Purse(t) => t.hotlist_mut(),
            Machine::Pos(p) => p.hotlist_mut(),
            Machine::Window(w) => w.0.hotlist_mut(),
            Machine::Kiosk(k) => k.hotlist_mut(),
        }
    }

    /// The torn card did not come back: its record goes on as *unknown*.
    pub(crate) fn give_up(&mut self) -> Result<bool> {
        match &mut self.machine {
            Machine::Purse(t) => t
                .give_up()
                .map(|record| record.is_some())
                .map_err(refused("giving up a torn debit")),
            _ => Ok(false),
        }
    }

    /// Confirms loads whose confirmation was lost.
    pub(crate) fn confirm_open(&mut self, client: &mut Client) -> Result<()> {
        if let Machine::Pos(pos) = &mut self.machine {
            pos.confirm_open(client)
                .map_err(refused("confirming top-ups"))?;
        }
        Ok(())
    }
}

/// A refusal of a device as an error of the run.
fn refused(doing: &'static str) -> impl FnOnce(Refusal) -> WorldError {
    move |refusal| WorldError::at(doing)(format!("{} {}", refusal.code.en(), refusal.detail))
}

/// A bill of two to four lines out of the catalogue, from a draw.
fn bill(house: &House, step: &Step, draw: u32) -> Result<Bill> {
    let items: Vec<_> = house
        .catalogue
        .iter()
        .filter(|item| {
            item.price_limit
                .is_some_and(|limit| limit <= Fen::yuan(1_000))
        })
        .collect();
    let mut chance = Chance::stream(u64::from(draw), "bill");
    let mut lines = Vec::new();
    for _ in 0..chance.between(2, 4) {
        let Some(item) = chance.pick(&items) else {
            break;
        };
        let count = i64::from(chance.between(1, 3));
        // Prices around the limit: some lines are over it.
        let limit = item.price_limit.unwrap_or(Fen(1_000));
        let price = Fen(limit.0 * i64::from(chance.between(60, 120)) / 100);
        lines.push(BillLine {
            med_list_codg: item.code.to_string(),
            cnt: Decimal(count * 10_000),
            pric: Decimal(price.0 * 10_000),
            amount: Fen(price.0 * count),
        });
    }
    Ok(Bill {
        ipt_otp_no: format!("OP{:010}", draw),
        med_type: "11".to_owned(),
        doctor: ("D0001".to_owned(), "合成医师".to_owned()),
        department: ("0300".to_owned(), "内科".to_owned()),
        caty: "A03".to_owned(),
        lines,
    })
    .and_then(|bill: Bill| {
        if bill.lines.is_empty() {
            Err(WorldError::at("writing a bill")(step.at))
        } else {
            Ok(bill)
        }
    })
}
