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

use aes::{Aes128, Aes192, Aes256};
use cmac::{Cmac, KeyInit, Mac};
use des::{
    TdesEde2, TdesEde3,
    cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt},
};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of the fixed part of a header.
const FIXED: usize = 16;
/// Longest block: its length has four digits.
const BLOCK_MAX: usize = 9999;
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
    Ok(Unwrapped { attributes, key })
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
    for _ in 0..count {
        let (block, after) = optional_block(rest)?;
        rest = after;
        if block.id != *b"PB" {
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

/// The two keys of one block, from its protection key.
struct Protection {
    encryption: Cipher,
    authentication: Cipher,
}

impl Protection {
    fn new(version: u8, protection: &[u8]) -> Result<Self, KeyBlockError> {
        // Algorithm indicators: 0000 and 0001 for two- and three-key 3DES, 0002 to 0004 for AES.
        let (family, algorithm) = match (version, protection.len()) {
            (b'B', 16) => (Family::Tdes, 0),
            (b'B', 24) => (Family::Tdes, 1),
            (b'D', 16) => (Family::Aes, 2),
            (b'D', 24) => (Family::Aes, 3),
            (b'D', 32) => (Family::Aes, 4),
            (b'B', _) => return Err(wanted('B', "16 or 24 bytes (3DES)")),
            _ => return Err(wanted('D', "16, 24 or 32 bytes (AES)")),
        };
        let master = Cipher {
            family,
            key: Zeroizing::new(protection.to_vec()),
        };
        let [high, low] = ((protection.len() * 8) as u16).to_be_bytes();
        let derive = |usage| {
            let mut key = Zeroizing::new(Vec::with_capacity(2 * protection.len()));
            for counter in 1..=4 {
                if key.len() < protection.len() {
                    let input = [counter, 0, usage, 0, 0, algorithm, high, low];
                    key.extend_from_slice(&Zeroizing::new(master.mac(&[&input])));
                }
            }
            key.truncate(protection.len());
            Cipher { family, key }
        };
        Ok(Self {
            encryption: derive(0),
            authentication: derive(1),
        })
    }
}

const fn wanted(version: char, wanted: &'static str) -> KeyBlockError {
    KeyBlockError::ProtectionKey { version, wanted }
}

#[derive(Clone, Copy)]
enum Family {
    Aes,
    Tdes,
}

/// A block cipher whose key has one of the five lengths.
struct Cipher {
    family: Family,
    key: Zeroizing<Vec<u8>>,
}

/// Evaluates an expression with `$C` naming the cipher's type.
macro_rules! with_cipher {
    ($cipher:expr, $C:ident => $body:expr) => {
        match ($cipher.family, $cipher.key.len()) {
            (Family::Aes, 16) => {
                type $C = Aes128;
                $body
            }
            (Family::Aes, 24) => {
                type $C = Aes192;
                $body
            }
            (Family::Aes, _) => {
                type $C = Aes256;
                $body
            }
            (Family::Tdes, 16) => {
                type $C = TdesEde2;
                $body
            }
            (Family::Tdes, _) => {
                type $C = TdesEde3;
                $body
            }
        }
    };
}

impl Cipher {
    /// CMAC (SP 800-38B), a block long.
    fn mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        with_cipher!(self, C => {
            let Ok(mut mac) = <Cmac<C> as KeyInit>::new_from_slice(&self.key) else {
                return Vec::new();
            };
            for part in parts {
                mac.update(part);
            }
            mac.finalize().into_bytes().to_vec()
        })
    }

    fn cbc_encrypt(&self, iv: &[u8], data: &mut [u8]) {
        with_cipher!(self, C => {
            let Ok(cipher) = C::new_from_slice(&self.key) else { return };
            let mut previous = iv.to_vec();
            for block in data.chunks_exact_mut(iv.len()) {
                xor(block, &previous);
                if let Ok(block) = <&mut Block<C>>::try_from(&mut *block) {
                    cipher.encrypt_block(block);
                }
                previous.copy_from_slice(block);
            }
        });
    }

    fn cbc_decrypt(&self, iv: &[u8], data: &mut [u8]) {
        with_cipher!(self, C => {
            let Ok(cipher) = C::new_from_slice(&self.key) else { return };
            let mut previous = iv.to_vec();
            for block in data.chunks_exact_mut(iv.len()) {
                let current = block.to_vec();
                if let Ok(block) = <&mut Block<C>>::try_from(&mut *block) {
                    cipher.decrypt_block(block);
                }
                xor(block, &previous);
                previous = current;
            }
        });
    }
}

fn xor(block: &mut [u8], with: &[u8]) {
    for (byte, w) in block.iter_mut().zip(with) {
        *byte ^= w;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    fn attributes(usage: [u8; 2], mode: u8, exportability: u8) -> Attributes {
        Attributes {
            usage,
            algorithm: b'A',
            mode,
            version: *b"00",
            exportability,
            optional: Vec::new(),
        }
    }

    const D_KEY: [u8; 32] =
        hex!("88E1AB2A2E3DD38C1FA039A536500CC8A87AB9D62DC92C01058FA79F44657DE6");
    const D_BLOCK: &str = "D0112P0AE00E0000B82679114F470F540165EDFBF7E250FCEA43F810D215F8D207E2E417C07156A27E8E31DA05F7425509593D03A457DC34";

    /// ANSI X9.143-2022 and TR-31:2018, A.7.4: the AES key block example.
    #[test]
    fn version_d_of_the_standard() {
        let opened = unwrap(&D_KEY, D_BLOCK).expect("authentic");
        assert_eq!(opened.key[..], hex!("3f419e1cb7079442aa37474c2efbf8b8"));
        assert_eq!(opened.attributes, attributes(*b"P0", b'E', b'E'));
    }

    /// TR-31:2018, A.7.2.2 and A.7.3.2; the others are the known values of other implementations
    /// that psec 1.3 (`test_tr31.py`) collects.
    #[test]
    fn version_b_of_the_standard_and_of_others() {
        for (protection, key, block) in [
            (
                &hex!("DD7515F2BFC17F85CE48F3CA25CB21F6")[..],
                hex!("3F419E1CB7079442AA37474C2EFBF8B8"),
                "B0080P0TE00E000094B420079CC80BA3461F86FE26EFC4A3B8E4FA4C5F5341176EED7B727B8A248E",
            ),
            (
                &hex!("1D22BF32387C600AD97F9B97A51311AC"),
                hex!("E8BC63E5479455E26577F715D587FE68"),
                "B0104B0TX12S0100KS1800604B120F9292800000BB68BE8680A400D9191AD4ECE45B6E6C0D21C4738A52190E248719E24B433627",
            ),
            (
                &hex!("89E88CF7931444F334BD7547FC3F380C"),
                hex!("F039121BEC83D26B169BDCD5B22AAF8F"),
                "B0120P0TE12E0100KS1800604B120F9292800000E6E28F097CB0350B2EB2DF520947F779FA34D9759CEE7E0DEEACF8353DB778D47FA4EC20DA3A9754",
            ),
            (
                &hex!("AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCC"),
                hex!("CCCCCCCCCCCCCCCCDDDDDDDDDDDDDDDD"),
                "B0096M3TC00E0000C7C6FE86A5DE769C20DCA238C52341378B484D544A9764D43963C3B2824AE56C2D07A565DD3AB342",
            ),
        ] {
            let opened = unwrap(protection, block).expect(block);
            assert_eq!(opened.key[..], key, "{block}");
            assert_eq!(&opened.attributes.usage, &block.as_bytes()[5..7]);
        }
        let opened = unwrap(
            &hex!("1D22BF32387C600AD97F9B97A51311AC"),
            "B0104B0TX12S0100KS1800604B120F9292800000BB68BE8680A400D9191AD4ECE45B6E6C0D21C4738A52190E248719E24B433627",
        )
        .expect("authentic");
        let ksi = Optional {
            id: *b"KS",
            data: "00604B120F9292800000".to_owned(),
        };
        assert_eq!(opened.attributes.optional, [ksi]);
        assert_eq!(&opened.attributes.version, b"12");
        assert_eq!(opened.attributes.exportability, b'S');
    }

    #[test]
    fn what_is_refused_is_told_apart() {
        let refused = |protection: &[u8], block: &str| match unwrap(protection, block) {
            Err(error) => error,
            Ok(_) => panic!("opened {block}"),
        };
        assert_eq!(
            refused(
                &[0; 16],
                "A0072P0TE00E0000F5161ED902807AF26F1D62263644BD24192FDB3193C730301CEE8701"
            ),
            KeyBlockError::Version('A')
        );
        assert!(matches!(
            refused(&[0; 8], D_BLOCK),
            KeyBlockError::ProtectionKey { .. }
        ));
        assert_eq!(refused(&[0; 32], D_BLOCK), KeyBlockError::NotAuthentic);
        // Header fields are under the MAC: usage, mode, version, exportability.
        for at in [5, 8, 9, 11] {
            let mut changed = D_BLOCK.as_bytes().to_vec();
            changed[at] = if changed[at] == b'B' { b'X' } else { b'B' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(
                refused(&D_KEY, &changed),
                KeyBlockError::NotAuthentic,
                "{at}"
            );
        }
        // psec, test_kb_unwrap_exceptions: authentic blocks of keys of 0 bits and of 128 bits in 64.
        for block in [
            "B0064M3TC00E000013F1B06566ECAE897A6DF8C7AA651FCEF9480447EEEC9933",
            "B0064M3TC00E00000398DC96A5DDB0EF61E26F8935173BD478DF9484050A672A",
        ] {
            assert!(
                matches!(refused(&[b'E'; 16], block), Malformed(_)),
                "{block}"
            );
        }
        // psec, test_header_block_load_exceptions: optional blocks that are cut or state wrong lengths.
        for tail in [
            "",
            "K",
            "KS",
            "KS1",
            "KS1Y",
            "KS02",
            "KS071",
            "KS00",
            "KS001",
            "KS0000",
            "KS0001",
            "KS000101",
            "KS0001FF",
            "**04",
            "KS05\u{3}",
        ] {
            let block = format!("B{:04}P0TE00N0100{tail}", 16 + tail.len());
            assert!(
                matches!(refused(&[b'E'; 16], &block), Malformed(_)),
                "{tail}"
            );
        }
    }

    /// psec, test_header_load_optional_256 and _extended_length.
    #[test]
    fn long_optional_blocks() {
        for (text, data) in [
            (
                format!("KS0002010A{}PB0600", "P".repeat(256)),
                "P".repeat(256),
            ),
            (
                "KS00011600604B120F9292PB0A000000".to_owned(),
                "00604B120F9292".to_owned(),
            ),
        ] {
            let block = format!("B{:04}P0TE00N0200{text}", 16 + text.len());
            let read = peek(&block).expect("header");
            assert_eq!(read.optional, [Optional { id: *b"KS", data }]);
        }
    }

    proptest! {
        #[test]
        fn what_is_wrapped_comes_back(
            protection in prop_oneof![
                proptest::collection::vec(any::<u8>(), 16),
                proptest::collection::vec(any::<u8>(), 24),
                proptest::collection::vec(any::<u8>(), 32)],
            key in proptest::collection::vec(any::<u8>(), 1..=KEY_MAX),
            data in "[ -~]{0,40}", random: [u8; 16], at: prop::sample::Index, bit in 0u8..7,
        ) {
            let mut given = attributes(*b"41", b'X', b'E');
            given.optional = vec![Optional { id: *b"10", data }];
            let block = wrap(&protection, &given, &key, &random).expect("bounded");
            let opened = unwrap(&protection, &block).expect("authentic");
            prop_assert_eq!(&*opened.key, &key);
            prop_assert_eq!(opened.attributes, given);
            // No character may change, but for the case of a hex digit, which is no change.
            let mut changed = block.clone().into_bytes();
            let at = at.index(changed.len());
            changed[at] ^= 1 << bit;
            let changed = String::from_utf8(changed).expect("7 bits");
            if !changed.eq_ignore_ascii_case(&block) {
                prop_assert!(unwrap(&protection, &changed).is_err());
            }
        }

        #[test]
        fn foreign_text_never_panics(text in ".{0,200}", head in "[BD]00[0-9]{2}[ -~]{11,90}") {
            for text in [&text, &head] {
                let _ = peek(text);
                prop_assert!(unwrap(&[7; 16], text).is_err());
            }
            let framed = format!("D{:04}{}", (head.len()) % 10_000, head.get(5..).unwrap_or_default());
            prop_assert!(unwrap(&[7; 32], &framed).is_err());
        }
    }
}
