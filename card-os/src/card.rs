//! The operating system: which application a command reaches, all of it or nothing.

#[cfg(feature = "pki")]
use crate::pki::Pki;
use crate::{
    apdu::{Answer, Command, Number, Out, Outcome, put},
    channels::Channels,
    directory,
    error::Error,
    file, health, isd,
    layout::App,
    medical::Medical,
    nvm::{Entropy, Nvm},
    purse::{self, Purse},
    sam::{self, Sam},
    select::{self, Challenge, Df, Reference, Selected},
    ssse::{self, Ssse},
    store::{Soundness, Store},
};
use card_spec::{activation::Activation, aid, perso::CardState};

/// How the reader reaches the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// Through contacts.
    #[default]
    Contact,
    /// Over the air: the social-security side is silent until the terminal authenticated itself.
    Contactless,
}

/// Everything of a card but its reader's habits ([`crate::transport`]).
pub(crate) struct Os<N, R> {
    pub(crate) store: Store<N>,
    entropy: R,
    pub(crate) interface: Interface,
    atr: [u8; 15],
    soundness: Soundness,
    channels: Channels,
    /// The one secure channel of a card; it belongs to the logical channel that opened it.
    issuer: isd::Ram,
}

impl<N: Nvm, R: Entropy> Os<N, R> {
    pub(crate) fn new(nvm: N, entropy: R) -> Self {
        Self {
            store: Store::new(nvm),
            entropy,
            interface: Interface::Contact,
            atr: card_spec::ssse::atr([0; 8]),
            soundness: Soundness::Dead,
            channels: Channels::new(Selected::Isd),
            issuer: isd::Ram::default(),
        }
    }

    pub(crate) fn power_on(&mut self) {
        self.store.mount();
        self.forget();
        self.soundness = self.store.soundness();
        self.atr = card_spec::ssse::atr([0; 8]);
        if self.soundness == Soundness::Sound {
            self.channels = Channels::new(Selected::initial(&mut self.store));
            let [_, _, serial8 @ ..] = self.identity();
            self.atr = card_spec::ssse::atr(serial8);
            if self.store.fault().is_err() {
                self.store.rollback();
                self.forget();
            }
        }
    }

    /// Every session, selection, PIN and open transaction.
    #[inline(never)]
    fn forget(&mut self) {
        self.issuer = isd::Ram::default();
        self.channels = Channels::new(Selected::Isd);
    }

    pub(crate) const fn atr(&self) -> &[u8] {
        &self.atr
    }

    pub(crate) fn activation(&mut self) -> Activation {
        let mut random = [0; 3];
        self.entropy.fill(&mut random);
        Activation::new(random)
    }

    /// Ten bytes that name this card: PAN, SAM serial, or chip serial while blank.
    fn identity(&mut self) -> [u8; 10] {
        if let Some(pan) = purse::pan(&self.store.area(App::Purse)) {
            return pan;
        }
        if let Some(serial) = sam::serial(&self.store.area(App::Sam)) {
            return serial;
        }
        isd::chip_serial(&self.store.area(App::Isd))
    }

    /// Whether the card listens at all.
    pub(crate) fn alive(&mut self) -> Result<(), Error> {
        // The store's own too: a command may have found the memory worse than power-up did.
        if self.soundness == Soundness::Dead || self.store.soundness() == Soundness::Dead {
            return Err(Error::DAMAGED);
        }
        let state = isd::card_state(&self.store.area(App::Isd));
        match state {
            Ok(CardState::Terminated) => Err(Error::STATE),
            Ok(_) => Ok(()),
            Err(error) => {
                // No command runs that would end this fault with itself.
                self.store.rollback();
                Err(error)
            }
        }
    }

    /// Whether commands for this channel are heard.
    pub(crate) fn is_open(&mut self, number: Number) -> bool {
        self.channels.get(number).is_some()
    }

    /// One command, all or nothing: committed before its answer leaves, or rolled back.
    pub(crate) fn run(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        let mut outcome = self.dispatch(command, out);
        if out.overflow {
            outcome = Err(Error::SPACE);
        }
        if let Err(fault) = match outcome {
            Ok(_) => self.store.commit(),
            Err(_) => self.store.fault(),
        } {
            outcome = Err(fault);
        }
        if outcome == Err(Error::MEMORY) {
            // What could not be read was read as zeros, and the command may have remembered them as
            // a key or as a right PIN.
            self.forget();
        }
        if outcome.is_err() {
            self.store.rollback();
        } else if self.soundness == Soundness::ApplicationsDamaged {
            // The issuer may just have made the card new.
            self.soundness = self.store.soundness();
        }
        outcome
    }

