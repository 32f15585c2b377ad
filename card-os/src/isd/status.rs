//! GET STATUS, SET STATUS, and making a damaged card new.

use super::{Isd, at, card_state, is_app_locked, keysets::KeySet};
use crate::{
    apdu::{Answer, Command, Out, Outcome, put},
    error::Error,
    layout::App,
    nvm::Nvm,
    purse,
    select::{app_named, is_there},
};
use card_spec::{
    aid,
    perso::{CardState, KVN_TRANSPORT},
};

impl<N: Nvm> Isd<'_, N> {
    /// SET STATUS (GlobalPlatform 2.3, 11.10): P1 80 the card, P1 40 an application.
    pub(super) fn set_status(&mut self, c: Command<'_>) -> Outcome {
        match c.p1 {
            0x80 => self.set_card_status(c.p2)?,
            0x40 => self.lock_application(c.p2 & 0x80 != 0, c.data)?,
            _ => return Err(Error::PARAMETERS),
        }
        Ok(Answer::Done)
    }

    /// Forward through the card's life, locked and unlocked, terminated for good. The state it has
    /// already is no error: the answer to the first attempt may have been lost.
    fn set_card_status(&mut self, to: u8) -> Result<(), Error> {
        use CardState::{CardLocked, Initialized, OpReady, Secured, Terminated};
        let mut area = self.store.area(App::Isd);
        let to = CardState::from_byte(to).ok_or(Error::PARAMETERS)?;
        let from = card_state(&area)?;
        let allowed = match (from, to) {
            (OpReady, Initialized) => true,
            // A card in use under keys that the chip's maker knows would be anybody's.
            (Initialized, Secured) => KeySet::find(&area, KVN_TRANSPORT).is_none(),
            (Secured, CardLocked) | (CardLocked, Secured) => true,
            (Terminated, _) => false,
            (_, Terminated) => true,
            _ => from == to,
        };
        if !allowed {
            return Err(Error::CONDITIONS);
        }
        area.write(at::STATE, &[to as u8]);
        Ok(())
    }

    /// The issuer's lock of one application, beside whatever lock the application has itself.
    /// While it holds, SELECT answers 6A81.
    fn lock_application(&mut self, lock: bool, name: &[u8]) -> Result<(), Error> {
        let app = app_named(name)
            .filter(|app| *app != App::Isd)
            .ok_or(Error::REFERENCE)?;
        if !is_there(self.store, app) {
            return Err(Error::REFERENCE);
        }
        let mut area = self.store.area(App::Isd);
        let locks = area.u16(at::LOCKS);
        let bit = 1 << app as u16;
        let locks = if lock { locks | bit } else { locks & !bit };
        area.write(at::LOCKS, &locks.to_be_bytes());
        Ok(())
    }

    /// SET STATUS OP_READY on a card with damaged applications: every application and its keys are
    /// cleared, the issuer's key sets stay, and the card is personalised again.
    pub(super) fn reinitialise(&mut self) -> Outcome {
        self.store.wipe_applications()?;
        let mut area = self.store.area(App::Isd);
        area.write(at::LOCKS, &[0; 2]);
        area.write(at::STATE, &[CardState::OpReady as u8]);
        Ok(Answer::Done)
    }

    fn is_locked(&mut self, app: App) -> bool {
        let by_itself = app == App::Purse
            && matches!(
                purse::state(&self.store.area(App::Purse)),
                purse::State::Blocked | purse::State::PermanentlyBlocked
            );
        by_itself || is_app_locked(&self.store.area(App::Isd), app)
    }

    /// GET STATUS (GlobalPlatform 2.3, 11.4): P1 80 the issuer domain, 40 the applications that
    /// are personalised, 20 and 10 load files, of which there are none. P2 02 in TLV form, 00 as
    /// `length | AID | state | privileges`. The data `4F len AID` may name one, or the beginning
    /// of several. Everything fits one answer, so there is never a next occurrence.
    pub(super) fn get_status(&mut self, c: Command<'_>, out: &mut Out) -> Outcome {
        let tlv = match c.p2 {
            0x00 => false,
            0x02 => true,
            0x01 | 0x03 => return Err(Error::REFERENCE),
            _ => return Err(Error::PARAMETERS),
        };
        let wanted = match c.data {
            [0x4F, length, rest @ ..] => rest.get(..usize::from(*length)).ok_or(Error::DATA)?,
            _ => return Err(Error::DATA),
        };
        match c.p1 {
            0x80 => {
                if aid::ISD.starts_with(wanted) {
                    let state = card_state(&self.store.area(App::Isd))? as u8;
                    entry(out, tlv, aid::ISD, state, DOMAIN);
                }
            }
            0x40 => {
                for (name, privileges) in APPLICATIONS {
                    let app = app_named(name).ok_or(Error::REFERENCE)?;
                    if name.starts_with(wanted) && is_there(self.store, app) {
                        let state = if self.is_locked(app) {
                            LOCKED
                        } else {
                            SELECTABLE
                        };
                        entry(out, tlv, name, state, *privileges);
                    }
                }
            }
            0x20 | 0x10 => {}
            _ => return Err(Error::PARAMETERS),
        }
        if out.is_empty() {
            Err(Error::REFERENCE)
        } else {
            Ok(Answer::Done)
        }
    }
}

const SELECTABLE: u8 = 0x07;
const LOCKED: u8 = 0x83;

/// Security domain that locks and terminates the card.
const DOMAIN: u8 = 0x98;
/// The purse can lock the card (CARD BLOCK).
const CARD_LOCK: u8 = 0x10;

/// What GET STATUS lists, with privileges.
const APPLICATIONS: &[(&[u8], u8)] = &[
    (aid::T_UNION, CARD_LOCK),
    (aid::SSSE, 0),
    (aid::SSSE_MEDICAL, 0),
    (aid::HEALTH, 0),
    (aid::T_UNION_SAM, 0),
    #[cfg(feature = "pki")]
    (aid::PKI, 0),
];

/// What all entries take in TLV form, which is the longer, leaves room for R-MAC and padding.
const _: () = {
    let mut total = 0;
    let mut i = 0;
    while i < APPLICATIONS.len() {
        total += APPLICATIONS[i].0.len() + 13;
        i += 1;
    }
    assert!(total <= 256 - 16 - 8);
};

fn entry(out: &mut Out, tlv: bool, name: &[u8], state: u8, privileges: u8) {
    let n = name.len() as u8;
    if tlv {
        put(out, &[0xE3, n + 11, 0x4F, n]);
        put(out, name);
        put(
            out,
            &[0x9F, 0x70, 0x01, state, 0xC5, 0x03, privileges, 0, 0],
        );
    } else {
        put(out, &[n]);
        put(out, name);
        put(out, &[state, privileges]);
    }
}
