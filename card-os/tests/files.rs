//! The file engine through its applications: records and search, secure messaging in both forms,
//! photo, contact data and service log, health data, mutual authentication, RESET RETRY.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Channel, Fen, SuiteId, Sw, aid, apdu,
    health::{self, Visit, VisitKind},
    keys::{KeyType, class, ssse_kid, ssse_process_key},
    purse::sfi,
    sm::{self, Challenge8},
    ssse::{self, Profile, Service, ServiceRecord, contact},
    suite::Key,
    time::CardDate,
};
use common::{SEED, ask, put, send};
use virtual_card::{
    Interface, VirtualCard,
    sample::{self, Sample},
};

fn card(suite: SuiteId, name: &[u8]) -> VirtualCard {
    let mut card = Sample::new(suite, Profile::V3).card(SEED).unwrap();
    put(&mut card, &apdu::select(name));
    card
}

fn key(suite: SuiteId, key_type: KeyType, kid: u8) -> Key {
    sample::card_key(sample::header(key_type, kid, suite)).unwrap()
}

fn challenge(card: &mut VirtualCard) -> [u8; 8] {
    ask(card, &apdu::get_challenge(8)).try_into().unwrap()
}

/// EXTERNAL AUTHENTICATE with the key at hand.
fn authenticate(card: &mut VirtualCard, suite: SuiteId, key_type: KeyType, kid: u8) -> Sw {
    let challenge = challenge(card);
    let process = ssse_process_key(&key(suite, key_type, kid), suite, &challenge);
    let cryptogram = process.cryptogram8(suite, &[9; 8]);
    send(card, &ssse::external_authenticate(kid, cryptogram, [9; 8])).sw
}

/// `04 INS P1 P2 | data | MAC` after a fresh challenge; enciphers the data when asked to.
fn secured(
    card: &mut VirtualCard,
    suite: SuiteId,
    key: &Key,
    [ins, p1, p2]: [u8; 3],
    data: &[u8],
    encipher: bool,
) -> (apdu::Apdu, Challenge8) {
    let challenge = Challenge8(challenge(card));
    let mut body = data.to_vec();
    if encipher {
        body = sm::plaintext::<255>(suite, data).unwrap().to_vec();
        sm::encrypt(suite, key, challenge, &mut body);
    }
    let header = [0x04, ins, p1, p2, body.len() as u8 + 4];
    let mac = sm::mac(suite, key, challenge, header, &body);
    body.extend(mac);
    (apdu::build(0x04, ins, p1, p2, &body, Some(256)), challenge)
}

/// A read under secure messaging, its answer checked and deciphered.
fn secured_read(
    card: &mut VirtualCard,
    suite: SuiteId,
    key: &Key,
    command: [u8; 3],
    enciphered: bool,
) -> Vec<u8> {
    let (apdu, challenge) = secured(card, suite, key, command, &[], false);
    let answer = ask(card, &apdu);
    let (body, mac) = answer.split_last_chunk::<4>().unwrap();
    let [ins, p1, p2] = command;
    let header = [0x04, ins, p1, p2, answer.len() as u8];
    assert_eq!(*mac, sm::mac(suite, key, challenge, header, body));
    if !enciphered {
        return body.to_vec();
    }
    let mut plain = body.to_vec();
    sm::decrypt(suite, key, challenge, &mut plain);
    sm::from_plaintext(&plain).unwrap().to_vec()
}

#[test]
fn a_photo_of_20_kib_is_personalised_and_read_whole() {
    let mut card = Sample::new(SuiteId::Aes, Profile::V3)
        .full_card(SEED)
        .unwrap();
    put(&mut card, &apdu::select(aid::SSSE));
    let sw = authenticate(&mut card, SuiteId::Aes, KeyType::Rk, ssse_kid::READ_V3);
    assert_eq!(sw, Sw::OK);
    put(&mut card, &apdu::select_ef(ssse::fid::EF08));
    let mut photo = Vec::new();
    while photo.len() < 20 * 1024 {
        let [high, low] = (photo.len() as u16).to_be_bytes();
        photo.extend(ask(&mut card, &[0x00, 0xB0, high, low, 0x00]));
    }
    assert_eq!(photo, sample::big_photo());
    assert_eq!(
        send(&mut card, &[0x00, 0xB0, 0x50, 0x00, 0x00]).sw,
        Sw::OFFSET
    );
    // No byte more fits.
    let sw = authenticate(&mut card, SuiteId::Aes, KeyType::Uk, ssse_kid::WRITE_BASIC);
    assert_eq!(sw, Sw::OK);
    assert_eq!(
        send(&mut card, &[0x00, 0xD6, 0x4F, 0xFF, 2, 1, 2]).sw,
        Sw::NO_SPACE
    );
    put(&mut card, &[0x00, 0xD6, 0x4F, 0xFF, 1, 7]);
    assert_eq!(ask(&mut card, &[0x00, 0xB0, 0x4F, 0xFF, 0x00]), [7]);
}

