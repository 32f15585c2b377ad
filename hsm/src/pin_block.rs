//! PIN blocks of ISO 9564-1 format 4: AES, sixteen bytes, bound to a card number.
//!
//! `E(E(4 | length | PIN digits | A.. | random 8) ^ (PAN length - 12 | PAN digits | 0..))`.

use aes_gcm::{
    KeyInit,
    aes::{
        Aes256,
        cipher::{BlockCipherDecrypt, BlockCipherEncrypt, consts::U16},
    },
};
use card_spec::id::Pan;
use hsm_client::{HsmError, Result};
use zeroize::{Zeroize, Zeroizing};

use crate::{service::Key256, sessions::malformed};

/// Digits of a card's PIN.
pub(crate) const DIGITS: usize = 6;

/// Six digits as the card takes them: packed. Wiped on drop.
pub(crate) type PackedPin = Zeroizing<[u8; DIGITS / 2]>;

/// The PAN field. Card numbers have 19 digits, with a zero in front as files hold them.
fn pan_field(pan: Pan) -> Result<[u8; 16]> {
    let packed = pan.to_bytes();
    if packed[0] >> 4 != 0 {
        return Err(malformed(
            "a PIN block takes card numbers of 19 digits, with a zero in front",
        ));
    }
    // The zero in front gives its place to 19 - 12.
    let mut field = [0; 16];
    for (byte, packed) in field.iter_mut().zip(packed) {
        *byte = packed;
    }
    field[0] |= 0x70;
    Ok(field)
}

/// Enciphers a PIN for a card number.
pub(crate) fn encipher(
    key: &Key256,
    pan: Pan,
    pin: &PackedPin,
    filling: Filling,
) -> Result<[u8; 16]> {
    let mut field = [0xAA; 16];
    field[0] = 0x40 | DIGITS as u8;
    field[1..4].copy_from_slice(&pin[..]);
    field[8..].copy_from_slice(&filling);
    Ok(seal(&Aes256::new((&**key).into()), field, pan_field(pan)?))
}

/// What a pad puts into one block and into no other.
pub(crate) type Filling = [u8; 8];

/// The PIN inside a block of this card number, and the block's filling; anything else is refused in one
/// way.
pub(crate) fn decipher(key: &Key256, pan: Pan, block: [u8; 16]) -> Result<(PackedPin, Filling)> {
    let mut field = open(&Aes256::new((&**key).into()), block, pan_field(pan)?);
    let mut pin = PackedPin::default();
    pin.copy_from_slice(&field[1..4]);
    let mut filling = Filling::default();
    filling.copy_from_slice(&field[8..]);
    let whole = field[0] == 0x40 | DIGITS as u8
        && field[4..8] == [0xAA; 4]
        && pin.iter().all(|b| b >> 4 < 10 && b & 0x0F < 10);
    field.zeroize();
    if whole {
        return Ok((pin, filling));
    }
    Err(HsmError::NotAuthentic {
        what: "the PIN block (another key, another card number, or not six digits)".to_owned(),
    })
}

fn seal(
    cipher: &impl BlockCipherEncrypt<BlockSize = U16>,
    mut field: [u8; 16],
    pan: [u8; 16],
) -> [u8; 16] {
    let mut block = field.into();
    field.zeroize();
    cipher.encrypt_block(&mut block);
    for (byte, p) in block.iter_mut().zip(pan) {
        *byte ^= p;
    }
    cipher.encrypt_block(&mut block);
    block.into()
}

fn open(
    cipher: &impl BlockCipherDecrypt<BlockSize = U16>,
    block: [u8; 16],
    pan: [u8; 16],
) -> [u8; 16] {
    let mut block = block.into();
    cipher.decrypt_block(&mut block);
    for (byte, p) in block.iter_mut().zip(pan) {
        *byte ^= p;
    }
    cipher.decrypt_block(&mut block);
    block.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes_gcm::aes::Aes128;
    use hex_literal::hex;

    /// The vector of the Python package psec (`test_encipher_pinblock_iso_4_det`), repeated by the
    /// crate paysec: AES-128, PIN 1234, PAN 1234567890123456789, random FF.
    #[test]
    fn published_block() {
        let cipher = Aes128::new(&hex!("00112233445566778899AABBCCDDEEFF").into());
        let field = hex!("441234AAAAAAAAAA FFFFFFFFFFFFFFFF");
        let pan = pan_field("01234567890123456789".parse().expect("digits")).expect("19 digits");
        assert_eq!(pan, hex!("71234567890123456789000000000000"));
        let block = seal(&cipher, field, pan);
        assert_eq!(block, hex!("28B41FDDD29B743E93124BD8E32D921E"));
        assert_eq!(open(&cipher, block, pan), field);
    }

    #[test]
    fn a_block_is_bound_to_its_key_and_card() {
        let (key, other): (Key256, Key256) = (Zeroizing::new([1; 32]), Zeroizing::new([2; 32]));
        let pan = |text: &str| -> Pan { text.parse().expect("digits") };
        let pin = Zeroizing::new([0x12, 0x34, 0x56]);
        let ours = pan("03500000000000001234");
        let block = encipher(&key, ours, &pin, [9; 8]).expect("enciphered");
        assert_eq!(
            decipher(&key, ours, block).expect("ours"),
            (pin.clone(), [9; 8])
        );
        for refused in [
            decipher(&other, ours, block),
            decipher(&key, pan("03500000000000001235"), block),
            decipher(&key, ours, [7; 16]),
        ] {
            assert_eq!(refused.expect_err("foreign").code(), 3);
        }
        assert_ne!(
            encipher(&key, ours, &pin, [8; 8]).expect("enciphered"),
            block
        );
        assert!(encipher(&key, pan("13500000000000001234"), &pin, [9; 8]).is_err());
    }
}
