//! The citizen's side: the social-security application (SSSE) and, with the same commands, the
//! health data ([`crate::health`]). Files by profile and key, mutual authentication, PIN. The
//! SSSE's DFs DF01 to DF05 share PIN and authentications; DF04 carries the medical purse
//! ([`crate::medical`]).

mod command;
mod perso;
mod table;

pub(crate) use perso::{key_stored, personalise, set_pin};
pub(crate) use table::{AREA, PLAN};

use crate::{
    apdu::{self, Answer, Out, Outcome, put},
    card::Interface,
    counter::Row,
    error::Error,
    file::{self, Current, File, Grants},
    nvm::Nvm,
    pin,
    select::Challenge,
    store::Area,
};
use card_spec::{
    keys::{KeyType, ssse_kid, ssse_process_key},
    ssse::Profile,
};
use command::{COMMANDS, Op};
use table::at;

/// What an application of the citizen's side is made of.
pub(crate) struct Plan {
    pub(crate) files: &'static [File],
    /// Guards EXTERNAL and MUTUAL AUTHENTICATE.
    pub(crate) authentications: Row,
    /// Guards secure messaging on files.
    pub(crate) secure: Row,
    pub(crate) pin: Option<PinPlan>,
}

/// Where the PIN is and what guards its unblocking.
#[derive(Clone, Copy)]
pub(crate) struct PinPlan {
    pub(crate) at: usize,
    pub(crate) unblock: Row,
}

/// What the citizen's side remembers while it is selected.
#[derive(Default)]
pub(crate) struct Ram {
    pub(crate) pin: Option<pin::Verified>,
    pub(crate) grants: Grants,
    pub(crate) current: Current,
}

/// The application at work on one command.
pub(crate) struct Ssse<'a, N> {
    pub(crate) area: Area<'a, N>,
    pub(crate) plan: &'static Plan,
    pub(crate) ram: &'a mut Ram,
    pub(crate) challenge: &'a mut Option<Challenge>,
    pub(crate) interface: Interface,
}

/// The profile, once the application is personalised.
pub(crate) fn profile<N: Nvm>(area: &Area<'_, N>) -> Option<Profile> {
    Profile::from_byte(area.byte(at::PROFILE))
}

