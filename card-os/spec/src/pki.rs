//! The PKI application of third-generation cards: one SM2 signing key made on the card, its
//! certificate, and a PIN of its own.
//!
//! What public personalisation tools of such cards do is followed where they show it: both DF
//! names, the files 0012 and 0018 selected by `00 A4 00 00`, `00 B0 00 00 42` reading two bytes and
//! X | Y, a DER certificate written by UPDATE BINARY. The tag CA of 0012 is inferred from the
//! command by which those tools import the encryption key (`CA 40 X Y`). Their key generation and
//! signing commands are not public; the forms of ISO 7816-8 stand here instead.
//!
//! | command | APDU | answer |
//! |---|---|---|
//! | VERIFY the signing PIN | `00 20 00 00 Lc PIN` | |
//! | CHANGE PIN | `80 5E 01 00 Lc old FF new` | |
//! | GENERATE ASYMMETRIC KEY PAIR | `00 46\|47 80 00 [02 B6 00] Le` after the PIN | `7F49 43 86 41 04 X Y` |
//! | its form that reads the public key | `00 46\|47 81 00 [02 B6 00] Le` | `7F49 43 86 41 04 X Y` |
//! | PSO HASH, part of a message | `00 2A 90 A0 Lc 80 L part` | |
//! | PSO HASH, the last part or the whole | `00 2A 90 80 Lc part Le` | e |
//! | PSO COMPUTE DIGITAL SIGNATURE | `00 2A 9E 9A Le` after HASH and PIN | r s |
//! | READ BINARY | `00 B0` of 0012, 0018 by FID or SFI 12, 18 | contents |
//! | UPDATE BINARY of 0018 | `04 D6 .. data MAC4` under UK, after GET CHALLENGE | |
//! | GET DATA: signatures made with this key | `00 CA 00 93` | 4 bytes |
//!
//! Parts may be chained commands (CLA 10) of up to 512 bytes, as every command may.
//!
//! * A PIN verification is used up by one signature, or by one key generation.
//! * e = SM3(Z | message), where Z (GM/T 0009) stands for the signer: default user id, curve and
//!   public key. A digest from outside is not signed: the card would not know what it signs.
//! * Everything wants the contacts (6985 over the air): a certificate names its holder.
//! * A certificate must carry the card's public key. A new key ends the old one's certificate.
//! * A certificate over several UPDATE BINARY begins at offset 0, which ends the old one, goes on
//!   without gaps, and can be read when it has the length that its first bytes state. Over SCP03
//!   ([`Dgi::file`](crate::perso::Dgi::file) of SFI 18) the old one stays until the new one is whole.

use crate::{
    FormatError,
    apdu::{self, Apdu},
};

/// Bytes of a coordinate and of a private key.
pub const COORDINATE: usize = 32;
/// Bytes of a public key X | Y.
pub const PUBLIC_KEY: usize = 2 * COORDINATE;
/// Bytes of a signature r | s.
pub const SIGNATURE: usize = 2 * COORDINATE;
/// An SM3 digest.
pub type Digest = [u8; 32];

/// File identifier of the sign public key 签名公钥: `CA 40 X Y`.
pub const SIGN_PUBLIC_KEY: u16 = 0x0012;
/// File identifier of the sign certificate 签名证书: X.509, DER.
pub const CERTIFICATE: u16 = 0x0018;
/// Longest certificate. Those seen in the field have about 640 bytes, their file 1,020.
pub const CERTIFICATE_MAX: usize = 1536;
/// What precedes X | Y in [`SIGN_PUBLIC_KEY`].
pub const PUBLIC_KEY_HEAD: [u8; 2] = [0xCA, PUBLIC_KEY as u8];

/// User id of a signer who agreed on no other (GM/T 0009-2012, 10).
pub const USER_ID: &str = "1234567812345678";

/// What Z covers before the public key (GB/T 32918.2, 5.5): length of the user id in bits, user id,
/// and a, b, xG, yG of the curve (GB/T 32918.5).
pub const Z_CONSTANTS: [u8; 146] = {
    let mut out = [0; 146];
    out[1] = 8 * USER_ID.len() as u8;
    let mut i = 0;
    while i < 16 {
        out[2 + i] = USER_ID.as_bytes()[i];
        i += 1;
    }
    i = 0;
    while i < CURVE.len() {
        let word = CURVE[i].to_be_bytes();
        let mut j = 0;
        while j < 16 {
            out[18 + 16 * i + j] = word[j];
            j += 1;
        }
        i += 1;
    }
    out
};

