//! PUT KEY: the issuer's key set in the place of the transport set.

use super::{Isd, SessionState, at};
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

/// Key type AES in PUT KEY.
const AES: u8 = 0x88;

impl<N: Nvm> Isd<'_, N> {
    /// `80 D8 old 81 | new KVN | three keys`. The answer is the new KVN and the three KCVs. The
    /// session goes on with the keys that opened it.
    pub(super) fn put_key(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        let SessionState::Open(open) = &self.ram.state else {
            return Err(Error::Security);
        };
        let mut area = self.store.area(App::Isd);
        let current = area.byte(at::KVN)?;
        if command.p2 != 0x81 || (command.p1 != 0 && command.p1 != current) {
            return Err(Error::Parameters);
        }
        let (&kvn, mut rest) = command.data.split_first().ok_or(Error::Length)?;
        if !(KVN_ISSUER..=0x7F).contains(&kvn) {
            return Err(Error::Data);
        }
        put(out, &[kvn])?;
        for i in 0..3 {
            let (encrypted, check, after) = key_field(rest)?;
            let mut value = *encrypted;
            open.dek.decrypt_cbc(SuiteId::Aes, &[0; 16], &mut value);
            let key = Key::new(value);
            let expected = kcv(&key, SuiteId::Aes, KcvKind::GlobalPlatform);
            if !bool::from(expected.ct_eq(check)) {
                return Err(Error::Data);
            }
            area.write(at::KEYS + 16 * i, key.expose())?;
            put(out, check)?;
            rest = after;
        }
        if !rest.is_empty() {
            return Err(Error::Data);
        }
        area.write(at::KVN, &[kvn])?;
        Ok(Answer::Done)
    }
}

type Field<'a> = (&'a [u8; 16], &'a [u8; 3], &'a [u8]);

/// One key in either encoding of the field: `88 11 10 <16> 03 kcv` or `88 10 <16> 03 kcv`.
fn key_field(bytes: &[u8]) -> Result<Field<'_>, Error> {
    let rest = match bytes {
        [AES, 0x11, 0x10, rest @ ..] | [AES, 0x10, rest @ ..] => rest,
        _ => return Err(Error::Data),
    };
    let (key, rest) = rest.split_first_chunk::<16>().ok_or(Error::Data)?;
    let (length, rest) = rest.split_first().ok_or(Error::Data)?;
    let (check, rest) = rest.split_first_chunk::<3>().ok_or(Error::Data)?;
    if *length != 3 {
        return Err(Error::Data);
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
