//! The plan of a user card.

use super::{ApplicationPlan, PlanError};
use crate::{
    order::CardOptions,
    pan,
    person::{Name, Person},
};
use card_spec::{
    Fen, FormatError, SuiteId, aid, health,
    id::{Generation, IssuerId, Pan, RegionCode},
    keys::{KeyHeader, KeyType, class, ssse_kid},
    medical::year_to_bcd,
    perso::Dgi,
    purse::{
        files::{CardKind, Holder, Limits, Public, Region},
        sfi,
    },
    ssse::{Profile, fid, tag},
    time::CardDate,
};
use hsm_client::{CURRENT, CardRef};

/// What the issuer decides for all cards. Regional rules, so configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Years of validity.
    pub validity_years: u16,
    /// Offline limits.
    pub limits: Limits,
    /// Age from which a card is an elderly person's.
    pub elderly_from: u16,
    /// Initialising institution, EF05 record 04.
    pub institution: [u8; 12],
}

impl Default for Policy {
    /// Ten years; at most 1,000 yuan on the card, 200 a tap, 500 a day, no overdraft; elderly from 60.
    fn default() -> Self {
        Self {
            validity_years: 10,
            limits: Limits {
                max_balance: Fen::yuan(1000),
                per_tap: Fen::yuan(200),
                per_day: Fen::yuan(500),
                overdraft: Fen::ZERO,
            },
            elderly_from: 60,
            // 9156 000002 as in the field, then the province; the rest is this project's choice.
            institution: [0x91, 0x56, 0, 0, 0x02, 0x35, 0, 0, 0x35, 0, 0, 0x01],
        }
    }
}

/// Everything that goes on one card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CardPlan {
    /// Card number.
    pub pan: Pan,
    /// Generation.
    pub generation: Generation,
    /// Region whose keys it carries.
    pub region: RegionCode,
    /// Kind in file 17.
    pub kind: CardKind,
    /// Suite of every application key.
    pub suite: SuiteId,
    /// Access profile of the social-security application.
    pub profile: Profile,
    /// First day of validity.
    pub valid_from: CardDate,
    /// Last day of validity.
    pub valid_to: CardDate,
    /// Opening balance of the medical account.
    pub medical_balance: Fen,
    /// Purse, social security, medical, health data, PKI: in this order.
    pub applications: [ApplicationPlan; 5],
}

impl CardPlan {
    /// The plan of a person's card.
    pub fn new(
        person: &Person,
        number: Pan,
        generation: Generation,
        options: CardOptions,
        valid_from: CardDate,
        policy: &Policy,
    ) -> Result<Self, PlanError> {
        if number.is_sample() {
            return Err(PlanError::Sample(number));
        }
        let seq = pan::parse(number).ok_or(PlanError::ForeignPan(number))?;
        let valid_to = last_day(valid_from, policy.validity_years)?;
        let kind = person.kind(valid_from, policy.elderly_from);
        let public = Public {
            issuer: IssuerId::new(number, person.region, generation),
            app_type: 0x01,
            version: 0x01,
            pan: number,
            valid_from,
            valid_to,
            card_type: 0,
            generation,
        };
        let keys = Keys {
            suite: options.suite,
        };
        let purse = ApplicationPlan {
            aid: aid::T_UNION,
            name: "purse 电子钱包",
            groups: vec![
                (Dgi::file(sfi::PUBLIC), public.to_bytes().to_vec()),
                (Dgi::file(sfi::HOLDER), holder(person).to_bytes().to_vec()),
                (
                    Dgi::file(sfi::REGION),
                    Region {
                        region: person.region,
                        interoperable: true,
                        kind,
                    }
                    .to_bytes()
                    .to_vec(),
                ),
                (
                    Dgi::LIMITS,
                    policy
                        .limits
                        .to_bytes()
                        .map_err(|_| PlanError::Limits)?
                        .to_vec(),
                ),
            ],
            keys: keys.purse(),
            pin: true,
        };
        let mut groups = ef05(
            number,
            generation,
            person,
            options.profile,
            valid_from,
            valid_to,
            seq,
            policy,
        );
        groups.extend(ef06(person, options.profile)?);
        groups.push((Dgi::PROFILE, vec![options.profile as u8]));
        let social = ApplicationPlan {
            aid: aid::SSSE,
            name: "social security 社会保障",
            groups,
            keys: keys.social(),
            pin: true,
        };
        let balance = person.account.to_card().map_err(|_| PlanError::Balance)?;
        let medical = ApplicationPlan {
            aid: aid::SSSE_MEDICAL,
            name: "medical purse 医保钱包",
            groups: vec![(Dgi::MEDICAL_BALANCE, balance.to_vec())],
            keys: keys.medical(),
            pin: false,
        };
        let health = ApplicationPlan {
            aid: aid::HEALTH,
            name: "health data 健康信息",
            groups: health_records(person),
            keys: keys.health(),
            pin: false,
        };
        // The holder makes the signing key at the counter, under this PIN: nobody else ever has it.
        let pki = ApplicationPlan {
            aid: aid::PKI,
            name: "signature 电子签名",
            groups: vec![],
            keys: keys.pki(),
            pin: true,
        };
        Ok(Self {
            pan: number,
            generation,
            region: person.region,
            kind,
            suite: options.suite,
            profile: options.profile,
            valid_from,
            valid_to,
            medical_balance: person.account,
            applications: [purse, social, medical, health, pki],
        })
    }