#[test]
fn contact_data_is_appended_searched_and_changed_in_length() {
    for suite in SuiteId::ALL {
        let mut card = card(suite, aid::SSSE);
        let telephone = [contact::TELEPHONE, 4, b'1', b'2', b'3', b'4'];
        let append = apdu::append_record(0x0C, &telephone);
        assert_eq!(send(&mut card, &append).sw, Sw::SECURITY);
        // The key that writes EF05 does not write EF0C.
        authenticate(&mut card, suite, KeyType::Uk, ssse_kid::WRITE_BASIC);
        assert_eq!(send(&mut card, &append).sw, Sw::SECURITY);
        authenticate(&mut card, suite, KeyType::Uk, ssse_kid::EF0C);
        put(&mut card, &append);
        put(
            &mut card,
            &apdu::append_record(0x0C, &[contact::ADDRESS, 2, 0xB8, 0xA3]),
        );
        put(
            &mut card,
            &apdu::append_record(0x0C, &[contact::TELEPHONE, 1, b'9']),
        );
        // First, next, last and previous of one tag; no further next.
        let by_tag = |mode: u8| [0x00, 0xB2, contact::TELEPHONE, 0x0C << 3 | mode, 0x00];
        assert_eq!(ask(&mut card, &by_tag(0)), telephone);
        assert_eq!(ask(&mut card, &by_tag(2)), [contact::TELEPHONE, 1, b'9']);
        assert_eq!(send(&mut card, &by_tag(2)).sw, Sw::RECORD_NOT_FOUND);
        assert_eq!(ask(&mut card, &by_tag(1)), [contact::TELEPHONE, 1, b'9']);
        assert_eq!(ask(&mut card, &by_tag(3)), telephone);
        // The current record, by number 0.
        assert_eq!(ask(&mut card, &apdu::read_record(0x0C, 0, 256)), telephone);
        // Any tag: every record in turn.
        put(&mut card, &apdu::select_ef(ssse::fid::EF0C));
        let tags: Vec<u8> = (0..3)
            .map(|_| ask(&mut card, &[0x00, 0xB2, 0x00, 0x02, 0x00])[0])
            .collect();
        assert_eq!(
            tags,
            [contact::TELEPHONE, contact::ADDRESS, contact::TELEPHONE]
        );
        // Search, forward and backward.
        let tag = [contact::TELEPHONE];
        assert_eq!(ask(&mut card, &apdu::search_record(0x0C, 1, &tag)), [1, 3]);
        assert_eq!(ask(&mut card, &apdu::search_record(0x0C, 2, &tag)), [3]);
        let backward = apdu::build(0x00, 0xA2, 3, 0x0C << 3 | 5, &tag, Some(256));
        assert_eq!(ask(&mut card, &backward), [3, 1]);
        let nothing = send(&mut card, &apdu::search_record(0x0C, 1, b"77"));
        assert_eq!((nothing.sw, nothing.data.len()), (Sw::SEARCH_FAILED, 0));
        assert_eq!(
            send(&mut card, &apdu::search_record(0x0C, 9, &tag)).sw,
            Sw::RECORD_NOT_FOUND
        );
        // Another length, the same tag.
        put(
            &mut card,
            &apdu::build(
                0x00,
                0xDC,
                1,
                0x0C << 3 | 4,
                &[contact::TELEPHONE, 1, b'7'],
                None,
            ),
        );
        assert_eq!(
            ask(&mut card, &apdu::read_record(0x0C, 1, 256)),
            [contact::TELEPHONE, 1, b'7']
        );
        for (wrong, sw) in [
            (&[contact::ADDRESS, 1, b'7'][..], Sw::WRONG_DATA),
            (&[contact::TELEPHONE, 2, b'7'][..], Sw::WRONG_DATA),
            (&[][..], Sw::WRONG_DATA),
        ] {
            let update = apdu::build(0x00, 0xDC, 1, 0x0C << 3 | 4, wrong, None);
            assert_eq!(send(&mut card, &update).sw, sw, "{wrong:02X?}");
        }
        let long = [&[contact::ADDRESS, 61][..], &[1; 61]].concat();
        assert_eq!(
            send(&mut card, &apdu::append_record(0x0C, &long)).sw,
            Sw::NO_SPACE
        );
        // Six records, no more; EF05 takes none at all.
        for _ in 3..6 {
            put(&mut card, &append);
        }
        assert_eq!(send(&mut card, &append).sw, Sw::NO_SPACE);
        authenticate(&mut card, suite, KeyType::Uk, ssse_kid::WRITE_BASIC);
        assert_eq!(
            send(&mut card, &apdu::append_record(5, &telephone)).sw,
            Sw::NO_SPACE
        );
        assert_eq!(
            send(&mut card, &apdu::append_record(8, &telephone)).sw,
            Sw::INCOMPATIBLE
        );
    }
}

