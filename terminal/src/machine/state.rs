//! What all kinds of devices share.

use card_spec::time::CardTime;
use serde::{Deserialize, Serialize};

use super::{
    Action, Barrier, Colour, Event, Face, Key, Mode, Modes, Operator, Presence, Screen, Served,
    Shift, SoftKey, StationSpan, Status, Task, Text, Tone,
    availability::Faults,
    event::TariffState,
    face,
    kind::{Behaviour, Model, Step},
    shift_dialogue::{Answer, ShiftDialogue},
};
use crate::{
    clock,
    code::{Code, Verdict},
};

/// How long a result stays on the screen, at least; as long as the card lies there, longer.
const RESULT_SECONDS: u32 = 4;

/// How long something to read stays: a list of trips, an inspection.
const READING_SECONDS: u32 = 30;

/// A dialogue that nobody goes on with is left after this time.
const DIALOGUE_SECONDS: u32 = 60;

/// What a device is.
#[derive(Debug)]
pub struct Setup {
    /// Its kind, with what the kind needs.
    pub model: Model,
    /// What it is and where it stands: `17路 车载机`.
    pub place: Text,
    /// How long "same card again" is shown.
    pub same_card_seconds: u32,
    /// Who may open a shift. Where somebody is named, nobody is served without an open shift.
    pub operators: Vec<Operator>,
    /// Modes of its station that came with the tariffs.
    pub station: Vec<StationSpan>,
}

/// What outlives a restart of the device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Mode orders of the last seven days and to come.
    pub modes: Modes,
    /// The open shift with its totals.
    pub shift: Option<Shift>,
}

/// Where the dialogue with a card stands.
#[derive(Debug)]
enum Stage {
    /// The kind's own dialogue.
    Home,
    /// The driver has a task.
    Busy {
        task: Box<Task>,
        /// It was ordered (keys, a request), so that it outlives a failed try.
        ordered: bool,
    },
    /// A result or notice.
    Told {
        face: Box<Face>,
        since: CardTime,
        seconds: u32,
    },
    /// A debit is torn: the same card is wanted.
    Again {
        task: Box<Task>,
        ordered: bool,
        since: CardTime,
    },
    /// The shift is opened or closed.
    Shift(ShiftDialogue),
}

/// Whether `seconds` have passed since `since`. A clock that went back ends every wait.
pub(super) fn is_over(since: CardTime, seconds: u32, now: CardTime) -> bool {
    !(0..i64::from(seconds)).contains(&clock::elapsed(since, now))
}

/// A device.
#[derive(Debug)]
pub struct Machine {
    behaviour: Box<dyn Behaviour>,
    place: Text,
    same_card_seconds: u32,
    operators: Vec<Operator>,
    now: CardTime,
    presence: Presence,
    /// The card that lies there had its turn.
    had_turn: bool,
    stage: Stage,
    /// A task that waits for its card.
    order: Option<Box<Task>>,
    touched: CardTime,
    faults: Faults,
    modes: Modes,
    station: Vec<StationSpan>,
    told_mode: Mode,
    shift: Option<Shift>,
}

impl Machine {
    /// A device that starts at `now`: no card, no shift, normal mode.
    pub fn new(setup: Setup, now: CardTime) -> Self {
        Self {
            behaviour: setup.model.behaviour(),
            place: setup.place,
            same_card_seconds: setup.same_card_seconds,
            operators: setup.operators,
            now,
            presence: Presence::Empty,
            had_turn: false,
            stage: Stage::Home,
            order: None,
            touched: now,
            faults: Faults::default(),
            modes: Modes::default(),
            station: setup.station,
            told_mode: Mode::Normal,
            shift: None,
        }
    }

    /// A device that goes on at `now` with what outlived its restart.
    pub fn resume(setup: Setup, kept: Kept, now: CardTime) -> Self {
        Self {
            modes: kept.modes,
            shift: kept.shift,
            ..Self::new(setup, now)
        }
    }

