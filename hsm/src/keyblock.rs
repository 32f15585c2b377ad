//! Key blocks of ANSI X9.143 (TR-31): a key, encrypted, and what it may be used for, authenticated.
//!
//! Version D (AES) is made and read; version B (3DES, two or three keys) is only read, because it
//! is what partners with older machines can send. Versions A and C do not bind the header to the
//! key by derivation and are refused.
//!
//! ```text
//! D 0112 P0 A E 00 E 00 00 | optional blocks | E(KBEK, length 2 | key | padding) | MAC
//! ```
//! Everything after the header is hex. KBEK and KBMK come from the protection key by CMAC in
//! counter mode (X9.143, 5.3.2.1 and 5.3.2.3); the MAC covers header and clear text and is the IV.

mod cipher;

use cipher::{Cipher, Protection};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of the fixed part of a header.
const FIXED: usize = 16;
/// Longest block: its length has four digits.
const BLOCK_MAX: usize = 9999;
/// Bytes of a check value in an optional block.
const CHECK_MIN: usize = 2;
const CHECK_MAX: usize = 5;
/// Longest key: RSA and the like are not exchanged here.
pub const KEY_MAX: usize = 64;

/// Why a key block was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyBlockError {
    /// Not what the standard describes.
    #[error("this is no X9.143 key block: {0}; ask its sender for it again")]
    Malformed(&'static str),
    /// Versions A and C, or one that does not exist.
    #[error(
        "key blocks of version {0} are not accepted: ask for version D (or B from a 3DES machine)"
    )]
    Version(char),
    /// The protection key does not fit the version.
    #[error("a version {version} block wants a protection key of {wanted}")]
    ProtectionKey {
        /// The block's version.
        version: char,
        /// What would fit.
        wanted: &'static str,
    },
    /// MAC wrong: changed, or under another key.
    #[error(
        "the key block was changed or is under another key: compare the check values of the transport key"
    )]
    NotAuthentic,
    /// An authentic block whose sender gave a check value that is another key's.
    #[error(
        "the check value in optional block {0} is of another key, or of a kind that is not known: ask the block's sender which key it is"
    )]
    CheckValue(&'static str),
}

use KeyBlockError::Malformed;

/// An optional block of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Optional {
    /// Two letters or digits.
    pub id: [u8; 2],
    /// Printable ASCII.
    pub data: String,
}

/// What a header says of its key. The fields are the standard's characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Key usage: `K0` key encryption, `P0` PIN encryption ..., digits: proprietary.
    pub usage: [u8; 2],
    /// Algorithm: `A` AES, `T` 3DES, digits: proprietary.
    pub algorithm: u8,
    /// Mode of use: `E`, `D`, `B` both, `X` derive, `G` make, `V` verify, `C` both, `N` any ...
    pub mode: u8,
    /// Key version number: `00` none; `c` first: a component.
    pub version: [u8; 2],
    /// `E` under a trusted key, `N` no, `S` sensitive.
    pub exportability: u8,
    /// Optional blocks in their order, without padding blocks.
    pub optional: Vec<Optional>,
}

/// A key and what its header says.
pub struct Unwrapped {
    /// The attributes.
    pub attributes: Attributes,
    /// The key.
    pub key: Zeroizing<Vec<u8>>,
}

/// A version D block under an AES protection key of 16, 24 or 32 bytes. `random` fills the padding
/// (its content protects nothing, but constant padding would be recognisable).
pub fn wrap(
    protection: &[u8],
    attributes: &Attributes,
    key: &[u8],
    random: &[u8; 16],
) -> Result<String, KeyBlockError> {
    let keys = Protection::new(b'D', protection)?;
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(Malformed("a key has 1 to 64 bytes"));
    }
    let clear_length = (2 + key.len()).next_multiple_of(16);
    let header = header(attributes, clear_length * 2 + 32)?;
    let mut clear = Zeroizing::new(Vec::with_capacity(clear_length));
    clear.extend_from_slice(&((key.len() * 8) as u16).to_be_bytes());
    clear.extend_from_slice(key);
    let padding = clear_length - clear.len();
    clear.extend_from_slice(&random[..padding]);
    let mac = keys.authentication.mac(&[header.as_bytes(), &clear]);
    keys.encryption.cbc_encrypt(&mac, &mut clear);
    Ok(format!(
        "{header}{}{}",
        hex::encode_upper(&*clear),
        hex::encode_upper(mac)
    ))
}

