//! The loop of a running device: what happens goes to the machine, what it decides is done here.

mod card;

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::{Duration, Instant},
};

use card_reader::Seen;
use card_spec::time::CardTime;
use clearing_api::Client;

use super::{
    Line, Place, RunError, Slot, Slots,
    adopt::Governed,
    certificate::Certificate,
    courier::Courier,
    downlink::Downlink,
    kept::Keeper,
    line::{self, Input},
    pool::SamPool,
    slot::{self, CountedSam, Field},
    work::Device,
};
use crate::{
    code::{Code, Verdict},
    hotlist::HotlistStore,
    journal::Storage,
    machine::{Action, Event, Machine, Presence, Served, Store, TariffState, Task},
    meter::{Cost, Meter},
    profile::DeviceProfile,
    result::{Refusal, TapResult},
};

/// How long a device that starts waits for its first SAM.
const SAM_START: Duration = Duration::from_secs(10);

/// How long a card whose SAM failed waits for another one, or for this one after a reset.
const SAM_WAIT: Duration = Duration::from_millis(500);

/// How long a device sleeps that nothing wakes: lines, reports and changes in the slots do.
const GLANCE: Duration = Duration::from_millis(200);

/// Most request lines held while the device is busy; further ones stay in the pipe.
const REQUESTS_MAX: usize = 16;

/// What a device takes from outside.
pub struct Surroundings<'a> {
    /// The computer's clock, which staff can set.
    pub now: &'a dyn Fn() -> io::Result<CardTime>,
    /// Seconds by a clock that nobody can set.
    pub steady: &'a dyn Fn() -> i64,
    /// Counts what a tap costs; the journal's storage may be counted with it.
    pub meter: Meter,
    /// Random bytes for mutual authentication.
    pub random: &'a mut dyn FnMut() -> io::Result<[u8; 16]>,
    /// Lines from outside: requests, keys, mode orders.
    pub requests: Receiver<String>,
    /// Where the JSON lines go.
    pub output: &'a mut dyn Write,
    /// Sees every action of the machine, before it is carried out: a window, a loudspeaker.
    pub watch: &'a mut dyn FnMut(&Action),
    /// Set to stop.
    pub stop: &'a AtomicBool,
}