const CURVE: [u128; 8] = [
    0xFFFF_FFFE_FFFF_FFFF_FFFF_FFFF_FFFF_FFFF,
    0xFFFF_FFFF_0000_0000_FFFF_FFFF_FFFF_FFFC,
    0x28E9_FA9E_9D9F_5E34_4D5A_9E4B_CF65_09A7,
    0xF397_89F5_15AB_8F92_DDBC_BD41_4D94_0E93,
    0x32C4_AE2C_1F19_8119_5F99_0446_6A39_C994,
    0x8FE3_0BBF_F266_0BE1_715A_4589_334C_74C7,
    0xBC37_36A2_F4F6_779C_59BD_CEE3_6B69_2153,
    0xD0A9_877C_C62A_4740_02DF_32E5_2139_F0A0,
];

/// Head of the answer that carries a public key: `7F49 43 86 41 04`, then X | Y.
pub const KEY_TEMPLATE_HEAD: [u8; 6] = [0x7F, 0x49, 0x43, 0x86, 0x41, 0x04];

/// X | Y of a public-key template.
pub fn public_key(answer: &[u8]) -> Result<[u8; PUBLIC_KEY], FormatError> {
    let xy = answer.strip_prefix(&KEY_TEMPLATE_HEAD);
    xy.and_then(|xy| xy.try_into().ok())
        .ok_or(FormatError::Length)
}

/// Bytes of the DER object that begins so, head included; None when these are not the first bytes
/// of a SEQUENCE with a one- or two-byte length.
pub fn der_length(first: [u8; 4]) -> Option<usize> {
    match first {
        [0x30, 0x81, length @ 0x80..=0xFF, _] => Some(3 + usize::from(length)),
        [0x30, 0x82, high @ 0x01..=0xFF, low] => {
            Some(4 + usize::from(u16::from_be_bytes([high, low])))
        }
        _ => None,
    }
}

/// GENERATE ASYMMETRIC KEY PAIR for signatures.
pub fn generate_key_pair() -> Apdu {
    apdu::build(0x00, 0x47, 0x80, 0x00, &[0xB6, 0x00], Some(256))
}

/// The public key of the present pair.
pub fn read_public_key() -> Apdu {
    apdu::build(0x00, 0x47, 0x81, 0x00, &[0xB6, 0x00], Some(256))
}

/// PSO HASH of a part that more parts follow: 1 to 252 bytes.
pub fn hash_part(part: &[u8]) -> Result<Apdu, FormatError> {
    let mut data = heapless::Vec::<u8, 255>::new();
    let head: &[u8] = match u8::try_from(part.len()) {
        Ok(short @ 1..=0x7F) => &[0x80, short],
        Ok(long @ 0x80..=252) => &[0x80, 0x81, long],
        _ => return Err(FormatError::Length),
    };
    data.extend_from_slice(head)
        .and_then(|()| data.extend_from_slice(part))
        .map_err(|_| FormatError::Length)?;
    Ok(apdu::build(0x00, 0x2A, 0x90, 0xA0, &data, None))
}

/// PSO HASH of the last part, or of a whole message of at most 255 bytes; answers e.
pub fn hash_last(part: &[u8]) -> Apdu {
    apdu::build(0x00, 0x2A, 0x90, 0x80, part, Some(32))
}

/// PSO COMPUTE DIGITAL SIGNATURE of what was hashed.
pub fn sign() -> Apdu {
    apdu::read(0x00, 0x2A, 0x9E, 0x9A, Some(SIGNATURE as u16))
}

/// GET DATA of the number of signatures.
pub fn signatures_made() -> Apdu {
    apdu::read(0x00, 0xCA, 0x00, 0x93, Some(4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn der_lengths() {
        assert_eq!(der_length(hex!("30820273")), Some(631));
        assert_eq!(der_length(hex!("3081F030")), Some(243));
        // Not DER: a length that has a shorter form; a SET; an indefinite length.
        for bytes in [
            hex!("30817F00"),
            hex!("308200FF"),
            hex!("31820273"),
            hex!("30800000"),
        ] {
            assert_eq!(der_length(bytes), None);
        }
    }
}
