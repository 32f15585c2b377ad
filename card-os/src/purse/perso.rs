//! What personalisation may write into the purse. It cannot write a balance: money enters by a load.

use super::{FILES, State, at, bearable, state};
use crate::{error::Error, file, isd::Item, nvm::Nvm, pin, store::Area};
use card_spec::{
    keys::KeyType,
    perso::Dgi,
    purse::{files, sfi},
};

/// Applies one data group. `Ok(false)`: not one of the purse's.
pub(crate) fn personalise<N: Nvm>(area: &mut Area<'_, N>, item: &Item<'_>) -> Result<bool, Error> {
    const FILE15: Dgi = Dgi::file(sfi::PUBLIC);
    match (item.dgi, item.data) {
        (FILE15, data) => {
            files::Public::from_bytes(data).map_err(|_| Error::DATA)?;
            // A card keeps its number: keys and books are tied to it.
            if super::pan(area).is_some_and(|pan| Some(&pan[..]) != data.get(10..20)) {
                return Err(Error::CONDITIONS);
            }
            file::personalise(&FILES, area, item)?;
            if state(area) == State::Absent {
                area.write(at::STATE, &[State::Ready as u8]);
            }
        }
        (Dgi::LIMITS, data) => {
            let limits = data.try_into().map_err(|_| Error::DATA)?;
            if !bearable(area, &files::Limits::from_bytes(limits)?) {
                return Err(Error::DATA);
            }
            area.write(at::LIMITS, data);
        }
        _ => return file::personalise(&FILES, area, item),
    }
    Ok(true)
}

pub(crate) fn set_pin<N: Nvm>(
    area: &mut Area<'_, N>,
    tries: u8,
    value: &[u8],
) -> Result<(), Error> {
    pin::set(area, at::PIN, tries, value)
}

/// A key from the issuer makes the rows that guard it new.
pub(crate) fn key_stored<N: Nvm>(area: &mut Area<'_, N>, key_type: KeyType) {
    match key_type {
        KeyType::Dlk => at::LOAD_ROW.renew(area),
        KeyType::Damk => {
            at::MAINTENANCE_ROW.renew(area);
            at::UNBLOCK_ROW.renew(area);
        }
        KeyType::Dpuk | KeyType::Dprk => at::PIN_ROW.renew(area),
        KeyType::Duk => at::OVERDRAFT_ROW.renew(area),
        _ => {}
    }
}
