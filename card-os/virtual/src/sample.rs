//! Sample cards and SAMs: published keys, synthetic holder. See `docs/sample-card.md`. Their IIN
//! is [`Pan::SAMPLE_IIN`], which every production path refuses.

use crate::{
    VirtualCard, certificate,
    host::{HostError, Scp03, ask, load_purse},
};
use card_spec::{
    Fen, FormatError, SuiteId, aid, apdu, health,
    id::{Generation, IssuerId, Pan, RegionCode, SamNo},
    keys::{self, KeyHeader, KeyType, class, ssse_kid},
    perso::{self, CardState, Dgi, KVN_ISSUER, KVN_TRANSPORT},
    pki,
    purse::{
        InitRequest,
        files::{CardKind, Holder, Limits, Public, Region},
        sfi,
    },
    sam,
    scp03::{StaticKeys, level},
    ssse::{self, Profile, fid, tag},
    suite::Key,
    time::{CardDate, CardTime},
};

/// Card number of the sample card: sample IIN, Fuzhou.
pub const PAN: &str = "09990035010000000016";
/// Region of the sample card and of the sample SAMs: Fuzhou 福州.
pub const REGION: &str = "350100";
/// PIN of both sides of the sample card, as entered.
pub const PIN: &str = "123456";
/// The PIN's packed bytes.
pub const PIN_BYTES: [u8; 3] = [0x12, 0x34, 0x56];
/// The signing PIN's packed bytes: another than [`PIN`].
pub const SIGN_PIN_BYTES: [u8; 3] = [0x65, 0x43, 0x21];
/// Holder's name: 样卡 ("sample card") in GB 18030.
pub const NAME_GB18030: [u8; 4] = [0xD1, 0xF9, 0xBF, 0xA8];
/// Holder's number: area code 000000 belongs to nobody; the check character is right.
pub const SOCIAL_SECURITY_NO: &[u8; 18] = b"000000199001010018";
/// Opening balance of the purse, brought on by a load.
pub const PURSE_BALANCE: Fen = Fen::yuan(100);
/// Opening balance of the medical personal account.
pub const MEDICAL_BALANCE: Fen = Fen::yuan(500);
/// Terminal number of the desk that loaded the opening balance.
pub const LOAD_TERMINAL: &str = "999900000001";
/// Terminal-sequence ceiling of sample SAMs.
pub const SAM_CEILING: u32 = 1_000_000;
/// The transport keys of sample blanks: GlobalPlatform's well-known 40..4F, three times.
pub const TRANSPORT_KEY: [u8; 16] = [
    0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x4B, 0x4C, 0x4D, 0x4E, 0x4F,
];

/// A published application master: the 14 ASCII characters `OneCard sample`, then key type and key
/// index, both doubled because 3DES ignores the lowest bit of every byte.
pub const fn master(key_type: KeyType, index: u8) -> [u8; 16] {
    let mut out = [0; 16];
    let text = b"OneCard sample";
    let mut i = 0;
    while i < text.len() {
        out[i] = text[i];
        i += 1;
    }
    out[14] = (key_type as u8) << 1;
    out[15] = index << 1;
    out
}

/// The region key that sample SAMs hold.
pub fn region_key(header: KeyHeader) -> Result<Key, FormatError> {
    region_key_of(REGION.parse()?, header)
}

/// The key of any region and version. The published masters are those of version 1; the last letter
/// of a later one's text is changed by twice the number of versions since.
pub fn region_key_of(region: RegionCode, header: KeyHeader) -> Result<Key, FormatError> {
    let mut master = master(header.key_type, header.index);
    master[13] ^= header.version.checked_sub(1).ok_or(FormatError::Range)? << 1;
    let master = Key::new(master);
    Ok(if is_social(header.key_type) {
        keys::ssse_region_key(&master, header.suite, region)
    } else {
        keys::region_key(&master, header.suite, region, Pan::SAMPLE_IIN)
    })
}

/// The key of the sample card, generation 1.
pub fn card_key(header: KeyHeader) -> Result<Key, FormatError> {
    card_key_of(REGION.parse()?, header)
}

