//! Orders for cards and SAMs in the field: the real card and the real SAM obey each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/issue.rs"]
mod issue;

use card_spec::{
    Fen, SuiteId, Sw, aid, apdu,
    channel::exchange,
    health,
    keys::{KeyType, class, ssse_kid},
    perso::Dgi,
    pki,
    purse::{
        files::{Holder, Region},
        sfi,
    },
    sam, ssse,
};
use common::{card, create, header};
use hsm_client::{
    AuthenticateRequest, CardCommand, CardFile, CardOrder, Hsm, HsmError, KeyOrder, MutualRequest,
    NewPin, PinOf, ReadyCommand, SamKeyRequest,
};
use issue::{SERIAL, ask, blank, issued, personalise, take_over};
use virtual_card::VirtualCard;

const PIN_WRONG: [u8; 3] = [0x00, 0x00, 0x01];

struct Field<'a> {
    hsm: &'a dyn Hsm,
    card: VirtualCard,
    suite: SuiteId,
}

impl Field<'_> {
    fn select(&mut self, name: &[u8]) {
        let reply = exchange(&mut self.card, &apdu::select(name)).unwrap();
        assert!(
            reply.sw.is_ok() || reply.sw == Sw::SELECTED_BLOCKED,
            "{}",
            reply.sw
        );
    }

    fn challenge(&mut self) -> [u8; 8] {
        ask(&mut self.card, &apdu::get_challenge(8))
            .try_into()
            .unwrap()
    }

    fn ready(&mut self, order: CardOrder) -> hsm_client::Result<ReadyCommand> {
        let challenge = self.challenge();
        self.hsm.card_command(&CardCommand {
            card: card(),
            suite: self.suite,
            version: 1,
            challenge,
            order,
        })
    }

    fn obey(&mut self, order: CardOrder) -> ReadyCommand {
        let ready = self.ready(order).unwrap();
        ask(&mut self.card, &ready.apdu);
        ready
    }

    fn write(&mut self, file: CardFile, contents: &[u8]) {
        let contents = contents.to_vec();
        self.obey(CardOrder::Write { file, contents });
    }

    fn add(&mut self, file: CardFile, contents: &[u8]) {
        let contents = contents.to_vec();
        self.obey(CardOrder::Add { file, contents });
    }

    fn sw(&mut self, command: &[u8]) -> Sw {
        exchange(&mut self.card, command).unwrap().sw
    }

    fn block_pin(&mut self) {
        for _ in 0..3 {
            self.sw(&apdu::verify(0, &PIN_WRONG));
        }
        assert_eq!(self.sw(&apdu::verify(0, &PIN_WRONG)), Sw::AUTH_BLOCKED);
    }

    fn verify(&mut self, letter: &str) {
        ask(
            &mut self.card,
            &apdu::verify(0, &hex::decode(letter).unwrap()),
        );
    }
}

#[test]
fn a_card_obeys_every_order_of_its_purse() {
    for suite in SuiteId::ALL {
        let directory = tempfile::tempdir().unwrap();
        let hsm = create(directory.path());
        let (holder, first) = issued(&hsm, suite);
        let mut field = Field {
            hsm: &hsm,
            card: holder,
            suite,
        };
        field.select(aid::T_UNION);
        field.verify(&hex::encode(&first));

        let mut region = Region {
            region: card().region,
            interoperable: true,
            kind: card_spec::purse::files::CardKind::Student,
        }
        .to_bytes();
        field.write(CardFile::Region, &region);
        let read = apdu::read_binary(sfi::REGION, 0, region.len() as u16);
        assert_eq!(ask(&mut field.card, &read), region);
        let name = Holder {
            flags: [0; 2],
            name: [b'W'; 20],
            id_number: [b'1'; 32],
            id_type: 0,
        };
        field.write(CardFile::Holder, &name.to_bytes());
        let read = apdu::read_binary(sfi::HOLDER, 0, 55);
        assert_eq!(ask(&mut field.card, &read), name.to_bytes());
        field.write(CardFile::Metro { number: 1 }, &[7; 128]);

        // One challenge, one command: the same again and the same for another file are refused.
        region[0] ^= 1;
        let order = CardOrder::Write {
            file: CardFile::Region,
            contents: region.to_vec(),
        };
        let ready = field.ready(order).unwrap();
        let mut forged = ready.apdu.clone();
        forged[6] ^= 1;
        assert_eq!(field.sw(&forged), Sw::SM_WRONG);
        assert!(!field.sw(&ready.apdu).is_ok());

        field.block_pin();
        let ready = field.obey(CardOrder::UnblockPin {
            of: PinOf::Purse,
            pin: NewPin::Drawn,
        });
        field.verify(&ready.letter.unwrap());
        let ready = field.obey(CardOrder::ReloadPin { pin: NewPin::Drawn });
        let pin = ready.letter.unwrap();
        field.verify(&pin);

        field.obey(CardOrder::BlockPurse { permanent: false });
        field.select(aid::T_UNION);
        let init = [
            0x80, 0x50, 0x01, 0x02, 0x0B, 1, 0, 0, 0, 1, 0x35, 2, 0, 0, 0, 1, 0x0F,
        ];
        assert_eq!(field.sw(&init), Sw::LOCKED);
        field.obey(CardOrder::UnblockPurse);
        assert_eq!(field.sw(&init), Sw::INSUFFICIENT, "open, and empty");
        field.obey(CardOrder::BlockPurse { permanent: true });
        let ready = field.ready(CardOrder::UnblockPurse).unwrap();
        assert!(!field.sw(&ready.apdu).is_ok(), "for ever");
        field.obey(CardOrder::BlockCard);
        field.card.power_cycle();
        assert!(!field.sw(&apdu::select(aid::T_UNION)).is_ok());
    }
}

