//! From the sample file to cards in people's hands.

use crate::{
    Bench, Progress, Result, WorldError,
    chance::{Chance, stream_seed},
    network::POSTS,
    plan::Holder,
    setup::House,
};
use card_spec::{
    Channel, SuiteId,
    id::{Generation, Pan, RegionCode, SamNo},
    time::{CardDate, CardTime},
};
use issuance::{
    intake::{self, Rules},
    issue::{Issued, Line},
    order::{CardOptions, Purpose, StaffId},
    person::{Person, age_on},
    personalise::{Expect, Station},
    plan::{Policy, SamKind, SamPlan},
    register,
};
use std::{collections::BTreeSet, path::Path};
use terminal::card::Pin;
use virtual_card::VirtualCard;

/// How many user cards go through pcscd when there is one.
pub(crate) const PCSC_CARDS: usize = 20;

/// A person with a card.
pub(crate) struct CardHolder {
    /// The person.
    pub person: Person,
    /// Card number.
    pub pan: Pan,
    /// Generation.
    pub generation: Generation,
    /// The PIN of the letter.
    pub pin: Pin,
    /// The card, unless a reader holds it.
    pub card: Option<VirtualCard>,
}

impl CardHolder {
    /// What the plan of the day needs to know.
    pub(crate) fn outline(&self, day: CardDate) -> Holder {
        let region = self.person.region;
        let city = region.to_bytes()[1];
        Holder {
            region,
            age: age_on(self.person.birth, day),
            pensioner: self.person.pension.is_some(),
            resident: self.person.scheme.code() == "390",
            insured: matches!(self.person.scheme.code(), "310" | "390")
                && matches!(city, 0x01 | 0x02)
                && region.to_bytes()[0] == 0x35,
        }
    }
}

/// What intake and issue came to.
pub(crate) struct Roster {
    /// Holders, in card number order.
    pub holders: Vec<CardHolder>,
    /// Refused rows.
    pub errors: Vec<crate::report::IntakeError>,
    /// Number of refused rows.
    pub refused: u64,
    /// Cards personalised through pcscd.
    pub via_pcsc: u64,
    /// Bytes compared in read-back.
    pub compared: u64,
}

fn staff(name: &str) -> Result<StaffId> {
    name.parse().map_err(|_| WorldError::Failed {
        doing: "naming staff".to_owned(),
        why: name.to_owned(),
    })
}

/// A blank from the card maker: transport keys under its chip serial.
fn blank(house: &House, serial: u64) -> Result<VirtualCard> {
    let text = format!("{serial:020}");
    let mut chip = [0u8; 10];
    for (byte, pair) in chip.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = (pair[0] - b'0') << 4 | (pair[1] - b'0');
    }
    let keys = house
        .manufacturer
        .transport_keys(chip)
        .map_err(WorldError::at("deriving transport keys"))?;
    VirtualCard::blank(chip, keys, stream_seed(house.seed, &format!("chip/{text}")))
        .map_err(WorldError::at("making a blank card"))
}

/// Runs `work` on a card, through pcscd when `bench` is given.
fn on_card<R>(
    bench: Option<&mut Bench>,
    card: &mut Option<VirtualCard>,
    work: impl FnOnce(&mut dyn Channel) -> R,
) -> Result<R> {
    match (bench, card) {
        (Some(bench), card) => Ok(bench.with_card(card, work)?),
        (None, Some(card)) => Ok(work(card)),
        (None, None) => Err(WorldError::Failed {
            doing: "using a card".to_owned(),
            why: "it is still in a reader".to_owned(),
        }),
    }
}

/// A personalised SAM.
pub(crate) struct Sam {
    /// What is on it.
    pub plan: SamPlan,
    /// The chip.
    pub card: VirtualCard,
}

/// Personalises the SAM of every post, all of them through pcscd when there is one.
pub(crate) fn sams(
    house: &House,
    mut bench: Option<&mut Bench>,
    progress: &dyn Progress,
) -> Result<Vec<Option<Sam>>> {
    let regions: Vec<RegionCode> = Rules::fujian(house.day.date())
        .regions
        .into_iter()
        .collect();
    let mut chance = Chance::stream(house.seed, "sam-challenges");
    let total = POSTS.iter().filter(|p| p.has_sam()).count() as u64;
    progress.begin("personalising SAMs 个人化PSAM", total);
    let mut out = Vec::new();
    for (index, post) in POSTS.iter().enumerate() {
        if !post.has_sam() {
            out.push(None);
            continue;
        }
        let kind = match post.class() {
            Some(class) => SamKind::Purchase(class),
            None => SamKind::Social,
        };
        let plan = SamPlan::new(sam_no(index)?, kind, &SuiteId::ALL, &regions, 1_000_000)
            .map_err(WorldError::at("planning a SAM"))?;
        let mut card = Some(blank(house, 9_000_000 + index as u64)?);
        let mut challenge = || chance.bytes();
        on_card(bench.as_deref_mut(), &mut card, |mut channel| {
            Station::new(&*house.hsm, &mut challenge, &mut ()).sam(
                &mut channel,
                &plan,
                Expect::Blank,
            )
        })?
        .map_err(WorldError::at("personalising a SAM"))?;
        let mut card = card.ok_or_else(|| WorldError::at("taking the SAM back")("reader"))?;
        card.power_cycle();
        out.push(Some(Sam { plan, card }));
        progress.step();
        house.check_interrupt()?;
    }
    progress.end();
    Ok(out)
}

