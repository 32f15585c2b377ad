//! A device that is driven by events until its screen is worth a picture.

use card_spec::{Fen, purse::files::CardKind, time::CardTime};

use crate::{
    code::Code,
    machine::{
        Action, Event, Key, Machine, Mode, ModeOrder, Model, Presence, Screen, Served, Setup, Text,
    },
    result::TapResult,
};

/// A device that is played through a scene.
pub(super) struct Scene {
    machine: Machine,
    now: CardTime,
}

impl Scene {
    pub(super) fn new(model: Model, place: (&str, &str), now: CardTime) -> Self {
        let setup = Setup {
            model,
            place: Text::new(place.0, place.1),
            same_card_seconds: 15,
            operators: Vec::new(),
            station: Vec::new(),
        };
        Self::of(setup, now)
    }

    pub(super) fn of(setup: Setup, now: CardTime) -> Self {
        let machine = Machine::new(setup, now);
        Self { machine, now }
    }

    pub(super) fn on(mut self, event: Event) -> Self {
        let _actions: Vec<Action> = self.machine.on(event);
        self
    }

    pub(super) fn keys(self, keys: &str) -> Self {
        let named = keys.split(' ').filter_map(|key| key.parse().ok());
        named.fold(self, |scene, key: Key| scene.on(Event::Key(key)))
    }

    pub(super) fn wait(mut self, seconds: i64) -> Self {
        let later = self.now.seconds() + seconds;
        self.now = CardTime::from_seconds(later).unwrap_or(self.now);
        let now = self.now;
        self.on(Event::Tick(now))
    }

    pub(super) fn card(self) -> Self {
        self.on(Event::Reader(Presence::Card))
    }

    pub(super) fn served(self, code: Code, change: impl FnOnce(&mut Served)) -> Self {
        let device = "3501000000009001".parse();
        let Ok(device) = device else { return self };
        let mut served = Served::from(TapResult::of(device, self.now, code));
        change(&mut served);
        self.on(Event::Served(Box::new(served)))
    }

    pub(super) fn paid(self, code: Code, fen: i64, balance: i64, kind: CardKind) -> Self {
        self.card().served(code, |served| {
            served.result.amount = Some(Fen(fen));
            served.result.balance = Some(Fen(balance));
            served.result.card_kind = Some(kind);
        })
    }

    pub(super) fn mode(self, mode: Mode) -> Self {
        let from = self.now;
        self.on(Event::Mode(ModeOrder { mode, from }))
    }

    pub(super) fn shot(&self) -> Screen {
        self.machine.screen()
    }
}
