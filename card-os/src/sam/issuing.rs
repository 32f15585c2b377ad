//! How a SAM comes by its keys, and the two commands under keys of its own.
//!
//! Issuing has two steps (二次发行). The issuer writes serial number, terminal number, class, ceiling
//! and the SAM's own keys over SCP03; in the field, WRITE KEY brings the region keys under the
//! issuing key, so that whoever carries them there never holds them in clear.

use super::{Sam, at};
use crate::{
    apdu::{Answer, Outcome},
    card::Interface,
    counter::Row,
    error::Error,
    isd::Item,
    keystore::{SENT, Slot},
    nvm::Nvm,
    store::Area,
};
use card_spec::{
    bcd,
    id::RegionCode,
    keys::{KeyType, class},
    perso::Dgi,
    sam,
    sm::{self, Challenge8},
};
use zeroize::Zeroize;

/// Bytes of WRITE KEY's data: a key with its length, padded, and the MAC.
pub(super) const WRITE_KEY: usize = 32 + 4;

impl<N: Nvm> Sam<'_, N> {
    /// Whether the MAC is that of the HSM, which has the SAM's own key of this type. Once it is,
    /// the failure counted in advance is taken back, whatever comes of the command. Short MACs are
    /// not guessed over the air.
    fn authorised(
        &mut self,
        key_type: KeyType,
        row: Row,
        header: [u8; 5],
        data: &[u8],
        mac: &[u8],
    ) -> Result<(Slot, Challenge8), Error> {
        if self.interface == Interface::Contactless {
            return Err(Error::CONDITIONS);
        }
        let challenge = self.challenge.take().ok_or(Error::NO_CHALLENGE)?.as_iv();
        let own = self.area.key_of(key_type, None, Error::REFERENCE)?;
        let expected = sm::mac(own.header.suite, &own.key, challenge, header, data);
        row.guard(&mut self.area, &expected, mac, Error::SM_WRONG)?;
        self.area.commit()?;
        Ok((own, challenge))
    }

    /// `ceiling4 | MAC4`. The ceiling never goes down.
    pub(super) fn raise_ceiling(&mut self, header: [u8; 5], data: &[u8; 8]) -> Outcome {
        let (ceiling, mac) = data.split_at(4);
        self.authorised(KeyType::SamCeiling, at::CEILING_ROW, header, ceiling, mac)?;
        // Big-endian bytes compare as the numbers do.
        if ceiling <= &self.area.array::<4>(at::CEILING) {
            return Err(Error::DATA);
        }
        self.area.write(at::CEILING, ceiling);
        Ok(Answer::Done)
    }

    /// `E(length | region3 | header4 | key16 | KCV3 | 80 00..) | MAC4` (`card_spec::sam::write_key`).
    pub(super) fn write_key(&mut self, header: [u8; 5], data: &[u8; WRITE_KEY]) -> Outcome {
        let (enciphered, mac) = data.split_at(WRITE_KEY - 4);
        let (issuing, challenge) =
            self.authorised(KeyType::SamIssue, at::ISSUING_ROW, header, enciphered, mac)?;
        let mut plain = [0; WRITE_KEY - 4];
        plain.copy_from_slice(enciphered);
        sm::decrypt(issuing.header.suite, &issuing.key, challenge, &mut plain);
        let arrived = match sm::from_plaintext(&plain).map(<&[u8; SENT]>::try_from) {
            Some(Ok(sent)) => Slot::arrived(sent),
            _ => Err(Error::DATA),
        };
        plain.zeroize();
        let slot = arrived?;
        RegionCode::from_bytes(slot.region)?;
        let (key_type, index) = (slot.header.key_type, slot.header.index);
        // Its class is given to a SAM once, with the first step.
        let class = match key_type {
            KeyType::Dpk => index & !class::SPARE,
            _ => index,
        };
        if slot.region == OWN
            || !may_hold(&slot)
            || (matches!(key_type, KeyType::Dpk | KeyType::Mpk)
                && class != self.area.byte(at::CLASS))
        {
            return Err(Error::DATA);
        }
        self.area.put_key(&slot)?;
        key_stored(&mut self.area, key_type);
        Ok(Answer::Done)
    }
}

/// The region of the SAM's own keys.
const OWN: [u8; 3] = [0; 3];

/// Keys a SAM may hold: of regions, those that pay, lock in the field and authenticate; of its own,
/// one each. Everything that could load, unblock or rewrite a card is refused.
pub(crate) fn may_hold(slot: &Slot) -> bool {
    match slot.header.key_type {
        KeyType::Dpk | KeyType::Dack | KeyType::Mpk | KeyType::Irk | KeyType::Rk => {
            slot.region != OWN
        }
        KeyType::SamIssue | KeyType::SamCeiling => {
            slot.region == OWN && slot.header.index == class::ONLY
        }
        _ => false,
    }
}

/// Applies one data group of personalisation. `Ok(false)`: not one of the SAM's.
pub(crate) fn personalise<N: Nvm>(area: &mut Area<'_, N>, item: &Item<'_>) -> Result<bool, Error> {
    const SERIAL: Dgi = Dgi::file(sam::SFI_SERIAL);
    const TERMINAL_NO: Dgi = Dgi::file(sam::SFI_TERMINAL_NO);
    const KEY_INDEX: Dgi = Dgi::file(sam::SFI_KEY_INDEX);
    match (item.dgi, item.data) {
        (SERIAL, data) if data.len() == 10 && bcd::is_decimal(data) => {
            area.write(at::SERIAL, data);
        }
        (TERMINAL_NO, data) if data.len() == 6 && bcd::is_decimal(data) => {
            area.write(at::TERMINAL_NO, data);
            area.write(at::STATE, &[1]);
        }
        (KEY_INDEX, [index @ (class::TRANSIT | class::PARKING_TAXI | class::RETAIL)]) => {
            area.write(at::CLASS, &[*index]);
        }
        (Dgi::SAM_CEILING, data) if data.len() == 4 => area.write(at::CEILING, data),
        (SERIAL | TERMINAL_NO | KEY_INDEX | Dgi::SAM_CEILING, _) => return Err(Error::DATA),
        _ => return Ok(false),
    }
    Ok(true)
}

/// A key from the issuer makes the row that guards it new.
pub(crate) fn key_stored<N: Nvm>(area: &mut Area<'_, N>, key_type: KeyType) {
    match key_type {
        KeyType::Dpk | KeyType::Mpk => at::CREDIT_ROW,
        KeyType::SamCeiling => at::CEILING_ROW,
        KeyType::SamIssue => at::ISSUING_ROW,
        _ => return,
    }
    .renew(area);
}
