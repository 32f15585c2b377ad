//! PUT KEY and DELETE [key]: adding, replacing and removing the issuer's key sets.

use super::{Isd, SessionState, keysets::KeySet};
use crate::{
    apdu::{Answer, Command, Out, Outcome, put},
    error::Error,
    layout::App,
    nvm::Nvm,
};
use card_spec::{
    SuiteId,
    keys::{KcvKind, kcv},
    perso::KVN_ISSUER,
    suite::Key,
};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Key type AES in PUT KEY.
const AES: u8 = 0x88;

impl<N: Nvm> Isd<'_, N> {
    /// `80 D8 old 81 | new KVN | three keys` (GlobalPlatform 2.3, 11.8). P1 00 adds a set, or puts
    /// the issuer's first in the place of the transport set; another P1 replaces the set of that
    /// KVN. The answer is the new KVN and the three KCVs. The session goes on with the keys that
    /// opened it.
    pub(super) fn put_key(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        let SessionState::Open(open) = &self.ram.state else {
            return Err(Error::SECURITY);
        };
        if command.p2 != 0x81 {
            return Err(Error::PARAMETERS);
        }
        let (&kvn, mut rest) = command.data.split_first().ok_or(Error::LENGTH)?;
        if !(KVN_ISSUER..=0x7F).contains(&kvn) {
            return Err(Error::DATA);
        }
        let mut area = self.store.area(App::Isd);
        let set = match command.p1 {
            0 => KeySet::free(&area)?,
            old => KeySet::find(&area, old).ok_or(Error::PARAMETERS)?,
        };
        // Two sets of one KVN: nobody could say which is meant.
        if KeySet::find(&area, kvn).is_some_and(|other| other != set) {
            return Err(Error::DATA);
        }
        put(out, &[kvn]);
        for place in 0..3 {
            let (encrypted, check, after) = key_field(rest)?;
            let mut value = *encrypted;
            open.dek.decrypt_cbc(SuiteId::Aes, &[0; 16], &mut value);
            let key = Key::new(value);
            value.zeroize();
            let expected = kcv(&key, SuiteId::Aes, KcvKind::GlobalPlatform);
            if !bool::from(expected.ct_eq(check)) {
                return Err(Error::DATA);
            }
            set.put(&mut area, kvn, place, &key);
            put(out, check);
            rest = after;
        }
        if !rest.is_empty() {
            return Err(Error::DATA);
        }
        Ok(Answer::Done)
    }

    /// `80 E4 00 00 | D2 01 KVN` (GlobalPlatform 2.3, 11.2). The set that opened this session
    /// stays, so there is always one left. Applications cannot be deleted: they are the card.
    pub(super) fn delete(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        let SessionState::Open(open) = &self.ram.state else {
            return Err(Error::SECURITY);
        };
        if (command.p1, command.p2) != (0, 0) {
            return Err(Error::PARAMETERS);
        }
        let kvn = match command.data {
            [0xD2, 0x01, kvn] if *kvn != 0 => *kvn,
            [0x4F, ..] => return Err(Error::CONDITIONS),
            _ => return Err(Error::DATA),
        };
        let mut area = self.store.area(App::Isd);
        let set = KeySet::find(&area, kvn).ok_or(Error::REFERENCE)?;
        if set == open.set {
            return Err(Error::CONDITIONS);
        }
        set.delete(&mut area);
        put(out, &[0x00]);
        Ok(Answer::Done)
    }
}

type Field<'a> = (&'a [u8; 16], &'a [u8; 3], &'a [u8]);

/// One key in either encoding of the field: `88 11 10 <16> 03 kcv` or `88 10 <16> 03 kcv`.
fn key_field(bytes: &[u8]) -> Result<Field<'_>, Error> {
    let rest = match bytes {
        [AES, 0x11, 0x10, rest @ ..] | [AES, 0x10, rest @ ..] => rest,
        _ => return Err(Error::DATA),
    };
    let (key, rest) = rest.split_first_chunk::<16>().ok_or(Error::DATA)?;
    let (length, rest) = rest.split_first().ok_or(Error::DATA)?;
    let (check, rest) = rest.split_first_chunk::<3>().ok_or(Error::DATA)?;
    if *length != 3 {
        return Err(Error::DATA);
    }
    Ok((key, check, rest))
}

#[cfg(test)]
mod tests {
    use super::key_field;

    #[test]
    fn both_encodings_of_real_clients() {
        let mut long = [0u8; 23];
        long[..3].copy_from_slice(&[0x88, 0x11, 0x10]);
        long[3] = 0xAB;
        long[19] = 3;
        let mut short = [0u8; 22];
        short[..2].copy_from_slice(&[0x88, 0x10]);
        short[2] = 0xAB;
        short[18] = 3;
        for bytes in [&long[..], &short[..]] {
            let (key, _, rest) = key_field(bytes).expect("a known encoding");
            assert_eq!((key[0], rest.len()), (0xAB, 0));
        }
        assert!(key_field(&long[..22]).is_err());
    }
}
