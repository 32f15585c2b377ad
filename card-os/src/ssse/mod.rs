//! The social-security application: records by number and by tag, access by profile, mutual
//! authentication, PIN. Its DFs DF01 to DF05 share PIN and authentications; DF04 carries the
//! medical purse ([`crate::medical`]).

mod command;
mod perso;

pub(crate) use command::{Command, Which};
pub(crate) use perso::{key_stored, personalise, set_pin};

use crate::{
    apdu::{Answer, Out, Outcome, put},
    card::Interface,
    counter::{ROW, Row},
    error::Error,
    nvm::Nvm,
    pin,
    select::Challenge,
    store::Area,
};
use card_spec::{
    keys::{KeyType, ssse_kid, ssse_process_key},
    ssse::{Profile, fid},
};
use subtle::ConstantTimeEq;

/// Records of EF05 and of EF06.
const RECORDS: usize = 7;
/// `length 1 | tag | len | value`: the longest is the name, 30 bytes.
const RECORD: usize = 33;
/// Bytes of EF07 (fingerprint) and EF08 (photo), small for now.
const EF07: usize = 512;
const EF08: usize = 3072;

mod at {
    use super::{EF07, RECORD, RECORDS, ROW, Row, pin};

    /// The profile; 0 until personalised.
    pub(super) const PROFILE: usize = 0;
    pub(super) const EF05: usize = 1;
    pub(super) const EF06: usize = EF05 + RECORDS * RECORD;
    pub(super) const PIN: usize = EF06 + RECORDS * RECORD;
    pub(super) const PIN_ROW: Row = Row::mac(PIN + pin::PIN);
    pub(super) const AUTH_ROW: Row = Row::cryptogram(PIN + pin::PIN + ROW, 15);
    /// `length 2 | contents`.
    pub(super) const EF07_FILE: usize = PIN + pin::PIN + 2 * ROW;
    pub(super) const EF08_FILE: usize = EF07_FILE + 2 + EF07;
    pub(super) const END: usize = EF08_FILE + 2 + super::EF08;
}
pub(crate) const AREA: usize = at::END;

/// Key ids that EXTERNAL AUTHENTICATE proved in this session. Only a right cryptogram adds one.
#[derive(Debug, Default)]
pub(crate) struct Grants(heapless::Vec<u8, 4>);

impl Grants {
    fn holds(&self, kid: u8) -> bool {
        self.0.contains(&kid)
    }

    /// Whether the terminal proved any key.
    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    fn add(&mut self, kid: u8) {
        if !self.holds(kid) && self.0.is_full() {
            self.0.clear();
        }
        if !self.holds(kid) {
            let _ = self.0.push(kid);
        }
    }
}

/// Files of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    Ef05,
    Ef06,
    Ef07,
    Ef08,
}

impl File {
    pub(crate) const fn from_fid(id: u16) -> Option<Self> {
        match id {
            fid::EF05 => Some(Self::Ef05),
            fid::EF06 => Some(Self::Ef06),
            fid::EF07 => Some(Self::Ef07),
            fid::EF08 => Some(Self::Ef08),
            _ => None,
        }
    }

    const fn from_sfi(sfi: u8) -> Option<Self> {
        File::from_fid(0xEF00 | sfi as u16)
    }

    const fn fid(self) -> u16 {
        match self {
            Self::Ef05 => fid::EF05,
            Self::Ef06 => fid::EF06,
            Self::Ef07 => fid::EF07,
            Self::Ef08 => fid::EF08,
        }
    }

    /// Offset of the records.
    fn records(self) -> Result<usize, Error> {
        match self {
            Self::Ef05 => Ok(at::EF05),
            Self::Ef06 => Ok(at::EF06),
            Self::Ef07 | Self::Ef08 => Err(Error::Incompatible),
        }
    }

    /// Offset and capacity of the contents.
    fn binary(self) -> Result<(usize, usize), Error> {
        match self {
            Self::Ef07 => Ok((at::EF07_FILE, EF07)),
            Self::Ef08 => Ok((at::EF08_FILE, EF08)),
            Self::Ef05 | Self::Ef06 => Err(Error::Incompatible),
        }
    }

    /// The file control parameters that SELECT answers.
    pub(crate) fn fcp(self) -> [u8; 7] {
        let kind = if self.records().is_ok() { 0x04 } else { 0x01 };
        let [high, low] = self.fid().to_be_bytes();
        [0x82, 0x01, kind, 0x83, 0x02, high, low]
    }
}

