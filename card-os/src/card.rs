//! The card: power, dispatch, and how answers meet the reader's habits.

use crate::{
    apdu::{Answer, Command, Out, Outcome},
    error::Error,
    isd,
    layout::App,
    medical::{self, Medical},
    nvm::{Entropy, Nvm},
    purse::{self, Purse},
    sam::{self, Sam},
    select::{self, Challenge, Df, Selected},
    ssse::{self, Ssse},
    store::{Soundness, Store},
};
use card_spec::{Sw, perso::CardState};

/// How the reader reaches the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// Through contacts.
    #[default]
    Contact,
    /// Over the air: the social-security side is silent until the terminal authenticated itself.
    Contactless,
}

/// A card (or SAM) on some memory and some source of chance.
pub struct Card<N, R> {
    store: Store<N>,
    entropy: R,
    interface: Interface,
    atr: [u8; 15],
    selected: Selected,
    challenge: Option<Challenge>,
    pending: Pending,
}

/// Response bytes that wait for GET RESPONSE, and the status word that follows them.
#[derive(Default)]
struct Pending {
    data: Out,
    at: usize,
    sw: Option<Sw>,
}

impl Pending {
    fn rest(&self) -> &[u8] {
        self.data.get(self.at..).unwrap_or_default()
    }
}

impl<N: Nvm, R: Entropy> Card<N, R> {
    /// Puts the operating system on a memory that [`crate::format`] prepared at some time, and
    /// powers it up.
    pub fn new(nvm: N, entropy: R) -> Self {
        let mut card = Self {
            store: Store::new(nvm),
            entropy,
            interface: Interface::Contact,
            atr: card_spec::ssse::atr([0; 8]),
            selected: Selected::Isd(isd::Ram::default()),
            challenge: None,
            pending: Pending::default(),
        };
        card.power_on();
        card
    }

    /// Power-up or reset: checks the image, forgets every session, answers the ATR. Works from
    /// every state, also a corrupt one.
    pub fn power_on(&mut self) -> &[u8] {
        self.store.mount();
        self.challenge = None;
        self.pending = Pending::default();
        self.selected = Selected::Isd(isd::Ram::default());
        self.atr = card_spec::ssse::atr([0; 8]);
        if self.store.soundness() == Soundness::Sound {
            self.selected = Selected::initial(&mut self.store);
            if let Ok([_, _, serial8 @ ..]) = self.identity() {
                self.atr = card_spec::ssse::atr(serial8);
            }
        }
        &self.atr
    }

    /// The answer to reset of the last power-up.
    pub const fn atr(&self) -> &[u8] {
        &self.atr
    }

    /// Tells the card which interface it is used through. Takes effect at once.
    pub const fn set_interface(&mut self, interface: Interface) {
        self.interface = interface;
    }

    /// The memory, to look at or to save.
    pub const fn nvm(&self) -> &N {
        self.store.nvm()
    }

    /// The memory, for its own controls (scripted power cuts). Writing to it behind the card's
    /// back makes the image corrupt, which the next power-up finds.
    pub fn nvm_mut(&mut self) -> &mut N {
        self.store.nvm_mut()
    }

    /// Takes the memory out.
    pub fn into_nvm(self) -> N {
        self.store.into_nvm()
    }

    /// Ten bytes that name this card: PAN, SAM serial, or chip serial while blank.
    fn identity(&mut self) -> Result<[u8; 10], Error> {
        if let Some(pan) = purse::pan(&self.store.area(App::Purse))? {
            return Ok(pan);
        }
        if let Some(serial) = sam::serial(&self.store.area(App::Sam))? {
            return Ok(serial);
        }
        isd::chip_serial(&self.store.area(App::Isd))
    }

    /// Runs one command APDU; returns the number of response bytes, at least 2 (0 only when the
    /// buffer cannot take a status word).
    pub fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> usize {
        let room = match response.len().checked_sub(2) {
            Some(room) => room,
            None => return 0,
        };
        let mut out = Out::new();
        let sw = match self.store.soundness() {
            Soundness::Sound => self.exchange(command, room, &mut out),
            Soundness::ApplicationsDamaged if isd::repairs(command) => {
                self.exchange(command, room, &mut out)
            }
            // A diagnosis, never data.
            Soundness::ApplicationsDamaged | Soundness::Dead => Sw::MUTE,
        };
        let n = out.len().min(room);
        for (to, from) in response
            .iter_mut()
            .zip(out.iter().take(n).chain(&sw.to_bytes()))
        {
            *to = *from;
        }
        n + 2
    }

    fn exchange(&mut self, bytes: &[u8], room: usize, out: &mut Out) -> Sw {
        let command = match Command::try_from(bytes) {
            Ok(command) => command,
            Err(error) => {
                self.pending = Pending::default();
                return error.sw();
            }
        };
        if (command.cla, command.ins) == (0x00, 0xC0) {
            return self.get_response(command, room, out);
        }
        // Any other command cancels a response that nobody fetched.
        self.pending = Pending::default();
        match self.run(command, out) {
            Ok(answer) => self.deliver(answer, command.le, room, out),
            Err(error) => {
                out.clear();
                error.sw()
            }
        }
    }

    /// One command, all or nothing: committed before its answer leaves, or rolled back.
    fn run(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        let outcome = self.dispatch(command, out).and_then(|answer| {
            self.store.commit()?;
            Ok(answer)
        });
        if outcome.is_err() {
            self.store.rollback();
        }
        outcome
    }