#[test]
fn a_card_obeys_every_order_of_the_citizens_side() {
    for suite in SuiteId::ALL {
        let directory = tempfile::tempdir().unwrap();
        let hsm = create(directory.path());
        let (holder, first) = issued(&hsm, suite);
        let mut field = Field {
            hsm: &hsm,
            card: holder,
            suite,
        };
        field.select(aid::SSSE);
        // Reading wants the proof of key 0A, which a reader without a SAM gets from the HSM.
        ask(&mut field.card, &[0x00, 0xA4, 0x02, 0x00, 0x02, 0xEF, 0x05]);
        let read = [0x00, 0xB2, 0x01, 0x04, 0x00];
        assert_eq!(field.sw(&read), Sw::SECURITY);
        // In one call with the check that the card is one.
        let sent = [0x5A; 8];
        let internal = ssse::internal_authenticate(ssse_kid::INTERNAL, sent);
        let mut request = MutualRequest {
            version: 1,
            sent,
            cryptogram: ask(&mut field.card, &internal).try_into().unwrap(),
            reader: AuthenticateRequest {
                card: card(),
                header: header(KeyType::Rk, ssse_kid::READ_V3, suite),
                challenge: field.challenge(),
            },
        };
        request.cryptogram[7] ^= 1;
        assert_eq!(hsm.authenticate_mutually(&request).unwrap_err().code(), 3);
        request.cryptogram[7] ^= 1;
        let command = hsm.authenticate_mutually(&request).unwrap();
        ask(&mut field.card, &command);
        assert_eq!(ask(&mut field.card, &read)[..3], [1, 16, 0x35]);

        let card_id = [&[1, 16][..], &[9; 16]].concat();
        field.write(CardFile::CardData, &card_id);
        assert_eq!(ask(&mut field.card, &read), card_id);
        let ssn = [&[8, 18][..], &[b'3'; 18]].concat();
        field.write(CardFile::HolderData, &ssn);
        ask(&mut field.card, &[0x00, 0xA4, 0x02, 0x00, 0x02, 0xEF, 0x06]);
        assert_eq!(ask(&mut field.card, &read), ssn);
        let telephone = |last| [ssse::contact::TELEPHONE, 3, b'1', b'1', last];
        field.add(CardFile::Contact, &telephone(b'0'));
        field.write(CardFile::Contact, &telephone(b'9'));
        let record = ssse::ServiceRecord {
            service: ssse::Service::Medical,
            date: "2026-11-23".parse().unwrap(),
            region: card().region,
            amount: Fen(5),
            serial: 9,
        };
        field.write(CardFile::Services, &record.to_bytes().unwrap());
        ask(&mut field.card, &[0x00, 0xA4, 0x02, 0x00, 0x02, 0xEF, 0x0D]);
        let newest = ask(&mut field.card, &[0x00, 0xB2, 0x01, 0x04, 0x00]);
        assert_eq!(newest, record.to_bytes().unwrap());
        field.write(CardFile::Fingerprint { offset: 0 }, &[0x46; 200]);
        field.write(CardFile::Photo { offset: 0 }, &[0x47; 236]);

        field.block_pin();
        let ready = field.obey(CardOrder::UnblockPin {
            of: PinOf::Social,
            pin: NewPin::Drawn,
        });
        field.verify(&ready.letter.unwrap());

        field.select(aid::HEALTH);
        let allergy = [health::emergency::BLOOD_GROUP, 2, b'A', b'-'];
        field.write(CardFile::HealthEmergency, &allergy);
        field.add(CardFile::HealthCard, &[1, 1, b'1']);
        field.add(CardFile::HealthHolder, &[health::holder::SEX, 1, b'2']);
        field.add(CardFile::HealthContact, &[16, 3, b'1', b'2', b'0']);
        field.write(CardFile::HealthVisits, &[0x20; 32]);
        let request = AuthenticateRequest {
            card: card(),
            header: header(KeyType::Rk, health::kid::EMERGENCY, suite),
            challenge: field.challenge(),
        };
        let command = hsm.authenticate_to_card(&request).unwrap();
        ask(&mut field.card, &command);
        ask(&mut field.card, &[0x00, 0xA4, 0x02, 0x00, 0x02, 0xEF, 0x0E]);
        let read = [0x00, 0xB2, health::emergency::BLOOD_GROUP, 0x00, 0x00];
        assert_eq!(ask(&mut field.card, &read), allergy);

        field.select(aid::PKI_CERTIFICATES);
        ask(&mut field.card, &apdu::verify(0, &first));
        ask(&mut field.card, &pki::generate_key_pair());
        field.write(
            CardFile::Certificate { offset: 0 },
            &[0x30, 0x82, 0x02, 0x00, 1, 2, 3],
        );
    }
}