/// The key of a card with the sample's number in any region.
pub fn card_key_of(region: RegionCode, header: KeyHeader) -> Result<Key, FormatError> {
    let (region, pan): (Key, Pan) = (region_key_of(region, header)?, PAN.parse()?);
    Ok(if is_social(header.key_type) {
        keys::ssse_card_key(&region, header.suite, &ssse::f1(pan))
    } else {
        keys::card_key(&region, header, pan, Generation(1))
    })
}

const fn is_social(key_type: KeyType) -> bool {
    matches!(
        key_type,
        KeyType::Irk
            | KeyType::Rk
            | KeyType::Uk
            | KeyType::Puk
            | KeyType::Mpk
            | KeyType::Mlk
            | KeyType::Mtk
    )
}

/// Header of a sample key: version 1.
pub const fn header(key_type: KeyType, index: u8, suite: SuiteId) -> KeyHeader {
    KeyHeader {
        key_type,
        index,
        version: 1,
        suite,
    }
}

/// The key set KVN 30 of sample cards.
pub fn issuer_keys() -> StaticKeys {
    let key = |key_type| Key::new(master(key_type, KVN_ISSUER));
    StaticKeys {
        enc: key(KeyType::IsdEnc),
        mac: key(KeyType::IsdMac),
        dek: key(KeyType::IsdDek),
    }
}

/// The transport key set of sample blanks.
pub fn transport_keys() -> StaticKeys {
    let key = || Key::new(TRANSPORT_KEY);
    StaticKeys {
        enc: key(),
        mac: key(),
        dek: key(),
    }
}

/// What a sample card carries; [`Sample::new`] is the documented one.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Suite of every application key.
    pub suite: SuiteId,
    /// Version of every application key.
    pub version: u8,
    /// Region, six digits.
    pub region: &'static str,
    /// Profile of the social-security application.
    pub profile: Profile,
    /// Kind in file 17.
    pub kind: CardKind,
    /// Offline limits.
    pub limits: Limits,
    /// Purse balance.
    pub purse: Fen,
    /// Medical balance.
    pub medical: Fen,
}

impl Sample {
    /// The documented sample card.
    pub const fn new(suite: SuiteId, profile: Profile) -> Self {
        Self {
            suite,
            version: 1,
            region: REGION,
            profile,
            kind: CardKind::Test,
            limits: Limits {
                max_balance: Fen::yuan(1000),
                per_tap: Fen::yuan(200),
                per_day: Fen::yuan(500),
                overdraft: Fen::ZERO,
            },
            purse: PURSE_BALANCE,
            medical: MEDICAL_BALANCE,
        }
    }

    /// Makes the card: a blank, personalised over SCP03 at level 33, then loaded.
    pub fn card(&self, seed: [u8; 32]) -> Result<VirtualCard, HostError> {
        let pan: Pan = PAN.parse().map_err(format)?;
        let mut card = VirtualCard::blank(pan.to_bytes(), transport_keys(), seed)?;
        let issuer = issuer_keys();
        let mut host = open(&mut card, &transport_keys(), KVN_TRANSPORT)?;
        host.put_keys(&mut card, KVN_ISSUER, &issuer)?;
        let mut host = open(&mut card, &issuer, KVN_ISSUER)?;
        for (name, groups) in [
            (aid::T_UNION, self.purse_groups(&host, pan)?),
            (aid::SSSE, self.social_groups(&host, pan)?),
            (aid::SSSE_MEDICAL, self.medical_groups(&host)?),
            (aid::HEALTH, self.health_groups(&host)?),
        ] {
            host.personalise(&mut card, name, &groups)?;
        }
        let mut host = self.sign_key(&mut card, host)?;
        host.set_status(&mut card, CardState::Initialized)?;
        host.set_status(&mut card, CardState::Secured)?;
        if self.purse != Fen::ZERO {
            self.load(&mut card)?;
        }
        card.power_cycle();
        Ok(card)
    }

    /// The card with the largest photo it can hold ([`big_photo`]).
    pub fn full_card(&self, seed: [u8; 32]) -> Result<VirtualCard, HostError> {
        let mut card = self.card(seed)?;
        let mut host = open(&mut card, &issuer_keys(), KVN_ISSUER)?;
        let photo = Dgi::file((fid::EF08 & 0x1F) as u8);
        host.personalise(&mut card, aid::SSSE, &[(photo, big_photo())])?;
        card.power_cycle();
        Ok(card)
    }

