//! The driver: one simulated clock, one queue of steps, everything awaited before the next.

use crate::{
    Bench, Progress, Result, WorldError, faults,
    fleet::{self, Device},
    issue::{self, Roster},
    plan::{self, Act, Step},
    report::Report,
    setup::{House, Options},
    tally::Tally,
};
use card_spec::{
    Fen,
    time::{CardDate, CardTime},
};
use clearing_api::{
    Outcome,
    day::DayReport,
    record::{Event, Record},
    registry::ListCard,
};
use hsm_client::{Hsm as _, SignPurpose};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};
use terminal::{Code, hotlist, upload};
use virtual_card::Cut;

/// A finished day: what it came to, and the services, still running.
pub struct Day {
    /// The report.
    pub report: Report,
    /// The services.
    pub house: House,
}

/// How many steps of a mode go through pcscd: pairs where the mode has a way in and out.
const fn through_pcscd(mode: &str) -> usize {
    match mode.as_bytes() {
        b"metro" | b"car_park" => 2,
        _ => 1,
    }
}

/// What is done to a bus tap, counted over the day.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tear {
    /// Answer lost, the card comes back.
    AfterDebit,
    /// Command lost, the card comes back.
    BeforeDebit,
    /// Answer lost, the card never comes back.
    Gone,
}

const TEARS: [(u64, Tear); 3] = [
    (60, Tear::AfterDebit),
    (90, Tear::BeforeDebit),
    (120, Tear::Gone),
];

pub(crate) struct Driver<'a> {
    pub(crate) house: &'a House,
    pub(crate) devices: Vec<Device>,
    pub(crate) roster: Roster,
    pub(crate) bench: Option<Bench>,
    pub(crate) tally: Tally,
    served_by_pcsc: BTreeMap<&'static str, usize>,
    bus_taps: u64,
    pub(crate) torn: Vec<Code>,
    /// Holders whose card is out of use for the rest of the day.
    gone: BTreeSet<usize>,
    lost: Option<usize>,
    genuine: Option<Record>,
    pub(crate) repeated: bool,
    pub(crate) reordered: bool,
    pub(crate) forged: Vec<Outcome>,
    hotlist_key: [u8; 32],
    /// Records that a device out of reach kept overnight.
    pub(crate) late: u64,
}

/// Runs the whole day.
pub fn run(options: &Options, bench: Option<Bench>, progress: &dyn Progress) -> Result<Day> {
    let began = Instant::now();
    let mut measured = BTreeMap::new();
    let mut lap = |name: &str, since: &mut Instant| {
        measured.insert(name.to_owned(), since.elapsed().as_millis() as u64);
        *since = Instant::now();
    };
    let mut since = Instant::now();
    let mut bench = bench;
    let readers = if bench.is_some() { "pcsc" } else { "memory" };

    let house = House::open(options)?;
    lap("ceremony_and_start_ms", &mut since);
    let sams = issue::sams(&house, bench.as_mut(), progress)?;
    let sams_issued = sams.iter().flatten().count() as u64;
    lap("personalise_sams_ms", &mut since);
    let roster = issue::cards(
        &house,
        &options.samples,
        bench.as_mut(),
        house.now(),
        progress,
    )?;
    lap("personalise_cards_ms", &mut since);
    let key = house
        .hsm
        .public_key(SignPurpose::Hotlist)
        .map_err(WorldError::at("reading the hotlist key"))?;
    let hotlist_key = key
        .try_into()
        .map_err(|_| WorldError::at("reading the hotlist key")("length"))?;

    let mut driver = Driver {
        house: &house,
        devices: fleet::build(&house, sams)?,
        roster,
        bench,
        tally: Tally::default(),
        served_by_pcsc: BTreeMap::new(),
        bus_taps: 0,
        torn: Vec::new(),
        gone: BTreeSet::new(),
        lost: None,
        genuine: None,
        repeated: false,
        reordered: false,
        forged: Vec::new(),
        hotlist_key,
        late: 0,
    };
    let (eve, closed) = driver.live(progress)?;
    lap("day_ms", &mut since);
    let again = house
        .staff
        .close_day(closed.day)
        .map_err(WorldError::at("closing the day again"))?;
    let mut report = driver.report(options, readers, &eve, &closed, &again)?;
    report.sams_issued = sams_issued;
    report.sams_issued_pcsc = if readers == "pcsc" { sams_issued } else { 0 };
    lap("checks_ms", &mut since);
    if let Some(bench) = &driver.bench {
        measured.insert("pcsc_insertions".to_owned(), bench.swaps);
    }
    measured.insert("total_ms".to_owned(), began.elapsed().as_millis() as u64);
    report.measured = measured;
    if options.keep_images {
        driver.save_images()?;
    }
    drop(driver);
    Ok(Day { report, house })
}