#[test]
fn a_sam_gets_its_region_keys_in_the_field() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let mut module = blank(&hsm);
    let session = take_over(&hsm, &mut module);
    let number = "350200000001".parse().unwrap();
    let order = KeyOrder::Sam {
        sam: number,
        iin: card().pan.iin(),
        regions: vec![],
        headers: vec![header(KeyType::SamIssue, 1, SuiteId::Aes)],
    };
    let mut groups = vec![
        (Dgi::file(sam::SFI_SERIAL), SERIAL.to_vec()),
        (Dgi::file(sam::SFI_TERMINAL_NO), number.to_bytes().to_vec()),
        (Dgi::file(sam::SFI_KEY_INDEX), vec![class::TRANSIT]),
        (Dgi::SAM_CEILING, 10u32.to_be_bytes().to_vec()),
    ];
    let items = hsm.wrap_keys(session, &order).unwrap();
    groups.extend(items.into_iter().map(|i| (Dgi::SAM_KEY, i)));
    personalise(&hsm, &mut module, session, aid::T_UNION_SAM, &groups);
    hsm.scp03_close(session).unwrap();
    module.power_cycle();
    ask(&mut module, &apdu::select(aid::T_UNION_SAM));
    let mut give = |header| {
        let challenge = ask(&mut module, &apdu::get_challenge(8))
            .try_into()
            .unwrap();
        let command = hsm.sam_write_key(&SamKeyRequest {
            sam: number,
            issuing_version: 1,
            challenge,
            iin: card().pan.iin(),
            region: card().region,
            header,
        })?;
        Ok::<_, HsmError>(exchange(&mut module, &command).unwrap().sw)
    };
    for suite in SuiteId::ALL {
        let sw = give(header(KeyType::Dpk, class::TRANSIT, suite)).unwrap();
        assert!(sw.is_ok(), "{sw}");
    }
    assert!(
        give(header(KeyType::Dack, class::ONLY, SuiteId::Aes))
            .unwrap()
            .is_ok()
    );
    // Another class is the SAM's own refusal, a loading key the HSM's.
    let other = give(header(KeyType::Dpk, class::RETAIL, SuiteId::Aes)).unwrap();
    assert_eq!(other, Sw::WRONG_DATA);
    let loading = give(header(KeyType::Dlk, class::ONLY, SuiteId::Aes));
    assert_eq!(loading.unwrap_err().code(), 2);
    let own = give(header(KeyType::SamCeiling, class::ONLY, SuiteId::Aes));
    assert_eq!(own.unwrap_err().code(), 2);
}

#[test]
fn malformed_orders_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let order = |version, order| {
        hsm.card_command(&CardCommand {
            card: card(),
            suite: SuiteId::Aes,
            version,
            challenge: [1; 8],
            order,
        })
    };
    let write = |file, length| CardOrder::Write {
        file,
        contents: vec![1; length],
    };
    for refused in [
        write(CardFile::Region, 9),
        write(CardFile::Photo { offset: 0 }, 0),
        write(CardFile::Photo { offset: 0 }, 237),
        write(CardFile::Photo { offset: 0x8000 }, 1),
    ] {
        assert_eq!(
            order(1, refused.clone()).unwrap_err().code(),
            7,
            "{refused:?}"
        );
    }
    assert_eq!(order(2, CardOrder::BlockCard).unwrap_err().code(), 1);
    let line = std::fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    assert!(line.contains("block-card") && line.contains("HSM 1"));
}