    /// The PKI application, its key made on the card, and a certificate that the card signs
    /// itself. Ends with a new session: the first ends when another application is selected.
    fn sign_key(&self, card: &mut VirtualCard, mut host: Scp03) -> Result<Scp03, HostError> {
        let mut groups = vec![host.pin_group(&SIGN_PIN_BYTES)?];
        groups.extend(self.keys(&host, &[(KeyType::Uk, class::ONLY)])?);
        host.personalise(card, aid::PKI, &groups)?;
        let verify = apdu::verify(perso::pin::HOLDER, &SIGN_PIN_BYTES);
        ask(card, "SELECT", &apdu::select(aid::PKI_CERTIFICATES))?;
        ask(card, "VERIFY", &verify)?;
        ask(card, "GENERATE KEY PAIR", &pki::generate_key_pair())?;
        ask(card, "VERIFY", &verify)?;
        let certificate = certificate::self_signed(card, "样卡")?;
        let mut host = open(card, &issuer_keys(), KVN_ISSUER)?;
        let file = Dgi::file(pki::CERTIFICATE as u8);
        host.personalise(card, aid::PKI, &[(file, certificate)])?;
        Ok(host)
    }

    fn load(&self, card: &mut VirtualCard) -> Result<(), HostError> {
        ask(card, "SELECT", &apdu::select(aid::T_UNION))?;
        let request = InitRequest {
            kid: class::ONLY,
            amount: self.purse,
            terminal: LOAD_TERMINAL.parse().map_err(format)?,
        };
        let dlk = self.key(KeyType::Dlk, class::ONLY).map_err(format)?.1;
        let date = CardDate::new(2026, 1, 1).map_err(format)?;
        load_purse(
            card,
            &PIN_BYTES,
            &dlk,
            request,
            date.at(8, 0, 0).map_err(format)?,
        )?;
        Ok(())
    }

    fn keys(&self, host: &Scp03, list: &[(KeyType, u8)]) -> Result<Vec<(Dgi, Vec<u8>)>, HostError> {
        list.iter()
            .map(|(key_type, index)| {
                let (header, key) = self.key(*key_type, *index).map_err(format)?;
                Ok(host.key_group(header, &key))
            })
            .collect()
    }

    /// A key of this card.
    pub fn key(&self, key_type: KeyType, index: u8) -> Result<(KeyHeader, Key), FormatError> {
        let header = KeyHeader {
            version: self.version,
            ..header(key_type, index, self.suite)
        };
        Ok((header, card_key_of(self.region.parse()?, header)?))
    }

    fn purse_groups(&self, host: &Scp03, pan: Pan) -> Result<Vec<(Dgi, Vec<u8>)>, HostError> {
        let region: RegionCode = self.region.parse().map_err(format)?;
        let public = Public {
            issuer: IssuerId::new(pan, region, Generation(1)),
            app_type: 1,
            version: 1,
            pan,
            valid_from: CardDate::new(2026, 1, 1).map_err(format)?,
            valid_to: CardDate::new(2035, 12, 31).map_err(format)?,
            card_type: 0,
            generation: Generation(1),
        };
        let mut holder = Holder {
            flags: [0; 2],
            name: [0; 20],
            id_number: [0; 32],
            id_type: 0,
        };
        holder.name[..NAME_GB18030.len()].copy_from_slice(&NAME_GB18030);
        holder.id_number[..18].copy_from_slice(SOCIAL_SECURITY_NO);
        let regional = Region {
            region,
            interoperable: true,
            kind: self.kind,
        };
        let mut groups = vec![
            (Dgi::file(sfi::PUBLIC), public.to_bytes().to_vec()),
            (Dgi::file(sfi::HOLDER), holder.to_bytes().to_vec()),
            (Dgi::file(sfi::REGION), regional.to_bytes().to_vec()),
            (
                Dgi::LIMITS,
                self.limits.to_bytes().map_err(format)?.to_vec(),
            ),
            host.pin_group(&PIN_BYTES)?,
        ];
        groups.extend(self.keys(host, &PURSE_KEYS)?);
        Ok(groups)
    }