impl<N: Nvm> Ssse<'_, N> {
    pub(crate) fn run(&mut self, c: &apdu::Command<'_>, out: &mut Out) -> Outcome {
        if let Some(command) = file::Command::decode(c) {
            let command = command?;
            self.admit(false)?;
            return self.file(command, out);
        }
        let op = COMMANDS.find(c)?;
        self.admit(op == Op::External)?;
        match op {
            Op::External => self.external(c.p2, c.array()?, c.le.is_some(), out),
            Op::Internal => self.internal(c.p2, c.array()?, out),
            Op::Verify => self.verify(c.data),
            Op::ChangePin => {
                let at = self.pin()?.at;
                self.ram.pin = None;
                self.ram.pin = Some(pin::change(&mut self.area, at, c.data, self.interface)?);
                Ok(Answer::Done)
            }
            Op::UnblockPin => self.unblock_pin(c),
            Op::ResetRetry => self.reset_retry(Some(c.data)),
            Op::RestoreTries => self.reset_retry(None),
        }
    }

    /// Nothing of a citizen is answered over the air to somebody who proved nothing.
    fn admit(&self, authenticates: bool) -> Result<(), Error> {
        if self.interface == Interface::Contactless && !authenticates && !self.ram.grants.any() {
            return Err(Error::SECURITY);
        }
        Ok(())
    }

    fn pin(&self) -> Result<PinPlan, Error> {
        self.plan.pin.ok_or(Error::INSTRUCTION)
    }

    fn file(&mut self, command: file::Command<'_>, out: &mut Out) -> Outcome {
        let file = self.ram.current.file(self.plan.files, command.sfi)?;
        file.suits(command.action)?;
        if let Some(secured) = command.secured {
            // Through the contacts only, like every command under a four-byte MAC here.
            if self.interface == Interface::Contactless {
                return Err(Error::CONDITIONS);
            }
            let challenge = self.challenge.take().ok_or(Error::NO_CHALLENGE)?.as_iv();
            return file.run_secured(
                &mut self.area,
                self.plan.secure,
                challenge,
                &mut self.ram.current,
                command,
                secured,
                out,
            );
        }
        let open = matches!(profile(&self.area), Some(Profile::V1 | Profile::V2));
        file.run_in_clear(
            &mut self.area,
            &mut self.ram.current,
            command,
            &self.ram.grants,
            self.interface,
            open,
            out,
        )
    }

    /// `E | T`: E must be T's cryptogram under the key's process key for our last challenge R.
    /// MUTUAL AUTHENTICATE (the same with Le) answers R's cryptogram under the process key for T:
    /// the two directions never share a key.
    fn external(&mut self, kid: u8, data: &[u8; 16], mutual: bool, out: &mut Out) -> Outcome {
        let challenge = self
            .challenge
            .take()
            .and_then(|c| c.eight())
            .ok_or(Error::NO_CHALLENGE)?;
        let slot = self.area.key(
            &|slot| {
                slot.header.index == kid
                    && matches!(
                        slot.header.key_type,
                        KeyType::Rk | KeyType::Uk | KeyType::Puk
                    )
            },
            Error::REFERENCE,
        )?;
        let (given, terminal) = data.split_first_chunk::<8>().ok_or(Error::LENGTH)?;
        let terminal: &[u8; 8] = terminal.try_into().map_err(|_| Error::LENGTH)?;
        let suite = slot.header.suite;
        let process = ssse_process_key(&slot.key, suite, &challenge);
        let expected = process.cryptogram8(suite, terminal);
        self.plan.authentications.through(self.interface).guard(
            &mut self.area,
            &expected,
            given,
            Error::SECURITY,
        )?;
        self.ram.grants.add(slot.header.key_type, kid);
        if mutual {
            let process = ssse_process_key(&slot.key, suite, terminal);
            put(out, &process.cryptogram8(suite, &challenge));
        }
        Ok(Answer::Done)
    }

    fn internal(&mut self, kid: u8, challenge: &[u8; 8], out: &mut Out) -> Outcome {
        let slot = self
            .area
            .key_of(KeyType::Irk, Some(kid), Error::REFERENCE)?;
        let suite = slot.header.suite;
        let process = ssse_process_key(&slot.key, suite, challenge);
        put(out, &process.cryptogram8(suite, challenge));
        Ok(Answer::Done)
    }

    fn verify(&mut self, candidate: &[u8]) -> Outcome {
        let at = self.pin()?.at;
        if candidate.is_empty() {
            return Err(pin::tries(&self.area, at));
        }
        self.ram.pin = None;
        self.ram.pin = Some(pin::verify(&mut self.area, at, candidate, self.interface)?);
        Ok(Answer::Done)
    }

    /// Through the contacts only, like every command under a maintenance key.
    fn unblock_pin(&mut self, c: &apdu::Command<'_>) -> Outcome {
        let pin = self.pin()?;
        if self.interface == Interface::Contactless {
            return Err(Error::CONDITIONS);
        }
        let challenge = self.challenge.take().ok_or(Error::NO_CHALLENGE)?.as_iv();
        let slot = self.area.key_of(KeyType::Puk, None, Error::REFERENCE)?;
        pin::unblock(&mut self.area, pin.unblock, pin.at, &slot, challenge, c)?;
        self.ram.pin = None;
        Ok(Answer::Done)
    }

    /// RESET RETRY COUNTER by whoever proved the PUK (kid 06): a new PIN, or the old one with its
    /// tries restored. One proof, one reset.
    fn reset_retry(&mut self, new: Option<&[u8]>) -> Outcome {
        let at = self.pin()?.at;
        if self.interface == Interface::Contactless {
            return Err(Error::CONDITIONS);
        }
        let puk = (KeyType::Puk, ssse_kid::PIN_UNBLOCK);
        if !self.ram.grants.holds(puk.0, puk.1) {
            return Err(Error::SECURITY);
        }
        match new {
            Some(new) => pin::reload(&mut self.area, at, new)?,
            None => pin::restore_tries(&mut self.area, at)?,
        }
        self.ram.grants.drop_one(puk.0, puk.1);
        self.ram.pin = None;
        Ok(Answer::Done)
    }
}