impl Surroundings<'_> {
    pub(super) fn print(&mut self, line: &Line<'_>) -> Result<(), RunError> {
        let text = serde_json::to_string(line).map_err(io::Error::other)?;
        writeln!(self.output, "{text}")?;
        Ok(self.output.flush()?)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Runs a device on its slots until it is stopped or its requests end; answers the last result.
pub fn serve<S: Storage, R: Slot, M: Slot>(
    profile: &DeviceProfile,
    device: &mut Device<S>,
    slots: Slots<R, M>,
    client: Client,
    around: &mut Surroundings<'_>,
) -> Result<Option<TapResult>, RunError> {
    let mut downlink = Downlink::open(profile, device.journal().newest(), around)?;
    let meter = around.meter.clone();
    let counted = |inside| CountedSam {
        inside,
        meter: meter.clone(),
    };
    let slots_of_sams = slots.sams.into_iter().map(counted).collect();
    let mut sams = SamPool::new(slots_of_sams, device.sam_opener());
    sams.wait(SAM_START)?;
    around.print(&Line::Ready {
        kind: profile.kind.name(),
        device: profile.device,
        sams: sams.numbers(),
        waiting: device.journal().waiting().len(),
    })?;
    let store = match (&profile.state, device.hotlist_key) {
        (Some(folder), Some(key)) => Some(HotlistStore::open(folder, key)?),
        _ => None,
    };
    if let Some(store) = &store {
        let (list, fault) = store.load();
        *device.hotlist_mut() = list;
        if let Some(fault) = fault {
            around.print(&Line::Fault {
                message: fault.to_string(),
            })?;
        }
    }
    let (keeper, fault) = Keeper::open(profile.state.as_deref())?;
    if let Some(message) = fault {
        around.print(&Line::Fault { message })?;
    }
    let now = downlink.now(around)?;
    let mut machine = Machine::resume(device.machine(profile), keeper.kept().clone(), now);
    device.learn(machine.modes());
    let mut courier = Courier::new(client.clone(), profile, store);
    let mut governed = Governed {
        profile,
        device: &mut *device,
        machine: &mut machine,
        courier: &mut courier,
    };
    downlink.begin(now, &mut governed, around)?;
    let mut running = Running {
        machine,
        keeper,
        courier,
        downlink,
        tariff: TariffState::default(),
        certificate: Certificate::of(profile)?,
        profile,
        device,
        field: Field::new(slots.readers.len()),
        readers: slots.readers,
        sams,
        changes: slots.changes,
        changes_over: false,
        client,
        around,
        presence: Presence::Empty,
        requests: VecDeque::new(),
        lines_over: false,
        store: Store::default(),
        last: None,
    };
    running.show()?;
    while !running.is_over() {
        running.turn()?;
    }
    let mut client = running.client.clone();
    running
        .courier
        .finish(running.device, &mut client, running.around)?;
    Ok(running.last)
}

/// A device at work.
struct Running<'r, 'a, S, R: Slot, M: Slot> {
    profile: &'r DeviceProfile,
    machine: Machine,
    keeper: Keeper,
    device: &'r mut Device<S>,
    readers: Vec<R>,
    field: Field,
    sams: SamPool<CountedSam<M>>,
    changes: Receiver<(Place, Seen)>,
    changes_over: bool,
    courier: Courier,
    downlink: Downlink,
    tariff: TariffState,
    certificate: Certificate,
    client: Client,
    around: &'r mut Surroundings<'a>,
    presence: Presence,
    requests: VecDeque<Box<Task>>,
    lines_over: bool,
    store: Store,
    last: Option<TapResult>,
}

impl<S: Storage, R: Slot, M: Slot> Running<'_, '_, S, R, M> {
    fn is_over(&self) -> bool {
        let done = self.requests.is_empty() && !self.machine.is_engaged();
        let is_alone = self.changes_over || self.around.is_stopped();
        is_alone || (self.device.needs_request() && self.lines_over && done)
    }

    /// One look around: clock, lines, network, SAM, reader.
    fn turn(&mut self) -> Result<(), RunError> {
        self.downlink.watch(self.around)?;
        let now = self.downlink.now(self.around)?;
        self.feed(Event::Tick(now))?;
        self.govern(now)?;
        self.read_lines(now)?;
        if let Some(task) = self
            .requests
            .pop_front_if(|task| self.machine.accepts(task))
        {
            self.feed(Event::Request(task))?;
        }
        self.courier
            .tick(now, self.device, &mut self.downlink, self.around)?;
        let store = Store {
            waiting: self.device.journal().waiting().len(),
            full: self.device.journal().is_full(),
            online: self.courier.is_online(),
        };
        if store != self.store {
            self.store = store;
            self.feed(Event::Store(store))?;
        }
        self.tend_sams()?;
        if self.is_over() {
            return Ok(());
        }
        if !self.look()? {
            thread::park_timeout(GLANCE);
        }
        Ok(())
    }

    /// Goes over to parameters whose start has come, between two sales.
    fn govern(&mut self, now: CardTime) -> Result<(), RunError> {
        if self.machine.is_idle() {
            self.downlink.settle(self.around)?;
            let mut governed = Governed {
                profile: self.profile,
                device: &mut *self.device,
                machine: &mut self.machine,
                courier: &mut self.courier,
            };
            if self.downlink.switch(now, &mut governed, self.around)? {
                self.show()?;
            }
        }
        for order in self.downlink.take_orders() {
            self.feed(Event::Mode(order))?;
        }
        if let Some(message) = self.certificate.warning(now) {
            self.around.print(&Line::Fault { message })?;
        }
        let tariff = self.downlink.tariff();
        if std::mem::replace(&mut self.tariff, tariff) != tariff {
            self.feed(Event::Tariff(tariff))?;
        }
        Ok(())
    }

    fn read_lines(&mut self, now: CardTime) -> Result<(), RunError> {
        while self.requests.len() < REQUESTS_MAX && !self.lines_over {
            let text = match self.around.requests.try_recv() {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => text,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.lines_over = true;
                    break;
                }
            };
            match line::read(&text, self.profile.kind, now) {
                Ok(Input::Now(event)) => self.feed(event)?,
                Ok(Input::Request(task)) => self.requests.push_back(task),
                Err(message) => {
                    let refusal = Refusal::new(Code::PresentAgain, message);
                    let refused = self.device.refuse(now, refusal);
                    self.print(refused, None)?;
                }
            }
        }
        Ok(())
    }

    /// Takes the next change in the slots; false when there is none.
    fn look(&mut self) -> Result<bool, RunError> {
        let (place, seen) = match self.changes.try_recv() {
            Ok(change) => change,
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => {
                self.changes_over = true;
                return Ok(true);
            }
        };
        match place {
            Place::Sam(slot) => self.sams.note(slot, seen),
            Place::Reader(reader) => {
                if self.field.note(reader, seen) {
                    let message = format!("card reader {} is gone; waiting for it", reader + 1);
                    self.around.print(&Line::Fault { message })?;
                }
                let presence = self.field.presence();
                if presence != self.presence {
                    self.presence = presence;
                    self.feed(Event::Reader(presence))?;
                }
            }
        }
        Ok(true)
    }

    /// Looks for SAMs that were set aside, and tells how SAMs stand when that changed.
    fn tend_sams(&mut self) -> Result<(), RunError> {
        self.sams.tend();
        self.tell_sam_faults()?;
        match self.sams.news() {
            Some(ready) => self.feed(Event::Sam { ready }),
            None => Ok(()),
        }
    }

    fn tell_sam_faults(&mut self) -> Result<(), RunError> {
        for message in self.sams.faults() {
            self.around.print(&Line::Fault { message })?;
        }
        Ok(())
    }

    /// Gives an event to the machine and does what it decides, until nothing more follows.
    fn feed(&mut self, event: Event) -> Result<(), RunError> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let is_order = matches!(event, Event::Mode(_));
            let actions = self.machine.on(event);
            if is_order {
                self.device.learn(self.machine.modes());
            }
            for action in actions {
                (self.around.watch)(&action);
                match action {
                    Action::Serve(task) => {
                        let (served, sam) = self.perform(&task)?;
                        events.push_back(Event::Served(Box::new(served)));
                        events.extend(sam);
                    }
                    Action::GiveUp => {
                        if let Err(refusal) = self.device.give_up() {
                            let message = format!("{}: {}", refusal.code.en(), refusal.detail);
                            self.around.print(&Line::Fault { message })?;
                        }
                    }
                    Action::Barrier(barrier) => self.around.print(&Line::Barrier { barrier })?,
                    Action::Mode(mode) => self.around.print(&Line::Mode { mode })?,
                    Action::Shift(shift) => self.around.print(&Line::Shift(&shift))?,
                    Action::Show(screen) => self.around.print(&Line::Screen(&screen))?,
                    // Heard by who watches.
                    Action::Sound(_) => {}
                }
            }
        }
        // After the barrier: no rider waits for this flush.
        if let Err(error) = self.keeper.keep(self.machine.kept()) {
            let message = format!("modes and shift are not kept: {error}; check the disk");
            self.around.print(&Line::Fault { message })?;
        }
        Ok(())
    }

    fn show(&mut self) -> Result<(), RunError> {
        let screen = self.machine.screen();
        (self.around.watch)(&Action::Show(Box::new(screen.clone())));
        self.around.print(&Line::Screen(&screen))
    }
}