#[test]
fn the_service_log_keeps_the_last_ten() {
    let suite = SuiteId::Sm4;
    let mut card = card(suite, aid::SSSE);
    let record = |serial| {
        ServiceRecord {
            service: Service::Unemployment,
            date: CardDate::new(2026, 3, 16).unwrap(),
            region: sample::REGION.parse().unwrap(),
            amount: Fen::yuan(300),
            serial,
        }
        .to_bytes()
        .unwrap()
    };
    assert_eq!(
        send(&mut card, &apdu::append_record(0x0D, &record(1))).sw,
        Sw::SECURITY
    );
    authenticate(&mut card, suite, KeyType::Uk, ssse_kid::EF0D);
    for serial in 1..=11 {
        put(&mut card, &apdu::append_record(0x0D, &record(serial)));
    }
    // UPDATE RECORD "previous" is the same as APPEND on a cyclic file; any other form is refused.
    put(
        &mut card,
        &apdu::build(0x00, 0xDC, 0, 0x0D << 3 | 3, &record(12), None),
    );
    let by_number = apdu::build(0x00, 0xDC, 1, 0x0D << 3 | 4, &record(13), None);
    assert_eq!(send(&mut card, &by_number).sw, Sw::INCOMPATIBLE);
    assert_eq!(
        send(&mut card, &apdu::append_record(0x0D, &record(9)[..15])).sw,
        Sw::WRONG_LENGTH
    );
    // Writing is not reading.
    let newest = apdu::read_record(0x0D, 1, 256);
    assert_eq!(send(&mut card, &newest).sw, Sw::SECURITY);
    authenticate(&mut card, suite, KeyType::Rk, ssse_kid::READ_V3);
    assert_eq!(ask(&mut card, &newest), record(12));
    assert_eq!(ask(&mut card, &apdu::read_record(0x0D, 10, 256)), record(3));
    assert_eq!(
        send(&mut card, &apdu::read_record(0x0D, 11, 256)).sw,
        Sw::RECORD_NOT_FOUND
    );
}