    /// Whose keys the HSM derives.
    pub const fn card_ref(&self) -> CardRef {
        CardRef {
            pan: self.pan,
            generation: self.generation,
            region: self.region,
        }
    }
}

/// The day before the anniversary.
fn last_day(from: CardDate, years: u16) -> Result<CardDate, PlanError> {
    let wrong = |_: FormatError| PlanError::Validity { from, years };
    let year = from.year().saturating_add(years);
    let (month, day) = match (from.month(), from.day()) {
        (1, 1) => (12, 31),
        (month, 1) => (month - 1, 0),
        (month, day) => (month, day - 1),
    };
    let year = if (from.month(), from.day()) == (1, 1) {
        year.saturating_sub(1)
    } else {
        year
    };
    if day > 0 {
        return CardDate::new(year, month, day).map_err(wrong);
    }
    // Last day of the month before.
    (28..=31)
        .rev()
        .find_map(|d| CardDate::new(year, month, d).ok())
        .ok_or(PlanError::Validity { from, years })
}

/// File 16. Its name field is shorter than the social-security one: what does not fit is cut
/// between characters; EF06 holds the whole name.
fn holder(person: &Person) -> Holder {
    let (name, _) = Name::field::<20>(person.name.as_str());
    let mut id_number = [0; 32];
    id_number[..18].copy_from_slice(person.certno.as_bytes());
    Holder {
        flags: [0; 2],
        name,
        id_number,
        id_type: 0,
    }
}

fn record(sfi: u8, number: usize, tag: u8, value: &[u8]) -> (Dgi, Vec<u8>) {
    let mut data = vec![number as u8, tag, value.len() as u8];
    data.extend_from_slice(value);
    (Dgi::record(sfi), data)
}

const EF05: u8 = (fid::EF05 & 0x1F) as u8;
const EF06: u8 = (fid::EF06 & 0x1F) as u8;