impl Driver<'_> {
    /// The evening before, and the day. Returns both closed days.
    fn live(&mut self, progress: &dyn Progress) -> Result<(DayReport, DayReport)> {
        let day = self.house.day.date();
        let eve = self.house.now().date();
        let outlines: Vec<_> = self
            .roster
            .holders
            .iter()
            .map(|holder| holder.outline(day))
            .collect();
        let evening = plan::evening(self.house.seed, &outlines, eve)
            .map_err(WorldError::at("planning the evening"))?;
        let steps = plan::day(self.house.seed, &outlines, day)
            .map_err(WorldError::at("planning the day"))?;
        // The first bus is out of reach until ten in the morning: its records arrive late.
        let offline_until = time(day, 10, 0)?;
        if let Some(bus) = self.devices.first_mut() {
            bus.offline_until = Some(offline_until);
        }
        progress.begin(
            "the evening before and the day 前一晚与当日",
            (evening.len() + steps.len()) as u64,
        );
        for step in &evening {
            self.step(step)?;
            progress.step();
            self.house.check_interrupt()?;
        }
        self.house.clock.set(time(eve, 23, 30)?);
        self.sync()?;
        self.house.clock.set(time(day, 0, 30)?);
        let before = self.close(eve)?;

        self.lost = self.pick_lost(&steps);
        let mut hour = 0;
        for step in &steps {
            let now = step.at.clock().0;
            while hour < now {
                hour += 1;
                self.house.clock.set(time(day, hour, 0)?);
                self.on_the_hour(hour)?;
            }
            self.step(step)?;
            progress.step();
            self.house.check_interrupt()?;
        }
        self.house.clock.set(time(day, 23, 50)?);
        self.sync()?;
        self.house
            .clock
            .set(next_day(day).and_then(|next| time(next, 0, 30))?);
        let closed = self.close(day)?;
        progress.end();
        Ok((before, closed))
    }

    fn save_images(&self) -> Result<()> {
        let folder = self.house.dir.join("cards");
        std::fs::create_dir_all(&folder).map_err(WorldError::at("creating the image folder"))?;
        for holder in &self.roster.holders {
            if let Some(card) = &holder.card {
                std::fs::write(folder.join(format!("{}.image", holder.pan)), card.image())
                    .map_err(WorldError::at("saving a card image"))?;
            }
        }
        Ok(())
    }

    fn close(&self, day: CardDate) -> Result<DayReport> {
        self.house
            .staff
            .close_day(day)
            .map_err(WorldError::at("closing the day"))
    }

    /// Somebody who will ride a bus in the evening loses the card at noon.
    fn pick_lost(&self, steps: &[Step]) -> Option<usize> {
        steps
            .iter()
            .filter(|s| s.act == Act::Board && s.at.clock().0 >= 17)
            .map(|s| s.holder)
            .find(|h| *h >= plan::EVENING_RIDERS)
    }

    fn on_the_hour(&mut self, hour: u8) -> Result<()> {
        let lost = self.lost.filter(|_| hour == 12);
        if let Some(holder) = lost.and_then(|h| self.roster.holders.get(h)) {
            let entry = ListCard {
                pan: holder.pan,
                generation: holder.generation,
                reason: "lost".to_owned(),
            };
            self.house
                .staff
                .list_card(&entry)
                .map_err(WorldError::at("listing a card"))?;
        }
        if hour >= 8 {
            if let (false, Some(device)) = (self.repeated, self.devices.get_mut(1)) {
                self.genuine = device
                    .waiting()
                    .into_iter()
                    .find(|r| matches!(&r.event, Event::Purchase(p) if p.amount > Fen::ZERO));
                self.repeated = faults::upload_twice(self.house, device, &mut self.tally)?;
            }
            if let (false, Some(device)) = (self.reordered, self.devices.get_mut(2)) {
                self.reordered = faults::upload_out_of_order(self.house, device, &mut self.tally)?;
            }
        }
        if hour == 15 {
            let genuine = self
                .genuine
                .clone()
                .ok_or_else(|| WorldError::at("forging a record")("no genuine one was seen"))?;
            self.forged = faults::forge(self.house, &genuine, &mut self.tally)?;
        }
        self.sync()
    }

    /// Every device in reach fetches the hotlist and uploads what waits, in device order.
    fn sync(&mut self) -> Result<()> {
        let now = self.house.now();
        let list = self
            .house
            .public
            .hotlist(0)
            .map_err(WorldError::at("fetching the hotlist"))?;
        for device in &mut self.devices {
            if device.offline_until.is_some_and(|until| now < until) {
                continue;
            }
            device
                .hotlist()
                .apply(
                    &list,
                    &hotlist::key_from_hex(&hex::encode(self.hotlist_key))
                        .map_err(WorldError::at("reading the hotlist key"))?,
                )
                .map_err(WorldError::at("applying the hotlist"))?;
            device.confirm_open(&mut self.house.public.clone())?;
            if device.offline_until.take().is_some() {
                let today = now.date();
                let old = device
                    .waiting()
                    .iter()
                    .filter(|r| r.at.date() < today)
                    .count();
                self.late += old as u64;
            }
            let key = device.key.clone();
            let mut client = self.house.public.clone();
            let mut answers = Vec::new();
            while let Some(journal) = device.journal() {
                let answer = upload::upload(journal, &key, 200, &mut client)
                    .map_err(WorldError::at("uploading a batch"))?;
                match answer {
                    Some(answer) => answers.push(answer),
                    None => break,
                }
            }
            for answer in answers {
                self.tally.batch(&answer, &device.via_pcsc);
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<()> {
        if self.gone.contains(&step.holder) {
            return Ok(());
        }
        self.house.clock.set(step.at);
        let mode = step.act.mode();
        let lost = self.lost == Some(step.holder);
        let tear = self.tear(step).filter(|_| !lost);
        let served = self.served_by_pcsc.entry(mode).or_default();
        let through = self.bench.is_some() && tear.is_none() && *served < through_pcscd(mode);
        *served += usize::from(through);

        let holder = self
            .roster
            .holders
            .get_mut(step.holder)
            .ok_or_else(no_such)?;
        let device = self.devices.get_mut(step.post).ok_or_else(no_such)?;
        if let (Some(tear), Some(card)) = (tear, &mut holder.card) {
            let (cla, ins, nth) = (0x80, 0x54, 1);
            card.script(Some(match tear {
                Tear::BeforeDebit => Cut::BeforeApdu { cla, ins, nth },
                Tear::AfterDebit | Tear::Gone => Cut::AfterApdu { cla, ins, nth },
            }));
        }
        let bench = if through { self.bench.as_mut() } else { None };
        let result = device.serve(self.house, step, holder, bench)?;
        self.tally.shown(&result);
        if through {
            self.tally.pcsc_modes.insert(mode);
        }
        if matches!(
            result.code,
            Code::ToppedUp | Code::ConfirmLater | Code::TopUpRefused
        ) {
            self.tally.row(through);
        }
        if result.code == Code::Settled {
            self.tally.row(through);
        }
        if let Some(tear) = tear {
            self.after_tear(step, tear, result.code)?;
        }
        Ok(())
    }

    /// Bus taps of the day are counted; three of them are torn.
    fn tear(&mut self, step: &Step) -> Option<Tear> {
        if step.act != Act::Board || step.at < self.house.day {
            return None;
        }
        self.bus_taps += 1;
        TEARS
            .iter()
            .find(|(n, _)| *n == self.bus_taps)
            .map(|(_, tear)| *tear)
    }

    fn after_tear(&mut self, step: &Step, tear: Tear, code: Code) -> Result<()> {
        self.torn.push(code);
        let device = self.devices.get_mut(step.post).ok_or_else(no_such)?;
        if tear == Tear::Gone {
            self.gone.insert(step.holder);
            if !device.give_up()? {
                return Err(WorldError::at("tearing a card")("no torn debit was open"));
            }
            return Ok(());
        }
        let later = Step {
            at: seconds_later(step.at, 3)?,
            ..*step
        };
        self.house.clock.set(later.at);
        let holder = self
            .roster
            .holders
            .get_mut(step.holder)
            .ok_or_else(no_such)?;
        let result = device.serve(self.house, &later, holder, None)?;
        self.tally.shown(&result);
        self.torn.push(result.code);
        Ok(())
    }
}

fn no_such() -> WorldError {
    WorldError::at("taking a step")("no such holder or device")
}

fn time(day: CardDate, hour: u8, minute: u8) -> Result<CardTime> {
    day.at(hour, minute, 0)
        .map_err(WorldError::at("telling the time"))
}

fn seconds_later(at: CardTime, seconds: u8) -> Result<CardTime> {
    let (h, m, s) = at.clock();
    let (s, carry) = ((s + seconds) % 60, (s + seconds) / 60);
    let (m, h) = ((m + carry) % 60, h + (m + carry) / 60);
    at.date()
        .at(h, m, s)
        .map_err(WorldError::at("telling the time"))
}

fn next_day(day: CardDate) -> Result<CardDate> {
    CardDate::new(day.year(), day.month(), day.day() + 1)
        .or_else(|_| CardDate::new(day.year(), day.month() + 1, 1))
        .map_err(WorldError::at("telling the date"))
}