#[test]
fn secure_messaging_reads_and_writes_with_mac_and_with_encryption() {
    for suite in SuiteId::ALL {
        let mut card = card(suite, aid::SSSE);
        let (rk, uk) = (
            key(suite, KeyType::Rk, ssse_kid::READ_V3),
            key(suite, KeyType::Uk, ssse_kid::WRITE_BASIC),
        );
        // EF05: MAC only. No authentication went before: the MAC is the proof.
        let expires = secured_read(&mut card, suite, &rk, [0xB2, 6, 5 << 3 | 4], false);
        assert_eq!(expires, [6, 4, 0x20, 0x35, 0x12, 0x31]);
        let new = [6, 4, 0x20, 0x40, 0x12, 0x31];
        let (write, _) = secured(&mut card, suite, &uk, [0xDC, 6, 5 << 3 | 4], &new, false);
        put(&mut card, &write);
        assert_eq!(send(&mut card, &write).sw, Sw::NO_CHALLENGE, "a replay");
        assert_eq!(
            secured_read(&mut card, suite, &rk, [0xB2, 6, 5 << 3 | 4], false),
            new
        );
        // EF06: enciphered both ways.
        let read = [0xB2, 2, 6 << 3 | 4];
        let name = secured_read(&mut card, suite, &rk, read, true);
        assert_eq!(name[2..6], sample::NAME_GB18030);
        let mut new = name.clone();
        new[6..10].copy_from_slice(&[0xD2, 0xBB, 0xBA, 0xC5]);
        let (write, challenge) = secured(&mut card, suite, &uk, [0xDC, 2, 6 << 3 | 4], &new, true);
        assert!(!write.windows(4).any(|w| w == sample::NAME_GB18030));
        let _ = challenge;
        put(&mut card, &write);
        assert_eq!(secured_read(&mut card, suite, &rk, read, true), new);
        // The photo in pieces of 238.
        let photo = secured_read(&mut card, suite, &rk, [0xB0, 0x88, 0], true);
        assert_eq!(photo, sample::PHOTO);
        // Plaintext where ciphertext is due, and the wrong key: nothing changes.
        let (clear, _) = secured(&mut card, suite, &uk, [0xDC, 2, 6 << 3 | 4], &name, false);
        assert!(!send(&mut card, &clear).sw.is_ok());
        let (forged, _) = secured(&mut card, suite, &rk, [0xDC, 2, 6 << 3 | 4], &name, true);
        assert_eq!(send(&mut card, &forged).sw, Sw::SM_WRONG);
        assert_eq!(secured_read(&mut card, suite, &rk, read, true), new);
        // Every bit of a command is covered.
        for bit in [8, 13, 40, 300] {
            let (mut command, _) =
                secured(&mut card, suite, &uk, [0xDC, 2, 6 << 3 | 4], &name, true);
            command[bit / 8] ^= 1 << (bit % 8);
            assert!(!send(&mut card, &command).sw.is_ok());
            secured_read(&mut card, suite, &rk, read, true);
        }
        assert_eq!(secured_read(&mut card, suite, &rk, read, true), new);
        // Three wrong MACs in a row stop it.
        for _ in 0..3 {
            let (mut command, _) =
                secured(&mut card, suite, &uk, [0xDC, 2, 6 << 3 | 4], &name, true);
            *command.last_mut().unwrap() = 0;
            let mac = command.len() - 2;
            command[mac] ^= 1;
            assert_eq!(send(&mut card, &command).sw, Sw::SM_WRONG);
        }
        let (command, _) = secured(&mut card, suite, &uk, [0xDC, 2, 6 << 3 | 4], &name, true);
        assert_eq!(send(&mut card, &command).sw, Sw::AUTH_BLOCKED);
    }
}

#[test]
fn the_purse_keeps_its_holder_from_strangers() {
    for suite in SuiteId::ALL {
        let mut card = card(suite, aid::T_UNION);
        let damk = key(suite, KeyType::Damk, class::ONLY);
        let holder = ask(&mut card, &apdu::read_binary(sfi::HOLDER, 0, 256));
        assert_eq!(
            secured_read(&mut card, suite, &damk, [0xB0, 0x96, 0], true),
            holder
        );
        let (write, _) = secured(
            &mut card,
            suite,
            &damk,
            [0xD6, 0x96, 2],
            &[0xD2, 0xBB],
            true,
        );
        put(&mut card, &write);
        let changed = ask(&mut card, &apdu::read_binary(sfi::HOLDER, 0, 256));
        assert_eq!(changed[2..4], [0xD2, 0xBB]);
        assert_eq!(changed[4..], holder[4..]);
        // In clear nothing of the purse is written, and its log not even with the key.
        assert_eq!(
            send(&mut card, &[0x00, 0xD6, 0x96, 2, 1, 0]).sw,
            Sw::SECURITY
        );
        assert_eq!(
            send(&mut card, &apdu::append_record(sfi::LOG, &[0; 23])).sw,
            Sw::SECURITY
        );
        let (append, _) = secured(
            &mut card,
            suite,
            &damk,
            [0xE2, 0, sfi::LOG << 3],
            &[0; 23],
            false,
        );
        assert_eq!(send(&mut card, &append).sw, Sw::SECURITY);
        // Over the air the file is closed; files 15 and 17 are what a gate needs.
        card.set_interface(Interface::Contactless);
        put(&mut card, &apdu::select(aid::T_UNION));
        assert_eq!(
            send(&mut card, &apdu::read_binary(sfi::HOLDER, 0, 256)).sw,
            Sw::SECURITY
        );
        put(&mut card, &apdu::read_binary(sfi::REGION, 0, 256));
    }
}

