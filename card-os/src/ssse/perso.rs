//! What personalisation may write into the citizen's side.

use super::{PLAN, Plan, at};
use crate::{error::Error, file, isd::Item, nvm::Nvm, pin, store::Area};
use card_spec::{
    keys::KeyType,
    perso::Dgi,
    ssse::{EF05_RECORDS, EF06_RECORDS, Profile},
};

/// Applies one data group of personalisation. `Ok(false)`: not one of this application's.
pub(crate) fn personalise<N: Nvm>(area: &mut Area<'_, N>, item: &Item<'_>) -> Result<bool, Error> {
    const EF05_RECORD: Dgi = Dgi::record(0x05);
    const EF06_RECORD: Dgi = Dgi::record(0x06);
    match (item.dgi, item.data) {
        (Dgi::PROFILE, [byte]) => {
            Profile::from_byte(*byte).ok_or(Error::DATA)?;
            area.write(at::PROFILE, &[*byte]);
            return Ok(true);
        }
        (EF05_RECORD, data) => known(data, &EF05_RECORDS)?,
        (EF06_RECORD, data) => known(data, &EF06_RECORDS)?,
        _ => {}
    }
    file::personalise(PLAN.files, area, item)
}

/// `number | tag | len | value`; tag and length must be the specification's.
fn known(data: &[u8], known: &[(u8, usize)]) -> Result<(), Error> {
    match data {
        [1..=7, tag, len, value @ ..]
            if usize::from(*len) == value.len() && known.contains(&(*tag, value.len())) =>
        {
            Ok(())
        }
        _ => Err(Error::DATA),
    }
}

/// A key from the issuer makes the rows that guard it new.
pub(crate) fn key_stored<N: Nvm>(plan: &Plan, area: &mut Area<'_, N>, key_type: KeyType) {
    if matches!(key_type, KeyType::Rk | KeyType::Uk | KeyType::Puk) {
        plan.authentications.renew(area);
    }
    match (key_type, plan.pin) {
        (KeyType::Rk | KeyType::Uk, _) => plan.secure.renew(area),
        (KeyType::Puk, Some(pin)) => pin.unblock.renew(area),
        _ => {}
    }
}

pub(crate) fn set_pin<N: Nvm>(
    area: &mut Area<'_, N>,
    tries: u8,
    value: &[u8],
) -> Result<(), Error> {
    let pin = PLAN.pin.ok_or(Error::REFERENCE)?;
    pin::set(area, pin.at, tries, value)
}
