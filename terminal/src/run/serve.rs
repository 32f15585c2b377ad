//! The loop of a running device: what happens goes to the machine, what it decides is done here.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, TryRecvError},
    },
    time::Duration,
};

use card_reader::ReaderError;
use card_spec::{ChannelError, time::CardTime};
use clearing_api::Client;

use super::{
    Line, RunError, Slot,
    courier::Courier,
    line::{self, Input},
    work::Device,
};
use crate::{
    code::Code,
    hotlist::HotlistStore,
    journal::Storage,
    machine::{Action, Event, Machine, Presence, Served, Store, Task},
    profile::DeviceProfile,
    result::{Refusal, TapResult},
    sam::SamUnit,
};

/// How long one wait lasts before the device looks around (stop, lines, uploads).
const GLANCE: Duration = Duration::from_millis(200);

/// Most request lines held while the device is busy; further ones stay in the pipe.
const REQUESTS_MAX: usize = 16;

/// What a device takes from outside.
pub struct Surroundings<'a> {
    /// The clock.
    pub now: &'a dyn Fn() -> io::Result<CardTime>,
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
    reader: &mut R,
    mut sam_reader: Option<&mut M>,
    client: Client,
    around: &mut Surroundings<'_>,
) -> Result<Option<TapResult>, RunError> {
    let sam = match &mut sam_reader {
        Some(slot) => Some(device.open_sam(slot.connect()?)?),
        None => None,
    };
    around.print(&Line::Ready {
        kind: profile.kind.name(),
        device: profile.device,
        sam: sam.as_ref().map(SamUnit::number),
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
    let now = (around.now)()?;
    let mut running = Running {
        machine: Machine::new(device.machine(profile), now),
        courier: Courier::new(client.clone(), profile, store),
        profile,
        device,
        reader,
        sam_reader,
        sam,
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
    device: &'r mut Device<S>,
    reader: &'r mut R,
    sam_reader: Option<&'r mut M>,
    sam: Option<SamUnit<M::Card>>,
    courier: Courier,
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
        self.around.is_stopped() || (self.device.needs_request() && self.lines_over && done)
    }

    /// One look around: clock, lines, network, SAM, reader.
    fn turn(&mut self) -> Result<(), RunError> {
        let now = (self.around.now)()?;
        self.feed(Event::Tick(now))?;
        self.read_lines(now)?;
        if let Some(task) = self
            .requests
            .pop_front_if(|task| self.machine.accepts(task))
        {
            self.feed(Event::Request(task))?;
        }
        self.courier.tick(self.device, self.around)?;
        let store = Store {
            waiting: self.device.journal().waiting().len(),
            full: false,
            online: self.courier.is_online(),
        };
        if store != self.store {
            self.store = store;
            self.feed(Event::Store(store))?;
        }
        if self.sam.is_none() && self.sam_reader.is_some() {
            self.open_sam()?;
        }
        if self.is_over() {
            return Ok(());
        }
        self.look_at_reader()
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
                    self.print(refused)?;
                }
            }
        }
        Ok(())
    }

    fn look_at_reader(&mut self) -> Result<(), RunError> {
        let awaited = self.presence != Presence::Card;
        let presence = match self.reader.wait(awaited, GLANCE) {
            Ok(false) => return Ok(()),
            Ok(true) if awaited => Presence::Card,
            Ok(true) => Presence::Empty,
            Err(error) => {
                if self.presence != Presence::Lost {
                    let message = format!("card reader: {error}; waiting for it");
                    self.around.print(&Line::Fault { message })?;
                }
                std::thread::sleep(GLANCE);
                Presence::Lost
            }
        };
        if presence == self.presence {
            return Ok(());
        }
        self.presence = presence;
        self.feed(Event::Reader(presence))
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
        Ok(())
    }

    fn show(&mut self) -> Result<(), RunError> {
        let screen = self.machine.screen();
        (self.around.watch)(&Action::Show(Box::new(screen.clone())));
        self.around.print(&Line::Screen(&screen))
    }

    /// Does a task; says how the SAM is where that task showed it.
    fn perform(&mut self, task: &Task) -> Result<(Served, Option<Event>), RunError> {
        let at = (self.around.now)()?;
        let random = (self.around.random)()?;
        let served = match self.reader.connect() {
            Ok(mut card) => {
                let (sam, client) = (self.sam.as_mut(), &mut self.client);
                self.device
                    .perform(task, &mut card, sam, at, random, client)
            }
            Err(ReaderError::Channel(error)) if error != ChannelError::ReaderLost => {
                let refusal = Refusal::new(Code::PresentAgain, error);
                self.device.refuse(at, refusal)
            }
            Err(error) => {
                let refusal = Refusal::new(Code::ReaderLost, error);
                self.device.refuse(at, refusal)
            }
        };
        self.print(served.clone())?;
        let sam = match served.result.code {
            // It was reset or reseated: a new session may do.
            Code::SamFault if self.sam_reader.is_some() => Some(self.reopen_sam()?),
            _ => None,
        };
        Ok((served, sam))
    }

    fn print(&mut self, served: Served) -> Result<(), RunError> {
        self.around.print(&Line::Tap(&served.result))?;
        if let Some(slip) = &served.slip {
            self.around.print(&Line::Slip(slip))?;
        }
        self.last = Some(served.result);
        Ok(())
    }

    fn reopen_sam(&mut self) -> Result<Event, RunError> {
        self.sam = None;
        let Some(slot) = &mut self.sam_reader else {
            return Ok(Event::Sam { ready: true });
        };
        let opened = slot
            .connect()
            .map_err(|error| error.to_string())
            .and_then(|card| {
                self.device
                    .open_sam(card)
                    .map_err(|error| error.to_string())
            });
        match opened {
            Ok(sam) => self.sam = Some(sam),
            Err(error) => {
                let message = format!("SAM: {error}; waiting for it");
                self.around.print(&Line::Fault { message })?;
            }
        }
        let ready = self.sam.is_some();
        Ok(Event::Sam { ready })
    }

    /// The SAM was gone: looks whether it is back.
    fn open_sam(&mut self) -> Result<(), RunError> {
        let Some(slot) = &mut self.sam_reader else {
            return Ok(());
        };
        if !slot.wait(true, Duration::ZERO).unwrap_or(false) {
            return Ok(());
        }
        let event = self.reopen_sam()?;
        self.feed(event)
    }
}