#[test]
fn purse_files_are_selected_by_identifier_too() {
    let mut card = card(SuiteId::Aes, aid::T_UNION);
    let fcp = ask(&mut card, &[0x00, 0xA4, 0x00, 0x04, 0x02, 0x00, sfi::LOG]);
    // Cyclic, 23 bytes, ten records; identifier, size, SFI, activated.
    let mut expected = vec![
        0x62,
        21,
        0x82,
        5,
        0x06,
        0x21,
        0,
        23,
        10,
        0x83,
        2,
        0,
        sfi::LOG,
    ];
    expected.extend([0x80, 2, 0, 230, 0x88, 1, sfi::LOG << 3, 0x8A, 1, 5]);
    assert_eq!(fcp, expected);
    let newest = ask(&mut card, &[0x00, 0xB2, 0x01, 0x04, 0x00]);
    assert_eq!(newest, ask(&mut card, &apdu::read_record(sfi::LOG, 1, 256)));
    assert_eq!(
        send(&mut card, &[0x00, 0xB0, 0x00, 0x00, 0x00]).sw,
        Sw::INCOMPATIBLE
    );
}

#[test]
fn mutual_authentication_answers_the_terminal() {
    for suite in SuiteId::ALL {
        let mut card = card(suite, aid::SSSE);
        let rk = key(suite, KeyType::Rk, ssse_kid::READ_V3);
        let (challenge, terminal) = (challenge(&mut card), [0x55; 8]);
        let cryptogram = ssse_process_key(&rk, suite, &challenge).cryptogram8(suite, &terminal);
        let answer = ask(
            &mut card,
            &ssse::mutual_authenticate(ssse_kid::READ_V3, cryptogram, terminal),
        );
        let expected = ssse_process_key(&rk, suite, &terminal).cryptogram8(suite, &challenge);
        assert_eq!(answer, expected);
        // A wrong cryptogram is answered by nothing.
        let reply = send(
            &mut card,
            &ssse::mutual_authenticate(ssse_kid::READ_V3, cryptogram, terminal),
        );
        assert_eq!((reply.sw, reply.data.len()), (Sw::NO_CHALLENGE, 0));
        put(&mut card, &apdu::get_challenge(8));
        let reply = send(
            &mut card,
            &ssse::mutual_authenticate(ssse_kid::READ_V3, cryptogram, terminal),
        );
        assert_eq!((reply.sw, reply.data.len()), (Sw::SECURITY, 0));
    }
}

#[test]
fn whoever_proved_the_puk_resets_the_pin_once() {
    for suite in SuiteId::ALL {
        let mut card = card(suite, aid::SSSE);
        for _ in 0..3 {
            send(&mut card, &apdu::verify(0, &[0x99, 0x99, 0x99]));
        }
        assert_eq!(
            send(&mut card, &apdu::verify(0, &sample::PIN_BYTES)).sw,
            Sw::AUTH_BLOCKED
        );
        let restore = [0x00, 0x2C, 0x03, 0x00];
        assert_eq!(send(&mut card, &restore).sw, Sw::SECURITY);
        authenticate(&mut card, suite, KeyType::Rk, ssse_kid::READ_V3);
        assert_eq!(send(&mut card, &restore).sw, Sw::SECURITY);
        authenticate(&mut card, suite, KeyType::Puk, ssse_kid::PIN_UNBLOCK);
        put(&mut card, &restore);
        assert_eq!(
            send(&mut card, &restore).sw,
            Sw::SECURITY,
            "one proof, one reset"
        );
        put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
        authenticate(&mut card, suite, KeyType::Puk, ssse_kid::PIN_UNBLOCK);
        put(&mut card, &[0x00, 0x2C, 0x02, 0x00, 3, 0x65, 0x43, 0x21]);
        assert_eq!(
            send(&mut card, &apdu::verify(0, &sample::PIN_BYTES)).sw,
            Sw::tries_left(2)
        );
        put(&mut card, &apdu::verify(0, &[0x65, 0x43, 0x21]));
        assert_eq!(
            send(&mut card, &[0x00, 0x2C, 0x00, 0x00]).sw,
            Sw::WRONG_P1P2
        );
        // Over the air not at all.
        card.set_interface(Interface::Contactless);
        put(&mut card, &apdu::select(aid::SSSE));
        authenticate(&mut card, suite, KeyType::Puk, ssse_kid::PIN_UNBLOCK);
        assert_eq!(send(&mut card, &restore).sw, Sw::CONDITIONS);
    }
}