    fn social_groups(&self, host: &Scp03, pan: Pan) -> Result<Vec<(Dgi, Vec<u8>)>, HostError> {
        let mut groups = vec![(Dgi::PROFILE, vec![self.profile as u8])];
        for (file, records) in [
            (fid::EF05, &ssse::EF05_RECORDS[..]),
            (fid::EF06, self.profile.ef06()),
        ] {
            for (number, (tag, length)) in (1u8..).zip(records) {
                let mut data = vec![number, *tag, *length as u8];
                data.extend(self.record(*tag, *length, pan)?);
                groups.push((Dgi::record((file & 0x1F) as u8), data));
            }
        }
        groups.push((Dgi::file((fid::EF08 & 0x1F) as u8), PHOTO.to_vec()));
        groups.push(host.pin_group(&PIN_BYTES)?);
        groups.extend(self.keys(host, &SOCIAL_KEYS)?);
        Ok(groups)
    }

    /// One record's value: what is known, padded right with 00.
    fn record(&self, tag: u8, length: usize, pan: Pan) -> Result<Vec<u8>, HostError> {
        let mut value = match tag {
            t if t == tag::CARD_ID.0 => {
                let mut id = self
                    .region
                    .parse::<RegionCode>()
                    .map_err(format)?
                    .to_bytes()
                    .to_vec();
                id.extend(pan.to_bytes());
                id
            }
            t if t == tag::CARD_TYPE.0 => b"1".to_vec(),
            t if t == tag::VERSION.0 => self.profile.version_text().to_vec(),
            t if t == tag::INSTITUTION.0 => vec![0x91, 0x56, 0, 0, 0x02, 0x35, 0x01],
            t if t == tag::ISSUED.0 => vec![0x20, 0x26, 0x01, 0x01],
            t if t == tag::EXPIRES.0 => vec![0x20, 0x35, 0x12, 0x31],
            t if t == tag::CARD_NO.0 => b"S00000001".to_vec(),
            t if t == tag::SSN.0 => SOCIAL_SECURITY_NO.to_vec(),
            t if t == tag::NAME.0 => NAME_GB18030.to_vec(),
            t if t == tag::SEX.0 => b"1".to_vec(),
            t if t == tag::ETHNICITY.0 => vec![0x01],
            t if t == tag::BIRTHPLACE.0 => vec![0x35, 0x01, 0x00],
            t if t == tag::BIRTHDAY.0 => vec![0x19, 0x90, 0x01, 0x01],
            _ => Vec::new(),
        };
        value.resize(length, 0);
        Ok(value)
    }

    fn health_groups(&self, host: &Scp03) -> Result<Vec<(Dgi, Vec<u8>)>, HostError> {
        let mut groups: Vec<(Dgi, Vec<u8>)> = Vec::new();
        for (file, tag, value) in HEALTH_RECORDS {
            let dgi = Dgi::record((file & 0x1F) as u8);
            let number = 1 + groups.iter().filter(|(d, _)| *d == dgi).count();
            let mut data = vec![number as u8, tag, value.len() as u8];
            data.extend_from_slice(value);
            groups.push((dgi, data));
        }
        groups.extend(self.keys(host, &HEALTH_KEYS)?);
        Ok(groups)
    }

    fn medical_groups(&self, host: &Scp03) -> Result<Vec<(Dgi, Vec<u8>)>, HostError> {
        let balance = self.medical.to_card().map_err(format)?;
        let mut groups = vec![(Dgi::MEDICAL_BALANCE, balance.to_vec())];
        groups.extend(self.keys(host, &MEDICAL_KEYS)?);
        Ok(groups)
    }
}