#[allow(clippy::too_many_arguments)] // the record's fields, used once
fn ef05(
    number: Pan,
    generation: Generation,
    person: &Person,
    profile: Profile,
    valid_from: CardDate,
    valid_to: CardDate,
    seq: pan::CardSeq,
    policy: &Policy,
) -> Vec<(Dgi, Vec<u8>)> {
    // Region, PAN, generation, year of issue: no two cards share it.
    let mut card_id = [0; tag::CARD_ID.1];
    card_id[..3].copy_from_slice(&person.region.to_bytes());
    card_id[3..13].copy_from_slice(&number.to_bytes());
    card_id[13] = generation.0;
    card_id[14..].copy_from_slice(&year_to_bcd(valid_from.year()));
    let values: [(u8, &[u8]); 7] = [
        (tag::CARD_ID.0, &card_id),
        (tag::CARD_TYPE.0, b"1"),
        (tag::VERSION.0, profile.version_text()),
        (tag::INSTITUTION.0, &policy.institution),
        (tag::ISSUED.0, &valid_from.to_bytes()),
        (tag::EXPIRES.0, &valid_to.to_bytes()),
        (tag::CARD_NO.0, &seq.card_no()),
    ];
    (1..)
        .zip(values)
        .map(|(n, (tag, value))| record(EF05, n, tag, value))
        .collect()
}

fn ef06(person: &Person, profile: Profile) -> Result<Vec<(Dgi, Vec<u8>)>, PlanError> {
    let (name, rest) = Name::field::<{ tag::NAME.1 }>(person.name.as_str());
    let (extension, beyond) = Name::field::<{ tag::NAME_EXT.1 }>(rest);
    let has_extension = profile.ef06().contains(&tag::NAME_EXT);
    let lost = if has_extension { beyond } else { rest };
    if !lost.is_empty() {
        return Err(PlanError::Name {
            rest: lost.to_owned(),
        });
    }
    // Birthplace 出生地: the area of the identity number.
    let birthplace: RegionCode = person.certno.area().parse().unwrap_or(person.region);
    let value = |wanted: (u8, usize)| -> Vec<u8> {
        match wanted {
            tag::SSN => person.certno.as_bytes().to_vec(),
            tag::NAME => name.to_vec(),
            tag::NAME_EXT => extension.to_vec(),
            tag::SEX => vec![person.sex.code()],
            tag::ETHNICITY => vec![card_spec::bcd::pack(person.ethnicity)],
            tag::BIRTHPLACE => birthplace.to_bytes().to_vec(),
            _ => person.birth.to_bytes().to_vec(),
        }
    };
    Ok((1..)
        .zip(profile.ef06())
        .map(|(n, field)| record(EF06, n, field.0, &value(*field)))
        .collect())
}

/// What is known of the holder goes into the health data; a doctor adds the rest.
fn health_records(person: &Person) -> Vec<(Dgi, Vec<u8>)> {
    let city = person.region.to_bytes();
    // As much of the name as a record holds, cut between characters; EF06 of the social-security
    // application has the whole one.
    let (name, _) = Name::field::<30>(person.name.as_str());
    let end = name
        .iter()
        .rposition(|b| *b != 0)
        .map_or(0, |last| last + 1);
    let sex = [person.sex.code()];
    let ethnicity = [card_spec::bcd::pack(person.ethnicity)];
    let birth = person.birth.to_bytes();
    let card: [(u8, &[u8]); 2] = [(1, b"1"), (57, &city)];
    let holder: [(u8, &[u8]); 5] = [
        (health::holder::NAME, name.get(..end).unwrap_or_default()),
        (health::holder::SEX, &sex),
        (health::holder::ETHNICITY, &ethnicity),
        (health::holder::BIRTH_DATE, &birth),
        (health::holder::ID_NUMBER, person.certno.as_bytes()),
    ];
    let numbered = |fid: u16, records: &[(u8, &[u8])]| -> Vec<_> {
        let all = (1..).zip(records);
        all.map(|(n, (tag, value))| record((fid & 0x1F) as u8, n, *tag, value))
            .collect()
    };
    let mut groups = numbered(health::fid::CARD, &card);
    groups.extend(numbered(health::fid::HOLDER, &holder));
    groups
}

struct Keys {
    suite: SuiteId,
}

impl Keys {
    fn of(&self, list: &[(KeyType, u8)]) -> Vec<KeyHeader> {
        list.iter()
            .map(|(key_type, index)| KeyHeader {
                key_type: *key_type,
                index: *index,
                version: CURRENT,
                suite: self.suite,
            })
            .collect()
    }