/// Checks and opens a block of version D or B.
pub fn unwrap(protection: &[u8], block: &str) -> Result<Unwrapped, KeyBlockError> {
    let (attributes, header, body) = parse(block)?;
    let version = block.as_bytes().first().copied().unwrap_or_default();
    let unit = unit(version);
    let keys = Protection::new(version, protection)?;
    let bytes = hex::decode(body).map_err(|_| Malformed("it has characters other than hex"))?;
    let (cipher, mac) = bytes
        .len()
        .checked_sub(unit)
        .filter(|length| *length > 0 && length % unit == 0)
        .and_then(|length| bytes.split_at_checked(length))
        .ok_or(Malformed("it is cut short"))?;
    let mut clear = Zeroizing::new(cipher.to_vec());
    keys.encryption.cbc_decrypt(mac, &mut clear);
    let expected = keys.authentication.mac(&[header.as_bytes(), &clear]);
    if !bool::from(expected.ct_eq(mac)) {
        return Err(KeyBlockError::NotAuthentic);
    }
    // Padding may hide the length of the key, not more than that of the longest.
    if clear.len() > (2 + KEY_MAX).next_multiple_of(unit) {
        return Err(Malformed("its padding is longer than any key"));
    }
    let (bits, rest) = clear
        .split_first_chunk::<2>()
        .ok_or(Malformed("it is cut short"))?;
    let bits = usize::from(u16::from_be_bytes(*bits));
    if bits == 0 || bits % 8 != 0 || bits / 8 > KEY_MAX {
        return Err(Malformed("its key has no whole bytes, or too many"));
    }
    let key = rest
        .get(..bits / 8)
        .ok_or(Malformed("it states a longer key than it holds"))?;
    let key = Zeroizing::new(key.to_vec());
    check_values(&keys, protection, &attributes, &key)?;
    Ok(Unwrapped { attributes, key })
}

/// Check values of the key (`KC`) and of its protection key (`KP`): kind `00`, the left of E(00 x
/// block), or `01`, the left of the CMAC over one block of zeros (X9.143, 6.3.6.7 and 6.3.6.12).
fn check_values(
    keys: &Protection,
    protection: &[u8],
    attributes: &Attributes,
    key: &[u8],
) -> Result<(), KeyBlockError> {
    for block in &attributes.optional {
        let (name, cipher) = match &block.id {
            b"KC" => ("KC", Cipher::of(attributes.algorithm, key)),
            b"KP" => ("KP", keys.encryption.with_key(protection)),
            _ => continue,
        };
        let same = || {
            let (kind, value) = block.data.split_at_checked(2)?;
            let value = hex::decode(value).ok()?;
            let check = match kind {
                "00" => cipher?.encrypted_zeros(),
                "01" => {
                    let cipher = cipher?;
                    cipher.mac(&[&vec![0; cipher.block()]])
                }
                _ => return None,
            };
            let enough = (CHECK_MIN..=CHECK_MAX).contains(&value.len());
            (enough && check.starts_with(&value)).then_some(())
        };
        same().ok_or(KeyBlockError::CheckValue(name))?;
    }
    Ok(())
}

/// Block of a version's cipher.
const fn unit(version: u8) -> usize {
    if version == b'D' { 16 } else { 8 }
}

/// What a block says of its key, before it is opened. Nothing of it is authenticated yet.
pub fn peek(block: &str) -> Result<Attributes, KeyBlockError> {
    parse(block).map(|(attributes, ..)| attributes)
}

/// Fixed part and optional blocks, padded to the cipher's block with a block `PB`.
fn header(attributes: &Attributes, body: usize) -> Result<String, KeyBlockError> {
    let mut count = attributes.optional.len();
    let mut blocks = String::new();
    for block in &attributes.optional {
        if block.id == *b"PB" || !printable(&block.data) || block.data.len() > 251 {
            return Err(Malformed(
                "an optional block has at most 251 printable characters",
            ));
        }
        blocks.push_str(text(&block.id)?);
        blocks.push_str(&format!("{:02X}{}", block.data.len() + 4, block.data));
    }
    let missing = blocks.len().next_multiple_of(16) - blocks.len();
    if missing > 0 {
        // A padding block has at least its own four characters.
        let length = if missing < 4 { missing + 16 } else { missing };
        blocks.push_str(&format!("PB{length:02X}{}", "0".repeat(length - 4)));
        count += 1;
    }
    let total = FIXED + blocks.len() + body;
    if count > 99 || total > BLOCK_MAX {
        return Err(Malformed("its optional blocks are too long"));
    }
    let fixed = [attributes.algorithm, attributes.mode];
    let exportability = [attributes.exportability];
    Ok(format!(
        "D{total:04}{}{}{}{}{count:02}00{blocks}",
        text(&attributes.usage)?,
        text(&fixed)?,
        text(&attributes.version)?,
        text(&exportability)?,
    ))
}