/// Records of the sample's health data: file, then `tag, value`.
const HEALTH_RECORDS: [(u16, u8, &[u8]); 10] = [
    (health::fid::CARD, 1, b"1"),
    (health::fid::CARD, 57, &[0x35, 0x01, 0x00]),
    (health::fid::HOLDER, health::holder::NAME, &NAME_GB18030),
    (health::fid::HOLDER, health::holder::SEX, b"1"),
    (
        health::fid::HOLDER,
        health::holder::ID_NUMBER,
        SOCIAL_SECURITY_NO,
    ),
    (health::fid::CONTACT, 16, b"059100000000"),
    (
        health::fid::EMERGENCY,
        health::emergency::BLOOD_GROUP,
        &[health::BloodGroup::Ab as u8, b'+'],
    ),
    // 青霉素 "penicillin" and 花生 "peanuts".
    (
        health::fid::EMERGENCY,
        health::emergency::ALLERGY,
        &[0xC7, 0xE0, 0xC3, 0xB9, 0xCB, 0xD8],
    ),
    (
        health::fid::EMERGENCY,
        health::emergency::ALLERGY,
        &[0xBB, 0xA8, 0xC9, 0xFA],
    ),
    (
        health::fid::EMERGENCY,
        health::emergency::CONTACT,
        b"059100000001,\xD1\xF9\xBF\xA8",
    ),
];

const HEALTH_KEYS: [(KeyType, u8); 4] = [
    (KeyType::Irk, health::kid::INTERNAL),
    (KeyType::Rk, health::kid::READ),
    (KeyType::Rk, health::kid::EMERGENCY),
    (KeyType::Uk, health::kid::WRITE),
];

const PURSE_KEYS: [(KeyType, u8); 13] = [
    (KeyType::Dpk, class::TRANSIT),
    (KeyType::Dpk, class::PARKING_TAXI),
    (KeyType::Dpk, class::RETAIL),
    (KeyType::Dpk, class::TRANSIT | class::SPARE),
    (KeyType::Dpk, class::PARKING_TAXI | class::SPARE),
    (KeyType::Dpk, class::RETAIL | class::SPARE),
    (KeyType::Dlk, class::ONLY),
    (KeyType::Dtk, class::ONLY),
    (KeyType::Dack, class::ONLY),
    (KeyType::Damk, class::ONLY),
    (KeyType::Dpuk, class::ONLY),
    (KeyType::Dprk, class::ONLY),
    (KeyType::Duk, class::ONLY),
];

const SOCIAL_KEYS: [(KeyType, u8); 6] = [
    (KeyType::Irk, ssse_kid::INTERNAL),
    (KeyType::Rk, ssse_kid::READ_V3),
    (KeyType::Uk, ssse_kid::WRITE_BASIC),
    (KeyType::Puk, ssse_kid::PIN_UNBLOCK),
    (KeyType::Uk, ssse_kid::EF0C),
    (KeyType::Uk, ssse_kid::EF0D),
];

const MEDICAL_KEYS: [(KeyType, u8); 3] = [
    (KeyType::Mpk, class::ONLY),
    (KeyType::Mlk, class::ONLY),
    (KeyType::Mtk, class::ONLY),
];

/// The sample "photo": a 1 x 1 pixel GIF, the smallest file that image programs open.
pub const PHOTO: [u8; 43] = [
    0x47, 0x49, 0x46, 0x38, 0x39, 0x61, 0x01, 0x00, 0x01, 0x00, 0x80, 0x00, 0x00, 0xFF, 0xFF, 0xFF,
    0x00, 0x00, 0x00, 0x21, 0xF9, 0x04, 0x01, 0x00, 0x00, 0x00, 0x00, 0x2C, 0x00, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x01, 0x00, 0x00, 0x02, 0x02, 0x44, 0x01, 0x00, 0x3B,
];

/// 20 KiB that stand for a photo: [`PHOTO`], and after it bytes that no two pieces have in common.
pub fn big_photo() -> Vec<u8> {
    let mut photo = PHOTO.to_vec();
    photo.extend(
        (0u16..)
            .flat_map(u16::to_be_bytes)
            .take(20 * 1024 - PHOTO.len()),
    );
    photo
}

/// What a sample SAM serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleSam {
    /// Purchases of a class.
    Purse(u8),
    /// Social security and medical purse.
    Social,
}