#[test]
fn health_data_open_to_whom_they_must() {
    for suite in SuiteId::ALL {
        let mut card = card(suite, aid::HEALTH);
        let blood = [0x00, 0xB2, health::emergency::BLOOD_GROUP, 0x0E << 3, 0x00];
        let name = [0x00, 0xB2, health::holder::NAME, 6 << 3, 0x00];
        put(&mut card, &[0x00, 0xB2, 57, 5 << 3, 0x00]);
        assert_eq!(send(&mut card, &blood).sw, Sw::SECURITY);
        // An ambulance reads the emergency set, every allergy of it, and nothing else.
        authenticate(&mut card, suite, KeyType::Rk, health::kid::EMERGENCY);
        let group = ask(&mut card, &blood);
        assert_eq!(group, [0x41, 2, health::BloodGroup::Ab as u8, b'+']);
        let allergy = |mode: u8| {
            [
                0x00,
                0xB2,
                health::emergency::ALLERGY,
                0x0E << 3 | mode,
                0x00,
            ]
        };
        assert_ne!(ask(&mut card, &allergy(0)), ask(&mut card, &allergy(2)));
        assert_eq!(send(&mut card, &allergy(2)).sw, Sw::RECORD_NOT_FOUND);
        assert_eq!(send(&mut card, &name).sw, Sw::SECURITY);
        let visit = |minute| Visit {
            time: sample::sample_time(minute).unwrap(),
            institution: [0x35, 0x01, 0x00, 0x00, 0x12, 0x34],
            department: [0x03, 0x01],
            kind: VisitKind::OutPatient,
            diagnosis: *b"J45.900\0\0\0",
        };
        let append = |minute| apdu::append_record(0x12, &visit(minute).to_bytes());
        assert_eq!(send(&mut card, &append(0)).sw, Sw::SECURITY);
        // A hospital reads all of it and writes the visit.
        authenticate(&mut card, suite, KeyType::Rk, health::kid::READ);
        assert_eq!(ask(&mut card, &name)[2..], sample::NAME_GB18030);
        assert_eq!(send(&mut card, &append(0)).sw, Sw::SECURITY);
        authenticate(&mut card, suite, KeyType::Uk, health::kid::WRITE);
        for minute in 0..14 {
            put(&mut card, &append(minute));
        }
        let newest: [u8; Visit::LEN] = ask(&mut card, &apdu::read_record(0x12, 1, 256))
            .try_into()
            .unwrap();
        assert_eq!(Visit::from_bytes(&newest), Ok(visit(13)));
        assert_eq!(
            send(&mut card, &apdu::read_record(0x12, 13, 256)).sw,
            Sw::RECORD_NOT_FOUND
        );
        // No PIN here, and the keys of the social-security side open nothing.
        assert_eq!(
            send(&mut card, &apdu::verify(0, &sample::PIN_BYTES)).sw,
            Sw::INS
        );
        put(&mut card, &apdu::select(aid::HEALTH));
        put(&mut card, &apdu::get_challenge(8));
        let foreign = ssse::external_authenticate(ssse_kid::READ_V3, [0; 8], [9; 8]);
        assert_eq!(send(&mut card, &foreign).sw, Sw::KEY_NOT_FOUND);
        // Over the air nothing before a proof, not even the card data.
        card.set_interface(Interface::Contactless);
        put(&mut card, &apdu::select(aid::HEALTH));
        assert_eq!(
            send(&mut card, &[0x00, 0xB2, 57, 5 << 3, 0x00]).sw,
            Sw::SECURITY
        );
        authenticate(&mut card, suite, KeyType::Rk, health::kid::EMERGENCY);
        put(&mut card, &blood);
    }
}

#[test]
fn dfs_by_identifier() {
    let mut card = card(SuiteId::Aes, aid::SSSE);
    put(&mut card, &[0x00, 0xA4, 0x00, 0x0C, 0x02, 0xDF, 0x04]);
    let reply = send(&mut card, &[0xB0, 0x26, 0x00, 0x01, 0x04]);
    assert_eq!(reply.sw, Sw::OK, "DF04 carries the medical purse");
    put(&mut card, &[0x00, 0xA4, 0x03, 0x0C]);
    put(&mut card, &[0x00, 0xA4, 0x02, 0x0C, 0x02, 0xEF, 0x05]);
    assert_eq!(
        send(&mut card, &[0x00, 0xA4, 0x00, 0x0C, 0x02, 0xDF, 0x06]).sw,
        Sw::NOT_FOUND
    );
    let mut buffer = [0; 258];
    assert!(
        card.transmit(
            &[0x00, 0xA4, 0x09, 0x0C, 0x04, 0xDF, 0x01, 0xEF, 0x05],
            &mut buffer
        )
        .is_ok()
    );
    assert_eq!(buffer[..2], Sw::NOT_FOUND.to_bytes());
}
