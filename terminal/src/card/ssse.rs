//! The social-security application of a presented card.

use card_spec::{
    Channel, FormatError, SuiteId, Sw, aid, apdu,
    channel::exchange,
    id::RegionCode,
    keys::ssse_kid,
    ssse::{self, fid, tag},
    time::CardDate,
};
use subtle::ConstantTimeEq;

use super::{CardError, Pin, ask, format, verify_pin};
use crate::{
    person::Randoms,
    sam::{SamError, SamUnit},
};

/// Who the card says its holder is: EF05 and EF06.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Region, the first three bytes of the card identifier.
    pub region: RegionCode,
    /// Card number, 9 characters.
    pub card_no: String,
    /// Last day of validity.
    pub expires: CardDate,
    /// Social security number 社会保障号码: a citizen number, or another one for foreigners.
    pub ssn: String,
    /// Name.
    pub name: String,
    /// Sex as coded: `1` male, `2` female.
    pub sex: String,
    /// Birthday.
    pub birthday: CardDate,
}

/// Why card and terminal do not trust each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// A step with the card failed.
    #[error(transparent)]
    Card(#[from] CardError),
    /// A step with the SAM failed.
    #[error(transparent)]
    Sam(#[from] SamError),
    /// The card's answer to the challenge is not the one its key would give.
    #[error("the card did not prove that it holds the issuer's key: keep it and call staff")]
    NotAuthentic,
}

/// A selected social-security application.
#[derive(Debug)]
pub struct SsseSession<'c, C: Channel + ?Sized> {
    channel: &'c mut C,
    f1: [u8; 8],
}

impl<'c, C: Channel + ?Sized> SsseSession<'c, C> {
    /// SELECT of the SSSE. F1 comes from the ATR.
    pub fn select(channel: &'c mut C) -> Result<Self, CardError> {
        let step = "SELECT social-security application";
        let f1 = ssse::f1_from_atr(channel.atr()).map_err(format(step))?;
        ask(channel, step, &apdu::select(aid::SSSE))?;
        Ok(Self { channel, f1 })
    }

    /// F1, the card-level factor of its social-security keys.
    pub const fn f1(&self) -> [u8; 8] {
        self.f1
    }

    /// Terminal and card prove themselves to each other with keys of `region` in the SAM:
    /// EXTERNAL AUTHENTICATE with the reading key 0A (skipped by cards that have none), then
    /// INTERNAL AUTHENTICATE over `randoms.challenge`, checked by the SAM. `randoms.terminal` is T;
    /// `suite` picks the SAM's keys.
    pub fn mutual_authenticate<S: Channel>(
        &mut self,
        sam: &mut SamUnit<S>,
        suite: SuiteId,
        region: RegionCode,
        randoms: Randoms,
    ) -> Result<(), AuthError> {
        let Randoms {
            terminal,
            challenge,
        } = randoms;
        let step = "GET CHALLENGE";
        let reply = ask(self.channel, step, &apdu::get_challenge(8))?;
        let card_random: [u8; 8] = reply
            .data
            .as_slice()
            .try_into()
            .map_err(|_| format(step)(FormatError::Length))?;
        let kid = ssse_kid::READ_V3;
        let cryptogram = sam.ssse_cryptogram(kid, suite, self.f1, region, card_random, terminal)?;
        let command = ssse::external_authenticate(kid, cryptogram, terminal);
        let reply = exchange(self.channel, &command).map_err(CardError::from)?;
        match reply.sw {
            Sw::OK | Sw::KEY_NOT_FOUND | Sw::KEY_INDEX => {}
            sw => {
                let step = "EXTERNAL AUTHENTICATE";
                return Err(CardError::Status { step, sw }.into());
            }
        }
        self.proof(sam, suite, region, challenge).map(|_| ())
    }

    /// INTERNAL AUTHENTICATE: the card's cryptogram over a challenge under its IRK, checked by the
    /// SAM.
    pub fn proof<S: Channel>(
        &mut self,
        sam: &mut SamUnit<S>,
        suite: SuiteId,
        region: RegionCode,
        challenge: [u8; 8],
    ) -> Result<[u8; 8], AuthError> {
        let answer = self.internal_authenticate(challenge)?;
        let kid = ssse_kid::INTERNAL;
        let expected = sam.ssse_cryptogram(kid, suite, self.f1, region, challenge, challenge)?;
        if answer.ct_eq(&expected).into() {
            Ok(answer)
        } else {
            Err(AuthError::NotAuthentic)
        }
    }

    fn internal_authenticate(&mut self, challenge: [u8; 8]) -> Result<[u8; 8], CardError> {
        let step = "INTERNAL AUTHENTICATE";
        let command = ssse::internal_authenticate(ssse_kid::INTERNAL, challenge);
        let reply = ask(self.channel, step, &command)?;
        reply
            .data
            .as_slice()
            .try_into()
            .map_err(|_| format(step)(FormatError::Length))
    }

    fn field(&mut self, step: &'static str, record: (u8, usize)) -> Result<Vec<u8>, CardError> {
        let reply = ask(self.channel, step, &ssse::read_by_tag(record))?;
        ssse::record_value(&reply.data, record.0)
            .map(<[u8]>::to_vec)
            .map_err(format(step))
    }

    /// Reads what a window needs of EF05 and EF06.
    pub fn identity(&mut self) -> Result<Identity, CardError> {
        let step = "reading EF05";
        ask(self.channel, step, &apdu::select_ef(fid::EF05))?;
        let card_id = self.field(step, tag::CARD_ID)?;
        let region = card_id
            .first_chunk::<3>()
            .ok_or(format(step)(FormatError::Length))?;
        let region = RegionCode::from_bytes(*region).map_err(format(step))?;
        let card_no = ascii(step, &self.field(step, tag::CARD_NO)?)?;
        let expires = date(step, &self.field(step, tag::EXPIRES)?)?;
        let step = "reading EF06";
        ask(self.channel, step, &apdu::select_ef(fid::EF06))?;
        let ssn = ascii(step, &self.field(step, tag::SSN)?)?;
        let name = self.field(step, tag::NAME)?;
        let name = name.split(|b| *b == 0).next().unwrap_or_default();
        let (name, _, malformed) = encoding_rs::GB18030.decode(name);
        if malformed {
            return Err(format(step)(FormatError::Digit));
        }
        let sex = ascii(step, &self.field(step, tag::SEX)?)?;
        let birthday = date(step, &self.field(step, tag::BIRTHDAY)?)?;
        Ok(Identity {
            region,
            card_no,
            expires,
            ssn,
            name: name.into_owned(),
            sex,
            birthday,
        })
    }

    /// Verifies the PIN of the social-security application.
    pub fn verify_pin(&mut self, pin: Pin) -> Result<(), CardError> {
        verify_pin(self.channel, pin)
    }
}

fn ascii(step: &'static str, value: &[u8]) -> Result<String, CardError> {
    let text = value.split(|b| *b == 0).next().unwrap_or_default();
    match std::str::from_utf8(text) {
        Ok(text) if text.is_ascii() => Ok(text.to_owned()),
        _ => Err(format(step)(FormatError::Digit)),
    }
}

fn date(step: &'static str, value: &[u8]) -> Result<CardDate, CardError> {
    let bytes = value
        .try_into()
        .map_err(|_| format(step)(FormatError::Length))?;
    CardDate::from_bytes(bytes).map_err(format(step))
}
