//! Commands for cards and SAMs in the field, built and MACed here.
//!
//! A command's MAC is under the key that the order's kind names and no other, over the header that
//! belongs to the order; the caller chooses neither. With 3DES and SM4 the card's challenge is only
//! the initial value of the MAC, as PBOC has it: what asks for one command of a key can make the
//! MAC of another of the same key. So who may give orders under a key is one role.

use card_spec::{
    SuiteId, apdu, health,
    keys::{KeyHeader, KeyType, class, ssse_kid, ssse_process_key},
    pki,
    purse::{
        files,
        overdraft::{self, OverdraftUpdate},
        sfi,
    },
    sm::{self, Challenge8},
    ssse::{ServiceRecord, fid},
};
use hsm_client::{
    AuthenticateRequest, CardCommand, CardFile, CardOrder, HsmError, OverdraftRequest, PinOf,
    Result,
};
use subtle::ConstantTimeEq;

use crate::{
    pin_block::PackedPin,
    sessions::malformed,
    usage::{
        Authenticate, AuthorizeOverdraft, KeyName, MaintainPurse, ReloadPin, UnblockPin,
        UpdateFile, Usage,
    },
    vault::{CardKey, Vault},
};

/// Most bytes of contents: with length, padding and MAC they stay below a short command.
const CONTENTS_MAX: usize = 236;

/// How contents travel to a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Clear,
    Enciphered,
}

/// The write command of a file.
struct Writing {
    key: (KeyType, u8),
    line: Line,
    /// `INS P1 P2`.
    header: [u8; 3],
    /// Length that the contents must have; any, as far as a command goes, without.
    exactly: Option<usize>,
}

impl Writing {
    fn of(file: CardFile) -> Result<Self> {
        const DAMK: (KeyType, u8) = (KeyType::Damk, class::ONLY);
        const BASIC: (KeyType, u8) = (KeyType::Uk, ssse_kid::WRITE_BASIC);
        const HEALTH: (KeyType, u8) = (KeyType::Uk, health::kid::WRITE);
        let writing = |key, line, header, exactly| {
            Ok(Self {
                key,
                line,
                header,
                exactly,
            })
        };
        let whole = |sfi: u8| [0xD6, 0x80 | sfi, 0];
        // The first record with the tag that the contents begin with; its number goes in later.
        let tagged = |fid: u16| [0xDC, 0, short(fid) << 3];
        let appended = |fid: u16| [0xE2, 0, short(fid) << 3];
        match file {
            CardFile::Holder => writing(DAMK, Line::Enciphered, whole(sfi::HOLDER), Some(55)),
            CardFile::Region => writing(
                DAMK,
                Line::Clear,
                whole(sfi::REGION),
                Some(files::Region::LEN),
            ),
            CardFile::Metro { number } => {
                let header = [0xDC, number, sfi::METRO << 3 | 4];
                writing(DAMK, Line::Clear, header, Some(files::Metro::LEN))
            }
            CardFile::CardData => writing(BASIC, Line::Clear, tagged(fid::EF05), None),
            CardFile::HolderData => writing(BASIC, Line::Enciphered, tagged(fid::EF06), None),
            CardFile::Fingerprint { offset } => {
                writing(BASIC, Line::Enciphered, part(fid::EF07, offset)?, None)
            }
            CardFile::Photo { offset } => {
                writing(BASIC, Line::Enciphered, part(fid::EF08, offset)?, None)
            }
            CardFile::Contact => {
                let key = (KeyType::Uk, ssse_kid::EF0C);
                writing(key, Line::Enciphered, tagged(fid::EF0C), None)
            }
            CardFile::Services => {
                let key = (KeyType::Uk, ssse_kid::EF0D);
                writing(
                    key,
                    Line::Clear,
                    appended(fid::EF0D),
                    Some(ServiceRecord::LEN),
                )
            }
            CardFile::HealthCard => {
                writing(HEALTH, Line::Enciphered, tagged(health::fid::CARD), None)
            }
            CardFile::HealthHolder => {
                writing(HEALTH, Line::Enciphered, tagged(health::fid::HOLDER), None)
            }
            CardFile::HealthContact => {
                writing(HEALTH, Line::Enciphered, tagged(health::fid::CONTACT), None)
            }
            CardFile::HealthEmergency => writing(
                HEALTH,
                Line::Enciphered,
                tagged(health::fid::EMERGENCY),
                None,
            ),
            CardFile::HealthVisits => {
                let header = appended(health::fid::VISITS);
                writing(HEALTH, Line::Enciphered, header, Some(health::Visit::LEN))
            }
            CardFile::Certificate { offset } => {
                let key = (KeyType::Uk, class::ONLY);
                writing(key, Line::Clear, part(pki::CERTIFICATE, offset)?, None)
            }
        }
    }

