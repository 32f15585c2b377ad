//! What personalisation may write into the social-security application.

use super::{File, RECORD, RECORDS, at};
use crate::{error::Error, isd::Item, nvm::Nvm, pin, store::Area};
use card_spec::{
    keys::KeyType,
    perso::Dgi,
    ssse::{EF05_RECORDS, EF06_RECORDS, Profile},
};

/// Applies one data group of personalisation. `Ok(false)`: not one of this application's.
pub(crate) fn personalise<N: Nvm>(area: &mut Area<'_, N>, item: &Item<'_>) -> Result<bool, Error> {
    const EF05_RECORD: Dgi = Dgi::record(0x05);
    const EF06_RECORD: Dgi = Dgi::record(0x06);
    const EF07_FILE: Dgi = Dgi::file(0x07);
    const EF08_FILE: Dgi = Dgi::file(0x08);
    match (item.dgi, item.data) {
        (Dgi::PROFILE, [byte]) => {
            Profile::from_byte(*byte).ok_or(Error::Data)?;
            area.write(at::PROFILE, &[*byte])?;
        }
        (EF05_RECORD, data) => record(area, at::EF05, data, &EF05_RECORDS)?,
        (EF06_RECORD, data) => record(area, at::EF06, data, &EF06_RECORDS)?,
        (EF07_FILE, _) => contents(area, File::Ef07, item)?,
        (EF08_FILE, _) => contents(area, File::Ef08, item)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// `number | tag | len | value`; tag and length must be the specification's.
fn record<N: Nvm>(
    area: &mut Area<'_, N>,
    base: usize,
    data: &[u8],
    known: &[(u8, usize)],
) -> Result<(), Error> {
    let (number, record) = data.split_first().ok_or(Error::Data)?;
    let index = usize::from(*number)
        .checked_sub(1)
        .filter(|i| *i < RECORDS)
        .ok_or(Error::Data)?;
    match record {
        [tag, len, value @ ..]
            if usize::from(*len) == value.len() && known.contains(&(*tag, value.len())) => {}
        _ => return Err(Error::Data),
    }
    let mut slot = [0u8; RECORD];
    let place = slot.get_mut(1..=record.len()).ok_or(Error::Data)?;
    place.copy_from_slice(record);
    slot[0] = record.len() as u8;
    area.write(base + index * RECORD, &slot)
}

fn contents<N: Nvm>(area: &mut Area<'_, N>, file: File, item: &Item<'_>) -> Result<(), Error> {
    let (at, capacity) = file.binary()?;
    if item.len > capacity {
        return Err(Error::Space);
    }
    area.write(at, &(item.len as u16).to_be_bytes())?;
    area.copy_staged(item.at, item.len, at + 2)
}

/// A key from the issuer makes the row that guards it new.
pub(crate) fn key_stored<N: Nvm>(area: &mut Area<'_, N>, key_type: KeyType) -> Result<(), Error> {
    match key_type {
        KeyType::Rk | KeyType::Uk => at::AUTH_ROW.renew(area),
        KeyType::Puk => at::PIN_ROW.renew(area),
        _ => Ok(()),
    }
}

pub(crate) fn set_pin<N: Nvm>(
    area: &mut Area<'_, N>,
    tries: u8,
    value: &[u8],
) -> Result<(), Error> {
    pin::set(area, at::PIN, tries, value)
}
