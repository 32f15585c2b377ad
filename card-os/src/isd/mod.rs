//! The issuer domain: GlobalPlatform life cycle, key sets, SCP03 and personalisation.
//!
//! What the issuer may do inside a secure channel, by the card's state:
//!
//! | | OP_READY, INITIALIZED | SECURED | CARD_LOCKED | applications damaged |
//! |---|---|---|---|---|
//! | GET DATA | yes | yes | yes | yes |
//! | GET STATUS, SET STATUS | yes | yes | yes | only back to OP_READY, which wipes |
//! | PUT KEY, DELETE key, INSTALL, STORE DATA | yes | yes | 6985 | 6F00 |
//! | opening balance, IIN, CIN, SCP option | yes | 6985 | 6985 | 6F00 |
//!
//! TERMINATED answers 6901 to everything. Data and keys of applications can be renewed on a card
//! in use (a new photo, a new key version); what makes the card this card or holds money cannot.

mod channel;
mod domain;
mod keysets;
mod perso;
mod put_key;
mod status;

pub(crate) use perso::Item;

use crate::{
    apdu::{Command, Number, Out, Outcome},
    card::Interface,
    counter::{ROW, Row},
    error::Error,
    layout::{App, Blank, IMAGE_VERSION, MAGIC},
    nvm::{Entropy, NVM_SIZE, Nvm},
    store::{Area, Soundness, Store},
};
use card_spec::{
    aid,
    perso::{CardState, KVN_TRANSPORT},
    scp03::Handshake,
    suite::Key,
};

mod at {
    use super::{
        ROW, Row,
        keysets::{SET, SETS},
    };

    /// Behind [`super::layout_head`].
    pub(super) const CHIP_SERIAL: usize = 8;
    pub(super) const STATE: usize = 18;
    pub(super) const KVN: usize = 19;
    /// ENC, MAC, DEK of the first key set.
    pub(super) const KEYS: usize = 20;
    pub(super) const SEQUENCE: usize = 68;
    /// Wrong host cryptograms and C-MACs.
    pub(super) const AUTH_ROW: Row = Row::unguessable(71);
    /// What follows was appended in layout 2 and is zero on a card of layout 1.
    ///
    /// SCP parameter i: 60, or 00 and 70 for 70.
    pub(super) const SCP_OPTION: usize = 71 + ROW;
    /// A bit an application, by its number: locked by the issuer.
    pub(super) const LOCKS: usize = SCP_OPTION + 1;
    /// `length 1 | value`.
    pub(super) const IIN: usize = LOCKS + 2;
    pub(super) const IIN_MAX: usize = 8;
    pub(super) const CIN: usize = IIN + 1 + IIN_MAX;
    pub(super) const CIN_MAX: usize = 16;
    /// The second and third key set.
    pub(super) const MORE_SETS: usize = CIN + 1 + CIN_MAX;
    pub(super) const END: usize = MORE_SETS + (SETS - 1) * SET;
}
pub(crate) const AREA: usize = at::END;

/// The first area of a blank image.
pub(crate) fn blank_area(blank: &Blank) -> [u8; AREA] {
    let mut out = [0; AREA];
    out[..8].copy_from_slice(&layout_head());
    out[at::CHIP_SERIAL..at::STATE].copy_from_slice(&blank.chip_serial);
    out[at::STATE] = CardState::OpReady as u8;
    out[at::KVN] = KVN_TRANSPORT;
    let keys = &blank.transport_keys;
    for (to, key) in out[at::KEYS..at::SEQUENCE]
        .chunks_exact_mut(16)
        .zip([&keys.enc, &keys.mac, &keys.dek])
    {
        to.copy_from_slice(key.expose());
    }
    out
}

/// Magic 4, layout version 2, size of the memory in units of 256 bytes 2.
fn layout_head() -> [u8; 8] {
    let [a, b, c, d] = MAGIC;
    let ([e, f], [g, h]) = (
        IMAGE_VERSION.to_be_bytes(),
        ((NVM_SIZE / 256) as u16).to_be_bytes(),
    );
    [a, b, c, d, e, f, g, h]
}

pub(crate) fn is_this_layout(head: [u8; 8]) -> bool {
    head == layout_head()
}

/// The area of an older layout as this one's: what is new starts as zeros.
pub(crate) fn of_this_layout(older: &[u8]) -> [u8; AREA] {
    let mut out = [0; AREA];
    for (to, from) in out.iter_mut().zip(older) {
        *to = *from;
    }
    out[..8].copy_from_slice(&layout_head());
    out
}

pub(crate) fn card_state<N: Nvm>(area: &Area<'_, N>) -> Result<CardState, Error> {
    CardState::from_byte(area.byte(at::STATE)).ok_or(Error::MEMORY)
}

/// CARD BLOCK from the purse's maintainer; only the issuer domain opens the card again.
pub(crate) fn lock_card<N: Nvm>(area: &mut Area<'_, N>) {
    area.write(at::STATE, &[CardState::CardLocked as u8]);
}