    /// APPEND RECORD, where records come and go.
    fn added(file: CardFile) -> Result<Self> {
        let open = matches!(
            file,
            CardFile::Contact
                | CardFile::HealthCard
                | CardFile::HealthHolder
                | CardFile::HealthContact
                | CardFile::HealthEmergency
        );
        if !open {
            return Err(malformed("this file takes no further records"));
        }
        let update = Self::of(file)?;
        let [_, _, p2] = update.header;
        Ok(Self {
            header: [0xE2, 0, p2],
            ..update
        })
    }
}

const fn short(fid: u16) -> u8 {
    (fid & 0x1F) as u8
}

/// UPDATE BINARY: by short identifier where the offset fits, else in the file that is selected.
fn part(fid: u16, offset: u16) -> Result<[u8; 3]> {
    match offset.to_be_bytes() {
        [0, low] => Ok([0xD6, 0x80 | short(fid), low]),
        [high, low] if high < 0x80 => Ok([0xD6, high, low]),
        _ => Err(malformed("an offset has 15 bits")),
    }
}

/// The command for an order. `pin` gives the new PIN where the order has one.
pub(crate) fn command(
    vault: &Vault,
    request: &CardCommand,
    pin: impl FnOnce() -> Result<PackedPin>,
) -> Result<Vec<u8>> {
    let asked = Asked { vault, request };
    match &request.order {
        CardOrder::BlockPurse { permanent } => asked.maintenance([0x1E, 0, u8::from(*permanent)]),
        CardOrder::UnblockPurse => asked.maintenance([0x18, 0, 0]),
        CardOrder::BlockCard => asked.maintenance([0x16, 0, 0]),
        CardOrder::UnblockPin { of, pin: _ } => asked.unblock_pin(*of, &pin()?),
        CardOrder::ReloadPin { pin: _ } => asked.reload_pin(&pin()?),
        CardOrder::Add { file, contents } => asked.write(Writing::added(*file)?, contents),
        CardOrder::Write { file, contents } => asked.write(Writing::of(*file)?, contents),
    }
}

struct Asked<'a> {
    vault: &'a Vault,
    request: &'a CardCommand,
}

impl Asked<'_> {
    fn key<U: Usage>(&self, (key_type, index): (KeyType, u8)) -> Result<CardKey<U>> {
        let header = KeyHeader {
            key_type,
            index,
            version: self.request.version,
            suite: self.request.suite,
        };
        self.vault
            .card_key(KeyName::new(header)?, &self.request.card)
    }

    /// `cla INS P1 P2 | data | MAC`.
    fn sealed<U: Usage>(
        &self,
        key: &CardKey<U>,
        cla: u8,
        [ins, p1, p2]: [u8; 3],
        data: &[u8],
    ) -> Result<Vec<u8>> {
        let lc = u8::try_from(data.len() + 4)
            .map_err(|_| malformed("the contents are too long for one command"))?;
        let header = [cla, ins, p1, p2, lc];
        let challenge = Challenge8(self.request.challenge);
        let mac = sm::mac(key.suite(), key.expose(), challenge, header, data);
        Ok(apdu::build(cla, ins, p1, p2, &[data, &mac].concat(), None).to_vec())
    }

    fn maintenance(&self, header: [u8; 3]) -> Result<Vec<u8>> {
        let damk: CardKey<MaintainPurse> = self.key((KeyType::Damk, class::ONLY))?;
        self.sealed(&damk, 0x84, header, &[])
    }

    fn unblock_pin(&self, of: PinOf, pin: &PackedPin) -> Result<Vec<u8>> {
        let named = match of {
            PinOf::Purse => (KeyType::Dpuk, class::ONLY),
            PinOf::Social => (KeyType::Puk, ssse_kid::PIN_UNBLOCK),
        };
        let key: CardKey<UnblockPin> = self.key(named)?;
        let mut plain = zeroize::Zeroizing::new([0; 16]);
        let length = sm::pin_plaintext(key.suite(), &pin[..], &mut plain);
        let data = length
            .and_then(|length| plain.get_mut(..length))
            .ok_or_else(|| malformed("a PIN has six digits"))?;
        let challenge = Challenge8(self.request.challenge);
        sm::encrypt(key.suite(), key.expose(), challenge, data);
        self.sealed(&key, 0x84, [0x24, 0, 0], data)
    }

    /// PBOC's MAC covers the PIN alone; the AES suite binds it to challenge and header.
    fn reload_pin(&self, pin: &PackedPin) -> Result<Vec<u8>> {
        let key: CardKey<ReloadPin> = self.key((KeyType::Dprk, class::ONLY))?;
        let suite = key.suite();
        match suite {
            SuiteId::Aes => self.sealed(&key, 0x80, [0x5E, 0, 0], &pin[..]),
            SuiteId::Sm4 | SuiteId::Tdes => {
                let mac = key.expose().tac_key(suite).mac4(&[&pin[..]]);
                let data = [&pin[..], &mac].concat();
                Ok(apdu::build(0x80, 0x5E, 0, 0, &data, None).to_vec())
            }
        }
    }

    fn write(&self, writing: Writing, contents: &[u8]) -> Result<Vec<u8>> {
        let fits = match writing.exactly {
            Some(length) => contents.len() == length,
            None => (1..=CONTENTS_MAX).contains(&contents.len()),
        };
        if !fits {
            return Err(HsmError::Malformed {
                why: match writing.exactly {
                    Some(length) => format!("this file takes {length} bytes at once"),
                    None => format!("1 to {CONTENTS_MAX} bytes are written at once"),
                },
            });
        }
        let mut header = writing.header;
        if let ([0xDC, p1 @ 0, _], [tag, ..]) = (&mut header, contents) {
            *p1 = *tag;
        }
        if writing.key.0 == KeyType::Damk {
            let key: CardKey<MaintainPurse> = self.key(writing.key)?;
            self.write_under(&key, writing.line, header, contents)
        } else {
            let key: CardKey<UpdateFile> = self.key(writing.key)?;
            self.write_under(&key, writing.line, header, contents)
        }
    }

    fn write_under<U: Usage>(
        &self,
        key: &CardKey<U>,
        line: Line,
        header: [u8; 3],
        contents: &[u8],
    ) -> Result<Vec<u8>> {
        if line == Line::Clear {
            return self.sealed(key, 0x04, header, contents);
        }
        let mut data = sm::plaintext::<256>(key.suite(), contents)
            .ok_or_else(|| malformed("the contents are too long for one command"))?;
        let challenge = Challenge8(self.request.challenge);
        sm::encrypt(key.suite(), key.expose(), challenge, &mut data);
        self.sealed(key, 0x04, header, &data)
    }
}