    fn dispatch(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        check_class(command.cla)?;
        if isd::card_state(&self.store.area(App::Isd))? == CardState::Terminated {
            return Err(Error::State);
        }
        match command.header() {
            (0x00, 0xA4, p1, p2) => return self.select(p1, p2, command.data, out),
            (0x00, 0x70, ..) => return Err(Error::Channel),
            (0x00, 0x84, p1, p2) => return self.get_challenge(p1, p2, command.le, out),
            _ => {}
        }
        match &mut self.selected {
            Selected::Isd(ram) => isd::Isd {
                store: &mut self.store,
                ram,
                interface: self.interface,
            }
            .run(command, out),
            Selected::Purse(ram) => {
                let mut purse = Purse {
                    area: self.store.area(App::Purse),
                    entropy: &mut self.entropy,
                    ram,
                    challenge: &mut self.challenge,
                    interface: self.interface,
                };
                let (answer, effect) = purse.run(purse::Command::try_from(command)?, out)?;
                if effect == purse::Effect::BlockCard {
                    isd::lock_card(&mut self.store.area(App::Isd))?;
                    self.selected = Selected::Isd(isd::Ram::default());
                }
                Ok(answer)
            }
            Selected::Social {
                df: Df::Medical,
                ram,
                medical,
            } if command.cla == 0xB0 => {
                if self.interface == Interface::Contactless && !ram.grants.any() {
                    return Err(Error::Security);
                }
                Medical {
                    area: self.store.area(App::Medical),
                    entropy: &mut self.entropy,
                    ram: medical,
                    pin: ram.pin.as_ref(),
                }
                .run(medical::Command::try_from(command)?, out)
            }
            Selected::Social { df, ram, .. } => {
                let decoded = ssse::Command::try_from(command)?;
                if *df != Df::Root && decoded.touches_files() {
                    return Err(Error::NotFound);
                }
                Ssse {
                    area: self.store.area(App::Ssse),
                    ram,
                    challenge: &mut self.challenge,
                    interface: self.interface,
                }
                .run(decoded, out)
            }
            Selected::Sam(ram) => Sam {
                area: self.store.area(App::Sam),
                ram,
                challenge: &mut self.challenge,
            }
            .run(sam::Command::try_from(command)?, out),
        }
    }

    fn select(&mut self, p1: u8, p2: u8, data: &[u8], out: &mut Out) -> Outcome {
        self.challenge = None;
        match (p1, p2) {
            (0x04, 0x00 | 0x04) => {
                let warning = select::by_df_name(&mut self.store, &mut self.selected, data, out)?;
                Ok(warning.map_or(Answer::Done, Answer::Warning))
            }
            (0x00 | 0x02, _) => {
                // No file identifier at all means the master file.
                let fid = if data.is_empty() { &[0x3F, 0x00] } else { data };
                let fid = fid
                    .try_into()
                    .map(u16::from_be_bytes)
                    .map_err(|_| Error::Length)?;
                select::by_fid(&mut self.store, &mut self.selected, p2, fid, out)?;
                Ok(Answer::Done)
            }
            _ => Err(Error::Parameters),
        }
    }

    /// Four bytes when exactly four are asked for, else eight.
    fn get_challenge(&mut self, p1: u8, p2: u8, le: Option<usize>, out: &mut Out) -> Outcome {
        if (p1, p2) != (0, 0) {
            return Err(Error::Parameters);
        }
        let len = match le {
            Some(4) => 4,
            None | Some(8..) => 8,
            Some(_) => return Err(Error::Length),
        };
        let mut bytes = [0u8; 8];
        self.entropy.fill(&mut bytes[..len]);
        self.challenge = Some(Challenge::new(bytes, len));
        crate::apdu::put(out, &bytes[..len])?;
        Ok(Answer::Done)
    }

    /// Fits the data to Le: longer Le is fine, a missing Le gets everything, a short one gets
    /// 6Cxx (reads) or the beginning and 61xx.
    fn deliver(&mut self, answer: Answer, le: Option<usize>, room: usize, out: &mut Out) -> Sw {
        let sw = match answer {
            Answer::Warning(sw) => sw,
            Answer::Done | Answer::Exact | Answer::Fetch => Sw::OK,
        };
        let now = match (answer, le) {
            (Answer::Fetch, None) => 0,
            (Answer::Exact, Some(le)) if le < out.len() => {
                let exact = Sw::exact(out.len());
                out.clear();
                return exact;
            }
            (_, le) => le.unwrap_or(out.len()).min(room),
        };
        if now >= out.len() {
            return sw;
        }
        let more = Sw::more(out.len() - now);
        self.pending = Pending {
            data: out.clone(),
            at: now,
            sw: Some(sw),
        };
        out.truncate(now);
        more
    }

    fn get_response(&mut self, command: Command<'_>, room: usize, out: &mut Out) -> Sw {
        let Some(sw) = self.pending.sw else {
            return Sw::CONDITIONS;
        };
        let rest = self.pending.rest();
        let n = command.le.unwrap_or(rest.len()).min(rest.len()).min(room);
        let _ = out.extend_from_slice(rest.get(..n).unwrap_or_default());
        self.pending.at += n;
        match self.pending.rest().len() {
            0 => {
                self.pending = Pending::default();
                sw
            }
            left => Sw::more(left),
        }
    }
}

/// Logical channels other than 0 and command chaining are not offered; A0 and other classes are
/// nobody's.
fn check_class(cla: u8) -> Result<(), Error> {
    match cla {
        0x00 | 0x04 | 0x80 | 0x84 | 0xB0 | 0xBF => Ok(()),
        0x01..=0x03 | 0x05..=0x0F | 0x40..=0x7F | 0x81..=0x83 | 0x85..=0x8F => Err(Error::Channel),
        0x10..=0x1F | 0x90..=0x9F => Err(Error::Chaining),
        _ => Err(Error::Class),
    }
}
