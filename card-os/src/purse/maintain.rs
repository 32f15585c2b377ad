//! PIN commands and blocking.

use super::{Purse, State, at, state};
use crate::{
    apdu::{Answer, Command, Outcome},
    card::Interface,
    counter::Row,
    error::Error,
    keystore::Slot,
    nvm::{Entropy, Nvm},
    pin,
};
use card_spec::{
    SuiteId,
    keys::KeyType,
    sm::{self, Challenge8},
};
use subtle::{Choice, ConstantTimeEq};

impl<N: Nvm, R: Entropy> Purse<'_, N, R> {
    pub(super) fn verify(&mut self, candidate: &[u8]) -> Outcome {
        if candidate.is_empty() {
            return Err(pin::tries(&self.area, at::PIN));
        }
        self.ram.pin = None;
        self.ram.pin = Some(pin::verify(
            &mut self.area,
            at::PIN,
            candidate,
            self.interface,
        )?);
        Ok(Answer::Done)
    }

    pub(super) fn change_pin(&mut self, data: &[u8]) -> Outcome {
        self.ram.pin = None;
        self.ram.pin = Some(pin::change(&mut self.area, at::PIN, data, self.interface)?);
        Ok(Answer::Done)
    }

    /// `84 24 00 00|01 enc | MAC` under DPUK: the PIN inside becomes the PIN, tries restored.
    pub(super) fn unblock_pin(&mut self, c: &Command<'_>) -> Outcome {
        let challenge = self.take_challenge()?;
        let slot = self.any_key(KeyType::Dpuk)?;
        pin::unblock(&mut self.area, at::PIN_ROW, at::PIN, &slot, challenge, c)?;
        self.ram.pin = None;
        Ok(Answer::Done)
    }

    /// `80 5E 00 00 PIN | MAC` under DPRK. PBOC's MAC covers the PIN alone, so a recorded command
    /// could be replayed; the AES suite binds it to the last challenge.
    pub(super) fn reload_pin(&mut self, c: &Command<'_>) -> Outcome {
        let (new, mac) = c.split_mac()?;
        let slot = self.any_key(KeyType::Dprk)?;
        let suite = slot.header.suite;
        let expected = match suite {
            SuiteId::Aes => {
                let challenge = self.take_challenge()?;
                sm::mac(suite, &slot.key, challenge, c.mac_header(), new)
            }
            SuiteId::Sm4 | SuiteId::Tdes => slot.key.tac_key(suite).mac4(&[new]),
        };
        at::PIN_ROW.guard(&mut self.area, &expected, &mac, Error::SM_WRONG)?;
        self.area.commit()?;
        pin::reload(&mut self.area, at::PIN, new)?;
        self.ram.pin = None;
        Ok(Answer::Done)
    }

    /// APPLICATION BLOCK. DACK is accepted for the field lock (the temporary form) alone, DAMK for
    /// both forms.
    pub(super) fn block(&mut self, c: &Command<'_>, permanent: bool) -> Outcome {
        if permanent {
            self.by_damk(at::MAINTENANCE_ROW, c)?;
        } else {
            let challenge = self.take_challenge()?;
            let mut right = Choice::from(0);
            // Over the air nobody gets MACs computed under the maintainer's key as often as he likes.
            let keys: &[KeyType] = match self.interface {
                Interface::Contactless => &[KeyType::Dack],
                Interface::Contact => &[KeyType::Dack, KeyType::Damk],
            };
            for key_type in keys.iter().copied() {
                if let Ok(slot) = self.any_key(key_type) {
                    let (suite, header) = (slot.header.suite, c.mac_header());
                    right |= sm::mac(suite, &slot.key, challenge, header, &[]).ct_eq(c.data);
                }
            }
            if !bool::from(right) {
                return Err(Error::SM_WRONG);
            }
        }
        // A permanent block is never weakened to a temporary one.
        if state(&self.area) != State::PermanentlyBlocked {
            let to = if permanent {
                State::PermanentlyBlocked
            } else {
                State::Blocked
            };
            self.area.write(at::STATE, &[to as u8]);
        }
        self.forget();
        Ok(Answer::Done)
    }

    /// APPLICATION UNBLOCK under DAMK; every function that wrong MACs locked starts again.
    pub(super) fn unblock(&mut self, c: &Command<'_>) -> Outcome {
        if state(&self.area) == State::PermanentlyBlocked {
            return Err(Error::PERMANENT);
        }
        self.by_damk(at::UNBLOCK_ROW, c)?;
        self.area.write(at::STATE, &[State::Ready as u8]);
        for row in [
            at::LOAD_ROW,
            at::MAINTENANCE_ROW,
            at::PIN_ROW,
            at::OVERDRAFT_ROW,
        ] {
            row.clear_row(&mut self.area);
        }
        Ok(Answer::Done)
    }

    /// CARD BLOCK under DAMK; the caller blocks the card.
    pub(super) fn card_block(&mut self, c: &Command<'_>) -> Outcome {
        self.by_damk(at::MAINTENANCE_ROW, c)?;
        self.forget();
        Ok(Answer::Done)
    }

    fn by_damk(&mut self, row: Row, c: &Command<'_>) -> Result<(), Error> {
        let challenge = self.take_challenge()?;
        let slot = self.any_key(KeyType::Damk)?;
        let expected = sm::mac(slot.header.suite, &slot.key, challenge, c.mac_header(), &[]);
        row.guard(&mut self.area, &expected, c.data, Error::SM_WRONG)
    }

    pub(super) fn forget(&mut self) {
        *self.ram = super::Ram::default();
    }

    fn any_key(&self, key_type: KeyType) -> Result<Slot, Error> {
        self.area.key_of(key_type, None, Error::REFERENCE)
    }

    pub(super) fn take_challenge(&mut self) -> Result<Challenge8, Error> {
        Ok(self.challenge.take().ok_or(Error::NO_CHALLENGE)?.as_iv())
    }
}
