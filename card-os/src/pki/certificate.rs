//! The certificate: readable when it is whole and carries this card's public key.

use super::{at, public_key};
use crate::{error::Error, isd::Item, nvm::Nvm, store::Area};
use card_spec::{
    perso::Dgi,
    pki::{CERTIFICATE, CERTIFICATE_MAX, PUBLIC_KEY, der_length},
};

/// Where its bytes are, behind the length that can be read.
const BYTES: usize = at::CERTIFICATE + 2;

fn set_lengths<N: Nvm>(area: &mut Area<'_, N>, readable: usize, written: usize) {
    area.write(at::CERTIFICATE, &(readable as u16).to_be_bytes());
    area.write(at::WRITTEN, &(written as u16).to_be_bytes());
}

/// It belongs to a key that is no more.
pub(super) fn forget<N: Nvm>(area: &mut Area<'_, N>) {
    set_lengths(area, 0, 0);
}

/// A part of a new certificate: the first at offset 0, each next one behind the last.
pub(super) fn add<N: Nvm>(area: &mut Area<'_, N>, offset: usize, data: &[u8]) -> Result<(), Error> {
    let goes_on = area.u16(at::CERTIFICATE) == 0 && offset == usize::from(area.u16(at::WRITTEN));
    if data.is_empty() || (offset != 0 && !goes_on) {
        return Err(Error::OFFSET);
    }
    let end = offset + data.len();
    if end > CERTIFICATE_MAX {
        return Err(Error::SPACE);
    }
    area.write(BYTES + offset, data);
    set_lengths(area, 0, end);
    if end < 4 {
        return Ok(());
    }
    let whole = der_length(area.array(BYTES)).ok_or(Error::DATA)?;
    match end {
        end if end < whole => Ok(()),
        end if end == whole => accept(area, end),
        _ => Err(Error::DATA),
    }
}

/// Makes what was written readable.
fn accept<N: Nvm>(area: &mut Area<'_, N>, len: usize) -> Result<(), Error> {
    if der_length(area.array(BYTES)) != Some(len) || !carries_key(area, len)? {
        return Err(Error::DATA);
    }
    set_lengths(area, len, len);
    Ok(())
}

/// Whether the public key is in it as SubjectPublicKeyInfo has it: `BIT STRING 03 42 00 04 X Y`
/// (RFC 5480, 2).
fn carries_key<N: Nvm>(area: &Area<'_, N>, len: usize) -> Result<bool, Error> {
    let public = public_key(area).ok_or(Error::REFERENCE)?;
    let last = len.saturating_sub(4 + PUBLIC_KEY);
    for at in BYTES..=BYTES + last {
        if area.array(at) == [0x03, 0x42, 0x00, 0x04] && area.array::<PUBLIC_KEY>(at + 4) == public
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Applies one data group of personalisation. `Ok(false)`: not one of this application's.
pub(crate) fn personalise<N: Nvm>(area: &mut Area<'_, N>, item: &Item<'_>) -> Result<bool, Error> {
    const FILE: Dgi = Dgi::file(CERTIFICATE as u8);
    if item.dgi != FILE {
        return Ok(false);
    }
    if item.len > CERTIFICATE_MAX {
        return Err(Error::SPACE);
    }
    area.copy_staged(item.at, item.len, BYTES)?;
    accept(area, item.len)?;
    Ok(true)
}
