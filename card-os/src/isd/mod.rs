//! The issuer domain: GlobalPlatform life cycle, key sets, SCP03 and personalisation.

mod channel;
mod perso;
mod put_key;
mod status;

pub(crate) use perso::Item;

use crate::{
    apdu::{Command, Out, Outcome},
    card::Interface,
    counter::{ROW, Row},
    error::Error,
    layout::{App, Blank, IMAGE_VERSION, MAGIC},
    nvm::{NVM_SIZE, Nvm},
    store::{Area, Store},
};
use card_spec::{
    aid,
    perso::{CardState, KVN_TRANSPORT},
    scp03::{Handshake, StaticKeys},
    suite::Key,
};

mod at {
    use super::{ROW, Row};

    /// Behind [`super::layout_head`].
    pub(super) const CHIP_SERIAL: usize = 8;
    pub(super) const STATE: usize = 18;
    pub(super) const KVN: usize = 19;
    /// ENC, MAC, DEK.
    pub(super) const KEYS: usize = 20;
    pub(super) const SEQUENCE: usize = 68;
    /// Wrong host cryptograms and C-MACs.
    pub(super) const AUTH_ROW: Row = Row::cryptogram(71, 255);
    pub(super) const END: usize = 71 + ROW;
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
    CardState::from_byte(area.byte(at::STATE)?).ok_or(Error::Memory)
}

/// CARD BLOCK from the purse's maintainer; only the issuer domain opens the card again.
pub(crate) fn lock_card<N: Nvm>(area: &mut Area<'_, N>) -> Result<(), Error> {
    area.write(at::STATE, &[CardState::CardLocked as u8])
}

pub(crate) fn chip_serial<N: Nvm>(area: &Area<'_, N>) -> Result<[u8; 10], Error> {
    area.array(at::CHIP_SERIAL)
}

/// `6F 10 84 08 AID A5 04 9F65 01 FF`: longest command data 255.
pub(crate) fn fci() -> [u8; 18] {
    let mut out = [0; 18];
    out[..4].copy_from_slice(&[0x6F, 0x10, 0x84, 0x08]);
    out[4..12].copy_from_slice(aid::ISD);
    out[12..].copy_from_slice(&[0xA5, 0x04, 0x9F, 0x65, 0x01, 0xFF]);
    out
}

/// Whether a card whose applications are damaged obeys the command: only what leads the issuer to
/// SET STATUS OP_READY, which empties it. The channel checks who asks.
pub(crate) fn repairs(command: &[u8]) -> bool {
    match command {
        [0x00, 0xA4, 0x04, _, rest @ ..] => {
            matches!(rest, [] | [0, ..]) || rest.get(1..9) == Some(aid::ISD)
        }
        [0x80, 0x50, ..] | [0x84, 0x82, ..] | [0x00 | 0x80, 0xCA, ..] => true,
        [0x84, 0xF0, 0x80, state, ..] => *state == CardState::OpReady as u8,
        _ => false,
    }
}

/// What the issuer domain remembers while it is selected.
#[derive(Default)]
pub(crate) struct Ram {
    state: SessionState,
    target: Option<App>,
    /// Bytes staged and the number of the next block.
    staged: usize,
    next_block: u8,
}

#[derive(Default)]
enum SessionState {
    #[default]
    Closed,
    /// INITIALIZE UPDATE was answered.
    Started { handshake: Handshake, dek: Key },
    /// The issuer proved itself; whoever holds this may personalise.
    Open(Open),
}

/// An open secure channel.
struct Open {
    session: card_spec::scp03::Session,
    level: u8,
    /// DEK of the key set that opened the channel; PUT KEY does not change it.
    dek: Key,
}

/// The issuer domain at work on one command. Being the issuer's, it alone reaches every area.
pub(crate) struct Isd<'a, N> {
    pub(crate) store: &'a mut Store<N>,
    pub(crate) ram: &'a mut Ram,
    pub(crate) interface: Interface,
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
                status::get_data(&self.store.area(App::Isd), command, out)
            }
            (0x80, ins) if COMMANDS.contains(&ins) => {
                self.close();
                Err(Error::Security)
            }
            (0x00 | 0x80, _) => Err(Error::Instruction),
            _ => Err(Error::Class),
        }
    }

    /// A command whose protection was checked and taken off.
    fn authorised(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        match command.ins {
            0xCA => status::get_data(&self.store.area(App::Isd), command, out),
            0xD8 => self.put_key(command, out),
            0xE2 => self.store_data(command),
            0xE6 => self.install(command, out),
            0xF0 => status::set_status(self.store, command),
            0xF2 => status::get_status(self.store, command, out),
            _ => Err(Error::Instruction),
        }
    }

    fn close(&mut self) {
        *self.ram = Ram::default();
    }

    fn static_keys(&mut self) -> Result<StaticKeys, Error> {
        let area = self.store.area(App::Isd);
        let key = |i: usize| area.array(at::KEYS + 16 * i).map(Key::new);
        Ok(StaticKeys {
            enc: key(0)?,
            mac: key(1)?,
            dek: key(2)?,
        })
    }
}

/// Instructions that exist here but only inside a session.
const COMMANDS: [u8; 5] = [0xD8, 0xE2, 0xE6, 0xF0, 0xF2];