/// What the social-security side remembers while one of its DFs is selected.
#[derive(Default)]
pub(crate) struct Ram {
    pub(crate) pin: Option<pin::Verified>,
    pub(crate) grants: Grants,
    pub(crate) file: Option<File>,
}

/// The application at work on one command.
pub(crate) struct Ssse<'a, N> {
    pub(crate) area: Area<'a, N>,
    pub(crate) ram: &'a mut Ram,
    pub(crate) challenge: &'a mut Option<Challenge>,
    pub(crate) interface: Interface,
}

/// The profile, once the application is personalised.
pub(crate) fn profile<N: Nvm>(area: &Area<'_, N>) -> Result<Option<Profile>, Error> {
    Ok(Profile::from_byte(area.byte(at::PROFILE)?))
}

impl<N: Nvm> Ssse<'_, N> {
    pub(crate) fn run(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        // Nothing of a citizen is answered over the air to somebody who proved nothing.
        let authenticates = matches!(command, Command::ExternalAuthenticate { .. });
        if self.interface == Interface::Contactless && !authenticates && !self.ram.grants.any() {
            return Err(Error::Security);
        }
        match command {
            Command::ReadRecord { sfi, which } => self.read_record(sfi, which, out),
            Command::UpdateRecord { sfi, which, data } => self.update_record(sfi, which, data),
            Command::ReadBinary { sfi, offset, le } => self.read_binary(sfi, offset, le, out),
            Command::UpdateBinary { sfi, offset, data } => self.update_binary(sfi, offset, data),
            Command::ExternalAuthenticate { kid, data } => self.external(kid, data),
            Command::InternalAuthenticate { kid, challenge } => self.internal(kid, challenge, out),
            Command::Verify(candidate) => self.verify(candidate),
            Command::ChangePin(data) => {
                self.ram.pin = None;
                self.ram.pin = Some(pin::change(&mut self.area, at::PIN, data, self.interface)?);
                Ok(Answer::Done)
            }
            Command::UnblockPin { header, data, mac } => self.unblock_pin(header, data, mac),
        }
    }

    fn file(&mut self, sfi: u8) -> Result<File, Error> {
        if sfi == 0 {
            return self.ram.file.ok_or(Error::NoCurrentFile);
        }
        let file = File::from_sfi(sfi).ok_or(Error::NotFound)?;
        self.ram.file = Some(file);
        Ok(file)
    }

    /// V1 and V2 show EF05 and EF06 to everybody; V3 to whoever proved key 0A. Fingerprint and
    /// photo always need the proof: no profile is known to show them freely.
    fn may_read(&self, file: File) -> Result<(), Error> {
        let free = matches!(profile(&self.area)?, Some(Profile::V1 | Profile::V2))
            && matches!(file, File::Ef05 | File::Ef06);
        if free || self.ram.grants.holds(ssse_kid::READ_V3) {
            Ok(())
        } else {
            Err(Error::Security)
        }
    }

    fn may_write(&self) -> Result<(), Error> {
        if self.ram.grants.holds(ssse_kid::WRITE_BASIC) {
            Ok(())
        } else {
            Err(Error::Security)
        }
    }

    /// Offset of a record's slot and its `tag | len | value`.
    fn find(&self, file: File, which: Which) -> Result<(usize, heapless::Vec<u8, RECORD>), Error> {
        let base = file.records()?;
        for index in 0..RECORDS {
            let at = base + index * RECORD;
            let slot: [u8; RECORD] = self.area.array(at)?;
            let length = usize::from(slot[0]);
            let wanted = match which {
                Which::Number(n) => usize::from(n) == index + 1,
                Which::Tag(tag) => slot[1] == tag,
            };
            if let (true, Some(record @ [_, ..])) = (wanted, slot.get(1..1 + length)) {
                return heapless::Vec::from_slice(record)
                    .map(|r| (at, r))
                    .map_err(|_| Error::Memory);
            }
        }
        Err(Error::Record)
    }

    fn read_record(&mut self, sfi: u8, which: Which, out: &mut Out) -> Outcome {
        let file = self.file(sfi)?;
        file.records()?;
        self.may_read(file)?;
        let (_, record) = self.find(file, which)?;
        put(out, &record)?;
        Ok(Answer::Exact)
    }

    /// A record keeps its tag and its length; only the value changes.
    fn update_record(&mut self, sfi: u8, which: Which, data: &[u8]) -> Outcome {
        let file = self.file(sfi)?;
        file.records()?;
        self.may_write()?;
        let (at, old) = self.find(file, which)?;
        if data.len() != old.len() {
            return Err(Error::Length);
        }
        if data.get(..2) != old.get(..2) {
            return Err(Error::Data);
        }
        self.area.write(at + 1, data)?;
        Ok(Answer::Done)
    }

    fn binary_file(&mut self, sfi: Option<u8>) -> Result<File, Error> {
        match sfi {
            Some(sfi) => File::from_sfi(sfi).ok_or(Error::NotFound),
            None => self.ram.file.ok_or(Error::NoCurrentFile),
        }
    }

    fn read_binary(
        &mut self,
        sfi: Option<u8>,
        offset: usize,
        le: Option<usize>,
        out: &mut Out,
    ) -> Outcome {
        let file = self.binary_file(sfi)?;
        let (at, capacity) = file.binary()?;
        self.may_read(file)?;
        let length = usize::from(self.area.u16(at)?).min(capacity);
        let rest = length
            .checked_sub(offset)
            .filter(|n| *n > 0)
            .ok_or(Error::Offset)?;
        let n = le.unwrap_or(rest).min(rest).min(out.capacity());
        let mut buffer = [0u8; 256];
        let part = buffer.get_mut(..n).ok_or(Error::Length)?;
        self.area.read(at + 2 + offset, part)?;
        put(out, part)?;
        Ok(Answer::Done)
    }

    fn update_binary(&mut self, sfi: Option<u8>, offset: usize, data: &[u8]) -> Outcome {
        let file = self.binary_file(sfi)?;
        let (at, capacity) = file.binary()?;
        self.may_write()?;
        let length = usize::from(self.area.u16(at)?);
        let end = offset + data.len();
        if data.is_empty() || offset > length {
            return Err(Error::Offset);
        }
        if end > capacity {
            return Err(Error::Space);
        }
        self.area.write(at + 2 + offset, data)?;
        self.area
            .write(at, &(end.max(length) as u16).to_be_bytes())?;
        Ok(Answer::Done)
    }

    /// `E | T`: E must be T's cryptogram under the key's process key for our last challenge.
    fn external(&mut self, kid: u8, data: &[u8; 16]) -> Outcome {
        let challenge = self
            .challenge
            .take()
            .and_then(|c| c.eight())
            .ok_or(Error::NoChallenge)?;
        let slot = self
            .area
            .key(|slot| {
                slot.header.index == kid
                    && matches!(slot.header.key_type, KeyType::Rk | KeyType::Uk)
            })?
            .ok_or(Error::Reference)?;
        let [e0, e1, e2, e3, e4, e5, e6, e7, terminal @ ..] = *data;
        let suite = slot.header.suite;
        let process = ssse_process_key(&slot.key, suite, &challenge);
        let expected = process.cryptogram8(suite, &terminal);
        let given = [e0, e1, e2, e3, e4, e5, e6, e7];
        let matches = || expected.ct_eq(&given).into();
        at::AUTH_ROW
            .through(self.interface)
            .guard(&mut self.area, matches, Error::Security)?;
        self.ram.grants.add(kid);
        Ok(Answer::Done)
    }

    fn internal(&mut self, kid: u8, challenge: &[u8; 8], out: &mut Out) -> Outcome {
        let slot = self
            .area
            .key(|slot| slot.header.index == kid && slot.header.key_type == KeyType::Irk)?
            .ok_or(Error::Reference)?;
        let suite = slot.header.suite;
        let process = ssse_process_key(&slot.key, suite, challenge);
        put(out, &process.cryptogram8(suite, challenge))?;
        Ok(Answer::Done)
    }

    fn verify(&mut self, candidate: &[u8]) -> Outcome {
        if candidate.is_empty() {
            return Err(pin::tries(&self.area, at::PIN)?);
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

    /// Through the contacts only, like every command under a maintenance key.
    fn unblock_pin(&mut self, header: [u8; 5], data: &[u8], mac: [u8; 4]) -> Outcome {
        if self.interface == Interface::Contactless {
            return Err(Error::Conditions);
        }
        let challenge = self.challenge.take().ok_or(Error::NoChallenge)?.as_iv();
        let slot = self
            .area
            .key(|slot| slot.header.key_type == KeyType::Puk)?
            .ok_or(Error::Reference)?;
        pin::unblock(
            &mut self.area,
            at::PIN_ROW,
            at::PIN,
            &slot,
            challenge,
            header,
            data,
            mac,
        )?;
        self.ram.pin = None;
        Ok(Answer::Done)
    }
}