    /// What is to outlive a restart.
    pub fn kept(&self) -> Kept {
        Kept {
            modes: self.modes.clone(),
            shift: self.shift.clone(),
        }
    }

    /// One event. What it changes on the screen is the last action.
    pub fn on(&mut self, event: Event) -> Vec<Action> {
        let before = self.screen();
        let mut actions = Vec::new();
        self.take(event, &mut actions);
        self.begin(&mut actions);
        let screen = self.screen();
        let at = before.status.at;
        let same = Status {
            at,
            ..screen.status.clone()
        };
        if (&before.face, &before.status) != (&screen.face, &same) {
            actions.push(Action::Show(Box::new(screen)));
        }
        actions
    }

    fn take(&mut self, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Tick(now) => self.tick(now, actions),
            Event::Reader(presence) => self.presence(presence, actions),
            Event::Sam { ready } => {
                self.faults.sam_gone = !ready;
                if ready {
                    self.faults.withdraw(Code::SamFault);
                }
            }
            Event::Key(key) => {
                if self.key(key, actions) {
                    self.touched = self.now;
                    actions.push(Action::Sound(Tone::Key));
                }
            }
            Event::Served(served) => self.served(&served, actions),
            Event::Request(task) => {
                if self.accepts(&task) {
                    self.stage = Stage::Home;
                    self.order = Some(task);
                }
            }
            Event::Driven { metres } => self.behaviour.driven(metres, self.now),
            Event::Mode(order) => {
                self.modes.order(order, self.now);
                self.mode_may_change(actions);
            }
            Event::Store(store) => {
                self.faults.store = store;
                if !store.full {
                    self.faults.withdraw(Code::JournalFull);
                }
                self.mode_may_change(actions);
            }
            Event::Tariff(state) => {
                self.faults.tariff = state;
                if state != TariffState::Missing {
                    self.faults.withdraw(Code::TariffFault);
                }
                self.mode_may_change(actions);
            }
        }
    }

    /// Whether a request for `task` would be taken now.
    pub fn accepts(&self, task: &Task) -> bool {
        let idle = matches!(self.stage, Stage::Home | Stage::Told { .. });
        let free = idle && self.order.is_none() && self.mode() != Mode::Test;
        free && self.serves() && self.behaviour.accepts(task)
    }

    /// Whether a task or its card is still awaited.
    pub const fn is_engaged(&self) -> bool {
        matches!(self.stage, Stage::Busy { .. } | Stage::Again { .. }) || self.order.is_some()
    }

    /// Whether other parameters may begin: no card is being served or awaited, nothing is under way
    /// that was begun by the tariff in force.
    pub fn is_idle(&self) -> bool {
        !self.is_engaged() && self.behaviour.is_idle()
    }

    /// Goes on by other limits and another tariff.
    pub fn adopt(&mut self, setup: Setup) {
        self.behaviour.adopt(setup.model);
        self.place = setup.place;
        self.same_card_seconds = setup.same_card_seconds;
        self.operators = setup.operators;
        self.station = setup.station;
    }

    /// How it works now.
    pub fn mode(&self) -> Mode {
        let ordered = match self.modes.at(self.now) {
            Mode::Normal => StationSpan::at(&self.station, self.now),
            ordered => ordered,
        };
        match ordered {
            Mode::Normal if self.faults.is_degraded() => Mode::Degraded,
            mode => mode,
        }
    }

    /// The orders of the last seven days and to come.
    pub const fn modes(&self) -> &Modes {
        &self.modes
    }

    /// The shift that is open.
    pub const fn shift(&self) -> Option<&Shift> {
        self.shift.as_ref()
    }

    /// Whether cards are served, as far as the device itself is concerned.
    fn serves(&self) -> bool {
        face::of_mode(self.mode()).is_none() && self.faults.code().is_none() && !self.lacks_shift()
    }

    fn lacks_shift(&self) -> bool {
        self.behaviour.is_attended() && !self.operators.is_empty() && self.shift.is_none()
    }

    fn tick(&mut self, now: CardTime, actions: &mut Vec<Action>) {
        self.now = now;
        self.faults.tick(now);
        self.behaviour.tick(now);
        self.mode_may_change(actions);
        match &self.stage {
            Stage::Told { since, seconds, .. }
                if matches!(self.presence, Presence::Empty | Presence::Lost)
                    && is_over(*since, *seconds, now) =>
            {
                self.stage = Stage::Home;
            }
            Stage::Again { since, .. } if is_over(*since, self.same_card_seconds, now) => {
                if let Stage::Again { task, ordered, .. } =
                    std::mem::replace(&mut self.stage, Stage::Home)
                {
                    // Its holder may still come back with the card: the order stands.
                    self.order = ordered.then_some(task);
                }
                actions.push(Action::GiveUp);
            }
            Stage::Shift(_) if is_over(self.touched, DIALOGUE_SECONDS, now) => {
                self.stage = Stage::Home;
            }
            Stage::Home if self.order.is_none() && is_over(self.touched, DIALOGUE_SECONDS, now) => {
                self.behaviour.leave();
            }
            _ => {}
        }
    }

    fn mode_may_change(&mut self, actions: &mut Vec<Action>) {
        let (before, mode) = (self.told_mode, self.mode());
        if before == mode {
            return;
        }
        self.told_mode = mode;
        actions.push(Action::Mode(mode));
        if self.behaviour.has_barrier() {
            if mode == Mode::EmergencyRelease {
                actions.push(Action::Barrier(Barrier::StandOpen));
            } else if before == Mode::EmergencyRelease {
                actions.push(Action::Barrier(Barrier::Shut));
            }
        }
    }

    fn presence(&mut self, presence: Presence, actions: &mut Vec<Action>) {
        self.presence = presence;
        self.had_turn = false;
        self.faults.reader_lost = presence == Presence::Lost;
        if presence != Presence::Lost {
            self.faults.withdraw(Code::ReaderLost);
        }
        // Who comes next does not wait for the last one's result to fade.
        let comes = !matches!(presence, Presence::Empty | Presence::Lost);
        if comes && matches!(self.stage, Stage::Told { .. }) {
            self.stage = Stage::Home;
        }
        let code = match presence {
            Presence::Unknown => Code::UnknownCard,
            Presence::Several => Code::SeveralCards,
            Presence::Empty | Presence::Card | Presence::Lost => return,
        };
        self.had_turn = true;
        if self.serves() && matches!(self.stage, Stage::Home) {
            let (colour, tone) = match code.verdict() {
                Verdict::Again => (Colour::Again, Tone::Again),
                _ => (Colour::Stop, Tone::Refused),
            };
            actions.push(Action::Sound(tone));
            self.tell(Face::of(colour, code), RESULT_SECONDS);
        }
    }

    fn tell(&mut self, face: Face, seconds: u32) {
        self.stage = Stage::Told {
            face: Box::new(face),
            since: self.now,
            seconds,
        };
    }

    /// Begins what can be begun: with the card that lies there, or without one.
    fn begin(&mut self, actions: &mut Vec<Action>) {
        let has_card = self.presence == Presence::Card && !self.had_turn;
        if let (Stage::Again { .. }, true) = (&self.stage, has_card)
            && let Stage::Again { task, ordered, .. } =
                std::mem::replace(&mut self.stage, Stage::Home)
        {
            return self.give(task, ordered, actions);
        }
        if has_card && (matches!(self.stage, Stage::Shift(_)) || self.waits_for_shift()) {
            return self.give(Box::new(Task::Operator), false, actions);
        }
        if !self.serves() || !matches!(self.stage, Stage::Home) {
            return;
        }
        if self.mode() == Mode::Test {
            if has_card {
                self.give(Box::new(Task::TestCard), false, actions);
            }
            return;
        }
        if let Some(task) = self.order.take_if(|_| has_card) {
            self.give(task, true, actions);
        } else if has_card
            && self.order.is_none()
            && let Some(task) = self.behaviour.card(self.now)
        {
            self.give(Box::new(task), false, actions);
        }
    }

    /// Nothing but an operator's card is of use.
    fn waits_for_shift(&self) -> bool {
        self.lacks_shift()
            && matches!(self.stage, Stage::Home)
            && face::of_mode(self.mode()).is_none()
            && self.faults.code().is_none()
    }

    fn give(&mut self, task: Box<Task>, ordered: bool, actions: &mut Vec<Action>) {
        self.had_turn = true;
        actions.push(Action::Serve(task.clone()));
        self.stage = Stage::Busy { task, ordered };
    }

    fn served(&mut self, served: &Served, actions: &mut Vec<Action>) {
        let (task, ordered) = match std::mem::replace(&mut self.stage, Stage::Home) {
            Stage::Busy { task, ordered } => (task, ordered),
            // Nothing was asked for: nothing is changed.
            other => {
                self.stage = other;
                return;
            }
        };
        let result = &served.result;
        if let (Some(shift), Some(flow)) = (&mut self.shift, task.flow()) {
            shift.totals.count(result, flow);
        }
        if matches!(*task, Task::Operator) {
            return self.operator_card(served, actions);
        }
        actions.push(Action::Sound(face::tone(served)));
        self.behaviour.served(&task, served, self.now);
        self.touched = self.now;
        match result.verdict {
            Verdict::Open => {
                if task.opens() && self.behaviour.has_barrier() {
                    actions.push(Action::Barrier(Barrier::OpenOnce));
                }
            }
            Verdict::Again if result.code == Code::SameCardAgain => {
                self.stage = Stage::Again {
                    task,
                    ordered,
                    since: self.now,
                };
                return;
            }
            Verdict::Again => self.order = ordered.then_some(task.clone()),
            Verdict::Refuse => {}
            Verdict::OutOfService => self.faults.tell(result.code, self.now),
        }
        let seconds = match served.rows.is_empty() {
            true => RESULT_SECONDS,
            false => READING_SECONDS,
        };
        self.tell(face::told(&task, served), seconds);
    }

    fn operator_card(&mut self, served: &Served, actions: &mut Vec<Action>) {
        let card = served
            .result
            .pan
            .filter(|_| served.result.verdict == Verdict::Open);
        let known = card.and_then(|pan| self.operators.iter().find(|o| o.card == Some(pan)));
        match known.map(|operator| operator.number.clone()) {
            Some(number) => self.shift_changes(&number, actions),
            None => {
                actions.push(Action::Sound(Tone::Refused));
                let code = match served.result.verdict {
                    Verdict::Open => Code::NoOperator,
                    _ => served.result.code,
                };
                self.tell(Face::of(Colour::Stop, code), RESULT_SECONDS);
            }
        }
    }

    /// Opens a shift for `number`, or closes the one that is open; another operator's is closed
    /// first.
    fn shift_changes(&mut self, number: &str, actions: &mut Vec<Action>) {
        let closed = self.shift.take().map(|shift| Shift {
            closed: Some(self.now),
            ..shift
        });
        let own = closed
            .as_ref()
            .is_some_and(|shift| shift.operator == number);
        let mut face = Face::new(Colour::Go, ("已交班", "Shift closed"), ("", ""));
        if let Some(shift) = closed {
            face.rows = shift.totals.rows();
            actions.push(Action::Shift(Box::new(shift)));
        }
        if !own {
            let shift = Shift::open(number, self.now);
            actions.push(Action::Shift(Box::new(shift.clone())));
            self.shift = Some(shift);
            face = Face::new(Colour::Go, ("已开班", "Shift opened"), ("", ""));
        }
        self.tell(face, RESULT_SECONDS);
    }

    /// Whether the key was of use.
    fn key(&mut self, key: Key, actions: &mut Vec<Action>) -> bool {
        if face::of_mode(self.mode()).is_some() || self.faults.code().is_some() {
            return false;
        }
        match &mut self.stage {
            Stage::Busy { .. } | Stage::Again { .. } => return false,
            Stage::Told { .. } => {
                // The key ends the reading, and means something beyond it where it can.
                self.stage = Stage::Home;
                let _of_use = self.home_key(key);
                return true;
            }
            Stage::Shift(dialogue) => {
                match dialogue.key(key, &self.operators, self.shift.as_ref()) {
                    Answer::Ignored => return false,
                    Answer::Taken => {}
                    Answer::Leave => self.stage = Stage::Home,
                    Answer::Change(number) => self.shift_changes(&number, actions),
                    Answer::Unknown => {
                        self.tell(Face::of(Colour::Stop, Code::NoOperator), RESULT_SECONDS);
                    }
                }
                return true;
            }
            Stage::Home => {}
        }
        self.home_key(key)
    }

    fn home_key(&mut self, key: Key) -> bool {
        if self.order.is_some() {
            if key == Key::Cancel {
                self.order = None;
                self.behaviour.leave();
            }
            return key == Key::Cancel;
        }
        let shift_key = self.behaviour.is_attended()
            && matches!(key, Key::Soft(place) if usize::from(place) == self.own_keys());
        if shift_key || self.lacks_shift() {
            let mut dialogue = ShiftDialogue::default();
            let taken = shift_key
                || !matches!(
                    dialogue.key(key, &self.operators, None),
                    Answer::Ignored | Answer::Leave
                );
            if taken {
                self.stage = Stage::Shift(dialogue);
            }
            return taken;
        }
        if self.mode() == Mode::Test {
            return false;
        }
        match self.behaviour.key(key, self.now) {
            Step::Ignored => return false,
            Step::Tell(face) => self.tell(*face, RESULT_SECONDS),
            Step::Taken => {}
            Step::Do(task) => {
                // The card that lies there is meant.
                self.had_turn &= !self.behaviour.keeps_card();
                self.order = Some(task);
            }
            Step::Cash(amount) => {
                if let Some(shift) = &mut self.shift {
                    shift.totals.cash(amount);
                }
            }
        }
        true
    }

    fn own_keys(&self) -> usize {
        self.behaviour.home(self.now).keys.len()
    }

    /// What it shows now.
    pub fn screen(&self) -> Screen {
        Screen {
            face: self.face(),
            status: Status {
                place: self.place.clone(),
                at: self.now,
                mode: self.mode(),
                waiting: self.faults.store.waiting,
                online: self.faults.store.online,
                operator: self.shift.as_ref().map(|shift| shift.operator.clone()),
            },
        }
    }

    fn face(&self) -> Face {
        match &self.stage {
            Stage::Busy { task, .. } => return face::busy(task),
            Stage::Again { since, .. } => {
                let left = i64::from(self.same_card_seconds) - clock::elapsed(*since, self.now);
                let mut face = Face::of(Colour::Again, Code::SameCardAgain);
                face.countdown = u32::try_from(left).ok();
                return face;
            }
            Stage::Told { face, .. } => return (**face).clone(),
            Stage::Home | Stage::Shift(_) => {}
        }
        if let Some(face) = face::of_mode(self.mode()) {
            return face;
        }
        if let Some(code) = self.faults.code() {
            return Face::of(Colour::Out, code);
        }
        if let Stage::Shift(dialogue) = &self.stage {
            return dialogue.face(self.shift.as_ref());
        }
        if self.lacks_shift() {
            return ShiftDialogue::default().face(None);
        }
        if let Some(task) = &self.order {
            return self.behaviour.prompt(task, self.now);
        }
        let mut face = self.behaviour.home(self.now);
        if self.behaviour.is_attended() {
            face.keys.push(SoftKey::new("班次", "Shift"));
        }
        face
    }

    /// Takes over what a device knew before it was switched off.
    #[must_use]
    pub fn with_memory(mut self, modes: Modes, shift: Option<Shift>) -> Self {
        self.modes = modes;
        self.shift = shift.filter(|shift| shift.closed.is_none());
        self
    }
}