/// MAC2 and UPDATE OVERDRAFT LIMIT, once the card's MAC1 is right.
pub(crate) fn overdraft(
    vault: &Vault,
    request: &OverdraftRequest,
) -> Result<Option<([u8; 4], Vec<u8>)>> {
    let header = crate::vault::only(KeyType::Duk, request.suite, request.version);
    let name = KeyName::<AuthorizeOverdraft>::new(header)?;
    let duk = vault.card_key(name, &request.card)?;
    let order = &request.order;
    let update = OverdraftUpdate {
        old_limit: order.old_limit,
        terminal: request.terminal,
        seq: order.seq,
        rnd: request.rnd,
        balance_before: request.balance_before,
    };
    // What does not fit the MAC's fields is refused, or two limits would have one MAC.
    let three = |limit| overdraft::limit3(limit).is_ok();
    if !three(order.old_limit) || !three(order.new_limit) {
        return Err(malformed(
            "an overdraft limit is negative or above three bytes",
        ));
    }
    crate::proofs::amounts(&[request.balance_before])?;
    let suite = duk.suite();
    if !bool::from(update.mac1(suite, duk.expose()).ct_eq(&request.mac1)) {
        return Ok(None);
    }
    let mac2 = update.mac2(suite, duk.expose(), order.new_limit, order.time);
    let command = overdraft::update(order.new_limit, order.time, mac2);
    command
        .map(|apdu| Some((mac2, apdu.to_vec())))
        .map_err(|_| malformed("an overdraft limit has three bytes"))
}

/// EXTERNAL AUTHENTICATE: `E | T`, E being T's cryptogram under the process key of the card's
/// challenge (LD/T 32, external authentication). T is drawn here.
pub(crate) fn authenticate(
    vault: &Vault,
    request: &AuthenticateRequest,
    terminal: [u8; 8],
) -> Result<Vec<u8>> {
    KeyName::<Authenticate>::new(request.header)?;
    let name = KeyName::<Authenticate>::new(vault.resolve(request.header)?)?;
    let key = vault.card_key(name, &request.card)?;
    let process = ssse_process_key(key.expose(), key.suite(), &request.challenge);
    let cryptogram = process.cryptogram8(key.suite(), &terminal);
    let data = [cryptogram, terminal].concat();
    Ok(apdu::build(0x00, 0x82, 0x00, request.header.index, &data, None).to_vec())
}