/// A SAM with the region keys that match the sample cards of every suite. A field lock or a
/// social-security authentication that names no algorithm gets the AES key; [`sample_sam_of`]
/// makes a SAM for readers that cannot name it.
pub fn sample_sam(
    kind: SampleSam,
    number: SamNo,
    seed: [u8; 32],
) -> Result<VirtualCard, HostError> {
    sample_sam_of(kind, &SuiteId::ALL, number, seed)
}

/// A SAM with the region keys of some suites, the preferred first; of none: as the first step of
/// issuing leaves it, with the keys of its own alone.
pub fn sample_sam_of(
    kind: SampleSam,
    suites: &[SuiteId],
    number: SamNo,
    seed: [u8; 32],
) -> Result<VirtualCard, HostError> {
    sample_sam_up_to(kind, suites, number, SAM_CEILING, seed)
}

/// A SAM with another terminal-sequence ceiling.
pub fn sample_sam_up_to(
    kind: SampleSam,
    suites: &[SuiteId],
    number: SamNo,
    ceiling: u32,
    seed: [u8; 32],
) -> Result<VirtualCard, HostError> {
    let mut serial = [0; 10];
    serial[..2].copy_from_slice(&Pan::SAMPLE_IIN);
    serial[4..].copy_from_slice(&number.to_bytes());
    let mut sam = VirtualCard::blank(serial, transport_keys(), seed)?;
    let issuer = issuer_keys();
    let mut host = open(&mut sam, &transport_keys(), KVN_TRANSPORT)?;
    host.put_keys(&mut sam, KVN_ISSUER, &issuer)?;
    let mut host = open(&mut sam, &issuer, KVN_ISSUER)?;
    let (name, index, list): (_, _, &[(KeyType, u8)]) = match kind {
        SampleSam::Purse(class) => (
            aid::T_UNION_SAM,
            class,
            &[
                (KeyType::Dpk, class),
                (KeyType::Dpk, class | class::SPARE),
                (KeyType::Dack, class::ONLY),
            ],
        ),
        SampleSam::Social => (
            aid::SSSE_SAM,
            class::ONLY,
            &[
                (KeyType::Irk, ssse_kid::INTERNAL),
                (KeyType::Rk, ssse_kid::READ_V3),
                (KeyType::Irk, health::kid::INTERNAL),
                (KeyType::Rk, health::kid::READ),
                (KeyType::Rk, health::kid::EMERGENCY),
                (KeyType::Mpk, class::ONLY),
            ],
        ),
    };
    let mut groups = vec![
        (Dgi::file(sam::SFI_SERIAL), serial.to_vec()),
        (Dgi::file(sam::SFI_TERMINAL_NO), number.to_bytes().to_vec()),
        (Dgi::file(sam::SFI_KEY_INDEX), vec![index]),
        (Dgi::SAM_CEILING, ceiling.to_be_bytes().to_vec()),
    ];
    for own in [KeyType::SamCeiling, KeyType::SamIssue] {
        let own = header(own, class::ONLY, SuiteId::Aes);
        groups.push(host.sam_key_group([0; 3], own, &Key::new(master(own.key_type, own.index))));
    }
    let region = REGION.parse::<RegionCode>().map_err(format)?.to_bytes();
    for suite in suites {
        for (key_type, index) in list {
            let header = header(*key_type, *index, *suite);
            groups.push(host.sam_key_group(region, header, &region_key(header).map_err(format)?));
        }
    }
    host.personalise(&mut sam, name, &groups)?;
    host.set_status(&mut sam, CardState::Initialized)?;
    host.set_status(&mut sam, CardState::Secured)?;
    sam.power_cycle();
    Ok(sam)
}

fn open(card: &mut VirtualCard, keys: &StaticKeys, kvn: u8) -> Result<Scp03, HostError> {
    Scp03::open(
        card,
        keys,
        kvn,
        level::C_DEC_MAC | level::R_ENC_MAC,
        *b"OneCard!",
    )
}

fn format(_: FormatError) -> HostError {
    HostError::Format {
        step: "sample data",
    }
}

/// A time for samples and tests: 2026-03-16 08:00:00 plus `minute` minutes (below 60).
pub fn sample_time(minute: u8) -> Result<CardTime, FormatError> {
    CardDate::new(2026, 3, 16)?.at(8, minute, 0)
}