/// SAM number of a post; a point of sale without SAM uses the number as its terminal number.
pub(crate) fn sam_no(post: usize) -> Result<SamNo> {
    format!("35010000{:04}", post + 1)
        .parse()
        .map_err(WorldError::at("numbering a SAM"))
}

/// Intake of the sample file, orders with four eyes, personalisation, registration, hand-over.
pub(crate) fn cards(
    house: &House,
    samples: &Path,
    mut bench: Option<&mut Bench>,
    now: CardTime,
    progress: &dyn Progress,
) -> Result<Roster> {
    let bytes = std::fs::read(samples).map_err(WorldError::at("reading the sample persons"))?;
    let report = intake::read(&bytes, &Rules::fujian(now.date()))
        .map_err(WorldError::at("intake of the sample persons"))?;
    let (maker, checker) = (staff("lin-xiaoman")?, staff("chen-guoqing")?);
    let office = &house.office;
    let store = office.store();
    let doing = WorldError::at::<issuance::store::StoreError>;
    office
        .wait(store.import(&report.persons, &maker, now))
        .map_err(doing("importing persons"))?;
    let blanks = report.persons.len() as u32 + 20;
    office
        .wait(store.receive_blanks(blanks, &maker, now))
        .map_err(doing("receiving blanks"))?;

    let mut issued: Vec<(Issued, VirtualCard)> = Vec::new();
    let mut via_pcsc = 0;
    let mut chance = Chance::stream(house.seed, "card-challenges");
    progress.begin("personalising cards 个人化", report.persons.len() as u64);
    for suite in SuiteId::ALL {
        let persons = report
            .persons
            .iter()
            .enumerate()
            .filter(|(i, _)| suite_of(*i) == suite)
            .map(|(_, p)| p.psn_no.clone())
            .collect();
        let options = CardOptions {
            suite,
            ..CardOptions::default()
        };
        let order = office
            .wait(store.draft(Purpose::First { persons }, options, &maker, now))
            .map_err(doing("drawing up an order"))?;
        office
            .wait(store.approve(order.id, &checker, now))
            .map_err(doing("approving an order"))?;
        let queue = office
            .wait(store.queue(order.id, 10_000))
            .map_err(doing("reading the queue"))?;
        let policy = Policy::default();
        let line = Line {
            office,
            hsm: &*house.hsm,
            policy: &policy,
            staff: &maker,
        };
        for work in queue {
            let mut card = Some(blank(house, 1 + issued.len() as u64)?);
            let through = if issued.len() < PCSC_CARDS {
                bench.as_deref_mut()
            } else {
                None
            };
            via_pcsc += u64::from(through.is_some());
            let mut challenge = || chance.bytes();
            let done = on_card(through, &mut card, |channel| {
                line.issue(
                    &work,
                    channel,
                    Expect::Blank,
                    &mut challenge,
                    now,
                    &mut |_| (),
                )
            })?
            .map_err(WorldError::at("personalising a card"))?;
            let mut card = card.ok_or_else(|| WorldError::at("taking the card back")("reader"))?;
            card.power_cycle();
            issued.push((done, card));
            progress.step();
            house.check_interrupt()?;
        }
    }
    progress.end();

    let only: Vec<Issued> = issued.iter().map(|(i, _)| i.clone()).collect();
    register::all(&house.issuer, &only)
        .map_err(WorldError::at("registering cards with clearing"))?;
    let mut holders = Vec::new();
    let mut compared = 0;
    for (done, card) in issued {
        hand_over(house, done.plan.pan, &maker, now)?;
        compared += done.finished.compared as u64;
        let letter = done
            .finished
            .letter
            .as_ref()
            .map(|l| l.reveal().to_owned())
            .unwrap_or_default();
        holders.push(CardHolder {
            pan: done.plan.pan,
            generation: done.plan.generation,
            pin: Pin::from_digits(&letter).map_err(WorldError::at("opening a PIN letter"))?,
            person: done.work.person,
            card: Some(card),
        });
    }
    Ok(Roster {
        holders,
        refused: report
            .errors
            .iter()
            .map(|e| e.line)
            .collect::<BTreeSet<_>>()
            .len() as u64,
        errors: report
            .errors
            .iter()
            .map(|e| crate::report::IntakeError {
                row: e.line,
                field: e.field.to_owned(),
                message: format!("{} {}", e.zh, e.en),
            })
            .collect(),
        via_pcsc,
        compared,
    })
}

/// Most cards are AES; some carry SM4 and some 3DES keys, as a province in transition has them.
const fn suite_of(index: usize) -> SuiteId {
    match index % 20 {
        3 => SuiteId::Sm4,
        7 => SuiteId::Tdes,
        _ => SuiteId::Aes,
    }
}

fn hand_over(house: &House, pan: Pan, who: &StaffId, now: CardTime) -> Result<()> {
    use issuance::life::CardEvent;
    for event in [CardEvent::Deliver, CardEvent::Activate] {
        house
            .office
            .wait(house.office.store().event(pan, event, who, now))
            .map_err(WorldError::at("handing a card over"))?;
    }
    Ok(())
}