pub(crate) fn chip_serial<N: Nvm>(area: &Area<'_, N>) -> [u8; 10] {
    area.array(at::CHIP_SERIAL)
}

/// Whether the issuer locked an application (SET STATUS).
pub(crate) fn is_app_locked<N: Nvm>(area: &Area<'_, N>, app: App) -> bool {
    area.u16(at::LOCKS) >> app as u16 & 1 == 1
}

/// Whether a command of the issuer domain, once done, may have changed what an application on
/// another logical channel holds to be so: STORE DATA and SET STATUS.
pub(crate) const fn changes_applications(command: &Command<'_>) -> bool {
    matches!((command.cla, command.ins), (0x84 | 0x04, 0xE2 | 0xF0))
}

/// `6F 10 84 08 AID A5 04 9F65 01 FF`: longest command data 255.
pub(crate) fn fci() -> [u8; 18] {
    let mut out = [0; 18];
    out[..4].copy_from_slice(&[0x6F, 0x10, 0x84, 0x08]);
    out[4..12].copy_from_slice(aid::ISD);
    out[12..].copy_from_slice(&[0xA5, 0x04, 0x9F, 0x65, 0x01, 0xFF]);
    out
}

/// What the issuer domain remembers while it is selected.
#[derive(Default)]
pub(crate) struct Ram {
    state: SessionState,
    /// The logical channel that the session belongs to.
    owner: Option<Number>,
    /// Named by INSTALL [for personalization]; else STORE DATA is for the issuer domain itself.
    target: Option<App>,
    stage: perso::Stage,
}

impl Ram {
    /// Whether there is a session and this channel opened it.
    pub(crate) fn owned_by(&self, channel: Number) -> bool {
        self.owner == Some(channel)
    }
}

#[derive(Default)]
enum SessionState {
    #[default]
    Closed,
    /// INITIALIZE UPDATE was answered.
    Started {
        /// The counter, once this session is open.
        sequence: [u8; 3],
        handshake: Handshake,
        dek: Key,
        set: keysets::KeySet,
    },
    /// The issuer proved itself; whoever holds this may personalise.
    Open(Open),
}

/// An open secure channel.
struct Open {
    session: card_spec::scp03::Session,
    level: u8,
    /// DEK of the key set that opened the channel; PUT KEY does not change it.
    dek: Key,
    set: keysets::KeySet,
}

/// The issuer domain at work on one command. Being the issuer's, it alone reaches every area.
pub(crate) struct Isd<'a, N> {
    pub(crate) store: &'a mut Store<N>,
    pub(crate) entropy: &'a mut dyn Entropy,
    pub(crate) ram: &'a mut Ram,
    pub(crate) channel: Number,
    pub(crate) interface: Interface,
    pub(crate) soundness: Soundness,
}

impl<N: Nvm> Isd<'_, N> {
    pub(crate) fn run(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        match (command.cla, command.ins) {
            (0x80, 0x50) => self.initialize_update(command, out),
            (0x84, 0x82) => self.external_authenticate(command),
            (0x84 | 0x04, _) => self.protected(command, out),
            (0x00 | 0x80, 0xCA) => {
                // GET DATA tells nothing secret; inside a session it must be protected like all.
                self.close();
                self.get_data(command, out)
            }
            (0x80, ins) if COMMANDS.contains(&ins) => {
                self.close();
                Err(Error::SECURITY)
            }
            (0x00 | 0x80, _) => Err(Error::INSTRUCTION),
            _ => Err(Error::CLASS),
        }
    }

    /// A command whose protection was checked and taken off.
    fn authorised(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        if self.soundness != Soundness::Sound {
            return match command.header() {
                (_, 0xCA, ..) => self.get_data(command, out),
                (_, 0xF0, 0x80, p2) if p2 == CardState::OpReady as u8 => self.reinitialise(),
                _ => Err(Error::DAMAGED),
            };
        }
        let changes = matches!(command.ins, 0xD8 | 0xE2 | 0xE4 | 0xE6);
        if changes && card_state(&self.store.area(App::Isd))? == CardState::CardLocked {
            return Err(Error::CONDITIONS);
        }
        match command.ins {
            0xCA => self.get_data(command, out),
            0xD8 => self.put_key(command, out),
            0xE2 => self.store_data(command),
            0xE4 => self.delete(command, out),
            0xE6 => self.install(command, out),
            0xF0 => self.set_status(command),
            0xF2 => self.get_status(command, out),
            _ => Err(Error::INSTRUCTION),
        }
    }

    /// Ends the session, if it is this channel's.
    fn close(&mut self) {
        if self.ram.owned_by(self.channel) {
            *self.ram = Ram::default();
        }
    }
}

/// Instructions that exist here but only inside a session.
const COMMANDS: [u8; 6] = [0xD8, 0xE2, 0xE4, 0xE6, 0xF0, 0xF2];