    fn purse(&self) -> Vec<KeyHeader> {
        self.of(&[
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
        ])
    }

    fn social(&self) -> Vec<KeyHeader> {
        self.of(&[
            (KeyType::Irk, ssse_kid::INTERNAL),
            (KeyType::Rk, ssse_kid::READ_V3),
            (KeyType::Uk, ssse_kid::WRITE_BASIC),
            (KeyType::Puk, ssse_kid::PIN_UNBLOCK),
            (KeyType::Uk, ssse_kid::EF0C),
            (KeyType::Uk, ssse_kid::EF0D),
        ])
    }

    fn health(&self) -> Vec<KeyHeader> {
        self.of(&[
            (KeyType::Irk, health::kid::INTERNAL),
            (KeyType::Rk, health::kid::READ),
            (KeyType::Rk, health::kid::EMERGENCY),
            (KeyType::Uk, health::kid::WRITE),
        ])
    }

    fn pki(&self) -> Vec<KeyHeader> {
        self.of(&[(KeyType::Uk, class::ONLY)])
    }

    fn medical(&self) -> Vec<KeyHeader> {
        self.of(&[
            (KeyType::Mpk, class::ONLY),
            (KeyType::Mlk, class::ONLY),
            (KeyType::Mtk, class::ONLY),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Readable;
    use card_spec::ssse::record_value;

    fn person(name: &str) -> Person {
        let csv = format!(
            "{}\nP1,{name},1,01,1960-05-01,ID,350200,310,12,0,0,0,0,,88.00,3000.00",
            crate::intake::COLUMNS.join(",")
        );
        let digits = *b"35029919600501001";
        let check = card_spec::id::CitizenId::check_character(&digits).expect("digits");
        let id = format!("35029919600501001{}", check as char);
        let today = CardDate::new(2026, 3, 16).expect("date");
        let rules = crate::intake::Rules::fujian(today);
        let intake = crate::intake::read(csv.replace("ID", &id).as_bytes(), &rules).expect("file");
        intake.persons.into_iter().next().expect("valid")
    }

    fn plan(name: &str, profile: Profile) -> Result<CardPlan, PlanError> {
        let region = "350200".parse().expect("region");
        let seq = pan::CardSeq::new(42).expect("range");
        let number = pan::compose(region, seq).expect("digits");
        CardPlan::new(
            &person(name),
            number,
            Generation(2),
            CardOptions {
                suite: SuiteId::Aes,
                profile,
            },
            CardDate::new(2026, 3, 16).expect("date"),
            &Policy::default(),
        )
    }

    fn records(plan: &CardPlan, of: u8) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for readable in plan.applications[1].readable() {
            if let Readable::Record {
                sfi,
                number,
                contents,
            } = readable
                && sfi == of
            {
                assert_eq!(usize::from(number), all.len() + 1);
                all.push(contents.to_vec());
            }
        }
        all
    }

    #[test]
    fn file_15_and_17_parse_back() {
        let plan = plan("样甲", Profile::V3).expect("plan");
        let [purse, ..] = &plan.applications;
        let public = Public::from_bytes(&purse.groups[0].1).expect("file 15");
        assert_eq!((public.pan, public.generation), (plan.pan, Generation(2)));
        assert_eq!(public.valid_to.to_string(), "2036-03-15");
        let region = Region::from_bytes(&purse.groups[2].1).expect("file 17");
        assert_eq!(region.kind, CardKind::Elderly);
        assert_eq!(region.region, plan.region);
        let holder = Holder::from_bytes(&purse.groups[1].1).expect("file 16");
        assert_eq!(holder.name[..5], [0xD1, 0xF9, 0xBC, 0xD7, 0]);
    }

    #[test]
    fn records_follow_the_profile() {
        let long = "样例甲乙丙丁戊己庚辛壬癸子丑寅卯"; // 16 characters, 32 bytes
        for (profile, records_of_ef06) in [(Profile::V2, 7), (Profile::V3, 7)] {
            let plan = plan(long, profile).expect("plan");
            let ef06 = records(&plan, 6);
            assert_eq!(ef06.len(), records_of_ef06);
            let tags: Vec<u8> = ef06.iter().map(|r| r[0]).collect();
            assert_eq!(tags, [0x08, 0x09, 0x4E, 0x0A, 0x0B, 0x0C, 0x0D]);
            for (record, (tag, length)) in ef06.iter().zip(profile.ef06()) {
                assert_eq!(record_value(record, *tag).map(<[u8]>::len), Ok(*length));
            }
            // The sixteenth character, 卯 (C3AE), opens the extension.
            assert_eq!(ef06[2][2..5], [0xC3, 0xAE, 0]);
            assert_eq!(records(&plan, 5)[2][2..], *profile.version_text());
        }
        assert!(matches!(
            plan(long, Profile::V1),
            Err(PlanError::Name { .. })
        ));
        let v1 = records(&plan("样甲", Profile::V1).expect("short name"), 6);
        let tags: Vec<u8> = v1.iter().map(|r| r[0]).collect();
        assert_eq!(tags, [0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D]);
        assert_eq!(v1[5][2..], [0x19, 0x60, 0x05, 0x01]);
    }

    #[test]
    fn a_four_byte_character_is_not_cut() {
        // Seven two-byte characters, four four-byte ones: 30 bytes exactly; the next goes over.
        let name = "样例甲乙丙丁戊\u{20BB7}\u{20BB7}\u{20BB7}\u{20BB7}样";
        let ef06 = records(&plan(name, Profile::V3).expect("plan"), 6);
        assert_eq!(ef06[1].len(), 32);
        assert_ne!(ef06[1][31], 0);
        assert_eq!(ef06[2][2..5], [0xD1, 0xF9, 0]);
        // One byte pair less in front, and the last rare character would be split: it moves whole.
        let name = "样例甲乙丙丁戊己\u{20BB7}\u{20BB7}\u{20BB7}\u{20BB7}";
        let ef06 = records(&plan(name, Profile::V3).expect("plan"), 6);
        assert_eq!(ef06[1][30..], [0, 0]);
        assert_eq!(ef06[2][6..8], [0, 0]);
        assert_ne!(ef06[2][5], 0);
    }

    #[test]
    fn keys_are_those_of_the_design() {
        let plan = plan("样甲", Profile::V3).expect("plan");
        let counts = plan.applications.each_ref().map(|a| a.keys.len());
        assert_eq!(counts, [13, 6, 3, 4, 1]);
        let dpk: Vec<u8> = plan.applications[0].keys[..6]
            .iter()
            .map(|k| k.index)
            .collect();
        assert_eq!(dpk, [0x01, 0x02, 0x03, 0x11, 0x12, 0x13]);
        let mut every: Vec<_> = plan.applications.iter().flat_map(|a| &a.keys).collect();
        every.sort();
        every.dedup();
        assert_eq!(every.len(), 27);
    }

    #[test]
    fn sample_and_foreign_numbers_are_refused() {
        let make = |text: &str| {
            CardPlan::new(
                &person("样甲"),
                text.parse().expect("digits"),
                Generation(1),
                CardOptions::default(),
                CardDate::new(2026, 3, 16).expect("date"),
                &Policy::default(),
            )
        };
        assert!(matches!(
            make("09990000000000000001"),
            Err(PlanError::Sample(_))
        ));
        assert!(matches!(
            make("03500000000000001234"),
            Err(PlanError::ForeignPan(_))
        ));
    }

    #[test]
    fn validity_ends_the_day_before() {
        let day = |y, m, d| CardDate::new(y, m, d).expect("date");
        assert_eq!(last_day(day(2026, 1, 1), 10), Ok(day(2035, 12, 31)));
        assert_eq!(last_day(day(2026, 3, 1), 10), Ok(day(2036, 2, 29)));
        assert_eq!(last_day(day(2024, 2, 29), 1), Ok(day(2025, 2, 28)));
        assert!(last_day(day(9995, 1, 2), 10).is_err());
    }
}