fn text(bytes: &[u8]) -> Result<&str, KeyBlockError> {
    core::str::from_utf8(bytes)
        .ok()
        .filter(|t| t.bytes().all(|b| b.is_ascii_alphanumeric()))
        .ok_or(Malformed("a header field is neither letter nor digit"))
}

fn printable(text: &str) -> bool {
    text.bytes().all(|b| (0x20..=0x7E).contains(&b))
}

/// Attributes, header and body. The body is hex of unknown soundness.
fn parse(block: &str) -> Result<(Attributes, &str, &str), KeyBlockError> {
    if !printable(block) || block.len() < FIXED || block.len() > BLOCK_MAX {
        return Err(Malformed("its length or its characters are wrong"));
    }
    let fixed = block.as_bytes().first_chunk::<FIXED>();
    let Some(
        [
            version,
            l1,
            l2,
            l3,
            l4,
            u1,
            u2,
            algorithm,
            mode,
            v1,
            v2,
            exportability,
            o1,
            o2,
            r1,
            r2,
        ],
    ) = fixed.copied()
    else {
        return Err(Malformed("it is cut short"));
    };
    if !matches!(version, b'B' | b'D') {
        return Err(KeyBlockError::Version(char::from(version)));
    }
    text(&[u1, u2, algorithm, mode, v1, v2, exportability])?;
    if decimal(&[l1, l2, l3, l4]) != Some(block.len()) {
        return Err(Malformed("its length is not the one it states"));
    }
    if [r1, r2] != *b"00" {
        return Err(Malformed("its reserved field is not 00"));
    }
    let count =
        decimal(&[o1, o2]).ok_or(Malformed("its number of optional blocks is no number"))?;
    let mut rest = block.get(FIXED..).unwrap_or_default();
    let mut optional: Vec<Optional> = Vec::new();
    let mut padded = false;
    for _ in 0..count {
        if padded {
            return Err(Malformed("a padding block is not its last optional block"));
        }
        let (block, after) = optional_block(rest)?;
        rest = after;
        padded = block.id == *b"PB";
        if !padded {
            if optional.iter().any(|o| o.id == block.id) {
                return Err(Malformed("an optional block comes twice"));
            }
            optional.push(block);
        }
    }
    let header_length = block.len() - rest.len();
    if !header_length.is_multiple_of(unit(version)) {
        return Err(Malformed("its header is not padded"));
    }
    let attributes = Attributes {
        usage: [u1, u2],
        algorithm,
        mode,
        version: [v1, v2],
        exportability,
        optional,
    };
    let header = block.get(..header_length).unwrap_or_default();
    Ok((attributes, header, rest))
}

/// `id 2 | length 2 | data`, or `id 2 | 00 | bytes 2 | length | data` for long ones.
fn optional_block(text: &str) -> Result<(Optional, &str), KeyBlockError> {
    let wrong = Malformed("an optional block is cut short or has a wrong length");
    let part = |from: usize, to: usize| text.get(from..to).ok_or(wrong.clone());
    let number = |from, to| {
        let digits = part(from, to)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong.clone());
        }
        usize::from_str_radix(digits, 16).map_err(|_| wrong.clone())
    };
    let id = part(0, 2)?.as_bytes();
    self::text(id)?;
    let (mut length, mut head) = (number(2, 4)?, 4);
    if length == 0 {
        // The length's length is in bytes, two digits each; two bytes cover the longest block.
        let bytes = number(4, 6)?;
        if !(1..=2).contains(&bytes) {
            return Err(wrong);
        }
        head = 6 + 2 * bytes;
        length = number(6, head)?;
    }
    let data = text
        .get(head..length)
        .filter(|_| length >= head)
        .ok_or(wrong.clone())?;
    let rest = text.get(length..).unwrap_or_default();
    let id = id.first_chunk::<2>().copied().ok_or(wrong)?;
    Ok((
        Optional {
            id,
            data: data.to_owned(),
        },
        rest,
    ))
}

fn decimal(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0usize, |n, d| {
        d.is_ascii_digit().then(|| n * 10 + usize::from(d - b'0'))
    })
}

#[cfg(test)]
mod tests;
