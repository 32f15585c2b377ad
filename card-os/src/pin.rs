//! PINs: two to six packed bytes, a try counter, and the proof that one was verified.

use crate::{
    apdu::Command, card::Interface, counter::Row, error::Error, keystore::Slot, nvm::Nvm,
    store::Area,
};
use card_spec::sm::{self, Challenge8};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// `maximum tries 1 | tries left 1 | length 1 | value 6`.
pub(crate) const PIN: usize = 9;

/// A verified PIN. Only [`verify`] makes one; whatever needs the PIN asks for the value.
#[derive(Debug)]
pub(crate) struct Verified(());

/// Sets the PIN with a full try counter.
pub(crate) fn set<N: Nvm>(
    area: &mut Area<'_, N>,
    at: usize,
    tries: u8,
    pin: &[u8],
) -> Result<(), Error> {
    if !(1..=15).contains(&tries) || !(2..=6).contains(&pin.len()) {
        return Err(Error::DATA);
    }
    let mut bytes = [0u8; PIN];
    bytes[0] = tries;
    bytes[1] = tries;
    bytes[2] = pin.len() as u8;
    bytes[3..3 + pin.len()].copy_from_slice(pin);
    area.write(at, &bytes);
    bytes.zeroize();
    Ok(())
}

/// A new value with the try counter restored, after an authorised unblock or reload.
pub(crate) fn reload<N: Nvm>(area: &mut Area<'_, N>, at: usize, pin: &[u8]) -> Result<(), Error> {
    let maximum = area.byte(at);
    if maximum == 0 {
        return Err(Error::REFERENCE);
    }
    set(area, at, maximum, pin)
}

/// The same value with the try counter restored.
pub(crate) fn restore_tries<N: Nvm>(area: &mut Area<'_, N>, at: usize) -> Result<(), Error> {
    let maximum = area.byte(at);
    if maximum == 0 {
        return Err(Error::REFERENCE);
    }
    area.write(at + 1, &[maximum]);
    Ok(())
}

/// Tries left, as VERIFY without data reports them.
pub(crate) fn tries<N: Nvm>(area: &Area<'_, N>, at: usize) -> Error {
    match area.array(at) {
        [0, _] => Error::REFERENCE,
        [_, 0] => Error::BLOCKED,
        [_, left] => Error::tries(left),
    }
}

/// Compares. The try is taken and committed first; success gives it back. The last try is kept for
/// the contacts: a phone against a pocket cannot block the holder's PIN.
pub(crate) fn verify<N: Nvm>(
    area: &mut Area<'_, N>,
    at: usize,
    candidate: &[u8],
    interface: Interface,
) -> Result<Verified, Error> {
    let [maximum, left, length] = area.array(at);
    if maximum == 0 {
        return Err(Error::REFERENCE);
    }
    if !(2..=6).contains(&candidate.len()) {
        return Err(Error::LENGTH);
    }
    let remaining = left.checked_sub(1).ok_or(Error::BLOCKED)?;
    if remaining == 0 && interface == Interface::Contactless {
        return Err(Error::CONDITIONS);
    }
    area.write(at + 1, &[remaining]);
    area.commit()?;
    let mut stored = area.array::<6>(at + 3);
    let mut given = [0u8; 6];
    given[..candidate.len()].copy_from_slice(candidate);
    let same = stored.ct_eq(&given) & length.ct_eq(&(candidate.len() as u8));
    stored.zeroize();
    given.zeroize();
    if !bool::from(same) {
        return Err(match remaining {
            0 => Error::BLOCKED,
            n => Error::tries(n),
        });
    }
    area.write(at + 1, &[maximum]);
    Ok(Verified(()))
}

/// CHANGE PIN: `old | FF | new`. Packed PINs have no FF byte.
pub(crate) fn change<N: Nvm>(
    area: &mut Area<'_, N>,
    at: usize,
    data: &[u8],
    interface: Interface,
) -> Result<Verified, Error> {
    let split = data.iter().position(|b| *b == 0xFF).ok_or(Error::DATA)?;
    let (old, new) = data.split_at(split);
    let new = new.get(1..).unwrap_or_default();
    if !(2..=6).contains(&new.len()) || new.contains(&0xFF) {
        return Err(Error::DATA);
    }
    let verified = verify(area, at, old, interface)?;
    reload(area, at, new)?;
    Ok(verified)
}

/// PIN UNBLOCK and RELOAD by secure messaging: `E(length | PIN | 80 ..) | MAC4`, one key for both.
pub(crate) fn unblock<N: Nvm>(
    area: &mut Area<'_, N>,
    row: Row,
    at: usize,
    slot: &Slot,
    challenge: Challenge8,
    c: &Command<'_>,
) -> Result<(), Error> {
    let (data, mac) = c.split_mac()?;
    let suite = slot.header.suite;
    let mut plain = [0u8; 16];
    let plain = match plain.get_mut(..data.len()) {
        Some(plain) if data.len() == suite.block() => plain,
        _ => return Err(Error::LENGTH),
    };
    plain.copy_from_slice(data);
    let expected = sm::mac(suite, &slot.key, challenge, c.mac_header(), data);
    row.guard(area, &expected, &mac, Error::SM_WRONG)?;
    // The MAC was right, whatever is inside: the failure is taken back now.
    area.commit()?;
    sm::decrypt(suite, &slot.key, challenge, plain);
    let done = match sm::from_plaintext(plain) {
        Some(new) => reload(area, at, new),
        None => Err(Error::DATA),
    };
    plain.zeroize();
    done
}