    fn dispatch(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        let number = command.channel;
        if self.soundness != Soundness::Sound && !may_repair(&command) {
            return Err(Error::DAMAGED);
        }
        match command.header() {
            (0x00, 0xA4, p1, p2) => return self.select(number, p1, p2, command.data, out),
            (0x00, 0x70, p1, p2) => return self.manage_channel(number, p1, p2, command.data, out),
            (0x00, 0x84, p1, p2) => return self.get_challenge(number, p1, p2, command.le, out),
            _ => {}
        }
        let channel = self.channels.get(number).ok_or(Error::CHANNEL)?;
        match &mut channel.selected {
            Selected::Isd => {
                let answer = isd::Isd {
                    store: &mut self.store,
                    entropy: &mut self.entropy,
                    ram: &mut self.issuer,
                    channel: number,
                    interface: self.interface,
                    soundness: self.soundness,
                }
                .run(command, out)?;
                if isd::changes_applications(&command) {
                    self.channels.deselect_others(number);
                }
                Ok(answer)
            }
            Selected::Purse(ram) => {
                let mut purse = Purse {
                    area: self.store.area(App::Purse),
                    entropy: &mut self.entropy,
                    ram,
                    challenge: &mut channel.challenge,
                    interface: self.interface,
                };
                let answer = purse.run(&command, out)?;
                if purse::blocks_card(&command) {
                    isd::lock_card(&mut self.store.area(App::Isd));
                    channel.selected = Selected::Isd;
                    self.channels.deselect_others(number);
                }
                Ok(answer)
            }
            Selected::Social {
                df: Df::Medical,
                ram,
                medical,
            } if command.cla == 0xB0 => {
                if self.interface == Interface::Contactless && !ram.grants.any() {
                    return Err(Error::SECURITY);
                }
                Medical {
                    area: self.store.area(App::Medical),
                    entropy: &mut self.entropy,
                    ram: medical,
                    pin: ram.pin.as_ref(),
                }
                .run(&command, out)
            }
            Selected::Social { df, ram, .. } => {
                if *df != Df::Root && file::Command::decode(&command).transpose()?.is_some() {
                    return Err(Error::NOT_FOUND);
                }
                Ssse {
                    area: self.store.area(App::Ssse),
                    plan: &ssse::PLAN,
                    ram,
                    challenge: &mut channel.challenge,
                    interface: self.interface,
                }
                .run(&command, out)
            }
            Selected::Health(ram) => Ssse {
                area: self.store.area(App::Health),
                plan: &health::PLAN,
                ram,
                challenge: &mut channel.challenge,
                interface: self.interface,
            }
            .run(&command, out),
            Selected::Sam(ram) => Sam {
                area: self.store.area(App::Sam),
                ram,
                challenge: &mut channel.challenge,
                interface: self.interface,
            }
            .run(&command, out),
            Selected::Directory(entries) => directory::run(*entries, command, out),
            #[cfg(feature = "pki")]
            Selected::Pki(ram) => Pki {
                area: self.store.area(App::Pki),
                entropy: &mut self.entropy,
                ram,
                challenge: &mut channel.challenge,
                interface: self.interface,
            }
            .run(&command, out),
        }
    }

    /// SELECT (ISO 7816-4, 11.1.1). A challenge does not outlive it, nor does a secure channel.
    fn select(&mut self, number: Number, p1: u8, p2: u8, data: &[u8], out: &mut Out) -> Outcome {
        if self.issuer.owned_by(number) {
            self.issuer = isd::Ram::default();
        }
        if let Some(channel) = self.channels.get(number) {
            channel.challenge = None;
        }
        let mut select = select::Select {
            store: &mut self.store,
            channels: &mut self.channels,
            number,
            wish: select::Wish::try_from(p2)?,
        };
        if p1 == 0x04 {
            let occurrence = select::Occurrence::try_from(p2)?;
            let warning = select.by_df_name(occurrence, data, out)?;
            return Ok(warning.map_or(Answer::Done, Answer::Warning));
        }
        if p2 & 0x03 != 0 {
            return Err(Error::PARAMETERS);
        }
        select.by_reference(Reference::new(p1, data)?, out)?;
        Ok(Answer::Done)
    }

    /// MANAGE CHANNEL (ISO 7816-4, 11.1.2): `00 70 00 00` opens the next free channel and answers
    /// its number, `00 70 00 0n` opens n, `00 70 80 0n` closes n.
    fn manage_channel(
        &mut self,
        number: Number,
        p1: u8,
        p2: u8,
        data: &[u8],
        out: &mut Out,
    ) -> Outcome {
        if !data.is_empty() {
            return Err(Error::LENGTH);
        }
        match (p1, p2) {
            (0x00, 0x00) => {
                let free = Number::FURTHER
                    .into_iter()
                    .find(|n| self.channels.open(*n))
                    .ok_or(Error::LOCKED)?;
                put(out, &[free as u8]);
            }
            (0x00, n) => {
                let wanted = Number::further(n).ok_or(Error::PARAMETERS)?;
                if !self.channels.open(wanted) {
                    return Err(Error::CONDITIONS);
                }
            }
            (0x80, n) => {
                // Zero means the channel that the class names; the basic channel stays open.
                let closed = match n {
                    0 => number,
                    n => Number::further(n).ok_or(Error::PARAMETERS)?,
                };
                if !self.channels.close(closed) {
                    return Err(Error::CONDITIONS);
                }
                if self.issuer.owned_by(closed) {
                    self.issuer = isd::Ram::default();
                }
            }
            _ => return Err(Error::PARAMETERS),
        }
        Ok(Answer::Done)
    }

    /// Four bytes when exactly four are asked for, else eight.
    fn get_challenge(
        &mut self,
        number: Number,
        p1: u8,
        p2: u8,
        le: Option<usize>,
        out: &mut Out,
    ) -> Outcome {
        if (p1, p2) != (0, 0) {
            return Err(Error::PARAMETERS);
        }
        let len = match le {
            Some(4) => 4,
            None | Some(8..) => 8,
            Some(_) => return Err(Error::LENGTH),
        };
        let mut bytes = [0u8; 8];
        self.entropy.fill(&mut bytes[..len]);
        let channel = self.channels.get(number).ok_or(Error::CHANNEL)?;
        channel.challenge = Some(Challenge::new(bytes, len));
        put(out, &bytes[..len]);
        Ok(Answer::Done)
    }
}

/// What a card with damaged applications still does: the issuer opens a secure channel on the
/// basic channel and makes it new.
fn may_repair(command: &Command<'_>) -> bool {
    command.channel == Number::Basic
        && match command.header() {
            (0x00, 0xA4, 0x04, 0x00) => command.data.is_empty() || command.data == aid::ISD,
            (0x80, 0x50, ..) | (0x84, ..) | (0x00 | 0x80, 0xCA, ..) => true,
            _ => false,
        }
}
