//! The social-security application and its SAM.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Channel, SuiteId, Sw, aid, apdu,
    id::RegionCode,
    keys::{KeyType, ssse_f2, ssse_kid, ssse_process_key},
    sam,
    ssse::{self, Profile, fid, tag},
};
use common::{SEED, ask, put, send};
use virtual_card::{
    Interface, VirtualCard,
    sample::{self, Sample, SampleSam},
};

fn card(suite: SuiteId, profile: Profile) -> VirtualCard {
    let mut card = Sample::new(suite, profile).card(SEED).unwrap();
    put(&mut card, &apdu::select(aid::SSSE));
    card
}

fn social_sam(suite: SuiteId) -> VirtualCard {
    common::sam_of(SampleSam::Social, suite)
}

fn region() -> RegionCode {
    sample::REGION.parse().unwrap()
}

/// EXTERNAL AUTHENTICATE with the SAM, as readers in the field do it.
fn authenticate_by_sam(card: &mut VirtualCard, sam: &mut VirtualCard, kid: u8) -> Sw {
    let challenge: [u8; 8] = ask(card, &apdu::get_challenge(8)).try_into().unwrap();
    let f1 = ssse::f1_from_atr(card.atr()).unwrap();
    let terminal = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
    put(
        sam,
        &sam::ssse_deliver(kid, f1, ssse_f2(region()), challenge, None),
    );
    // 80FA without Le answers 6108; the answer is fetched.
    let mut buffer = [0; 258];
    let n = sam.transmit(&sam::encrypt(terminal), &mut buffer).unwrap();
    assert_eq!(buffer[..n], [0x61, 0x08]);
    let cryptogram = ask(sam, &apdu::get_response(8)).try_into().unwrap();
    send(
        card,
        &ssse::external_authenticate(kid, cryptogram, terminal),
    )
    .sw
}

/// EXTERNAL AUTHENTICATE with the key at hand, as the HSM does for writing.
fn authenticate_by_key(card: &mut VirtualCard, suite: SuiteId, key_type: KeyType, kid: u8) -> Sw {
    let challenge: [u8; 8] = ask(card, &apdu::get_challenge(8)).try_into().unwrap();
    let key = sample::card_key(sample::header(key_type, kid, suite)).unwrap();
    let cryptogram = ssse_process_key(&key, suite, &challenge).cryptogram8(suite, &[9; 8]);
    send(card, &ssse::external_authenticate(kid, cryptogram, [9; 8])).sw
}

#[test]
fn records_by_number_and_by_tag() {
    for profile in [Profile::V1, Profile::V2] {
        let mut card = card(SuiteId::Aes, profile);
        put(&mut card, &apdu::select_ef(fid::EF05));
        for (number, record) in (1u8..).zip(ssse::EF05_RECORDS) {
            let by_number = ask(&mut card, &ssse::read_by_number(5, number, record));
            let by_tag = ask(&mut card, &ssse::read_by_tag(record));
            assert_eq!(by_number, by_tag);
            assert_eq!(
                ssse::record_value(&by_tag, record.0).unwrap().len(),
                record.1
            );
        }
        put(&mut card, &apdu::select_ef(fid::EF06));
        for (number, record) in (1u8..).zip(profile.ef06()) {
            let by_number = ask(&mut card, &ssse::read_by_number(6, number, *record));
            assert_eq!(by_number[0], record.0, "order of EF06 in {profile:?}");
        }
        // V1 has no name extension; V2 has it as record 3.
        let extension = send(&mut card, &ssse::read_by_tag(tag::NAME_EXT));
        assert_eq!(extension.sw.is_ok(), profile == Profile::V2);
        // By tag with the SFI, without a selected file.
        card.power_cycle();
        put(&mut card, &apdu::select(aid::SSSE));
        let version = ask(&mut card, &[0x00, 0xB2, 0x03, 5 << 3, 6]);
        assert_eq!(
            ssse::record_value(&version, 3).unwrap(),
            profile.version_text()
        );
        // Le too short names the right length; the next attempt gets it.
        let mut buffer = [0; 258];
        let n = card
            .transmit(&[0x00, 0xB2, 0x03, 5 << 3, 1], &mut buffer)
            .unwrap();
        assert_eq!(buffer[..n], [0x6C, 6]);
        assert_eq!(
            send(&mut card, &[0x00, 0xB2, 0x42, 5 << 3, 6]).sw,
            Sw::RECORD_NOT_FOUND
        );
        assert_eq!(
            send(&mut card, &apdu::read_record(5, 8, 9)).sw,
            Sw::RECORD_NOT_FOUND
        );
    }
}

#[test]
fn v3_opens_its_files_to_a_sam_only() {
    for suite in SuiteId::ALL {
        let mut card = card(suite, Profile::V3);
        let mut sam = social_sam(suite);
        put(&mut card, &apdu::select_ef(fid::EF05));
        let read = ssse::read_by_tag(tag::CARD_NO);
        assert_eq!(send(&mut card, &read).sw, Sw::SECURITY);
        assert_eq!(
            authenticate_by_sam(&mut card, &mut sam, ssse_kid::READ_V3),
            Sw::OK
        );
        ask(&mut card, &read);
        // The photo too, in pieces.
        put(&mut card, &apdu::select_ef(fid::EF08));
        let mut photo = ask(&mut card, &[0x00, 0xB0, 0x00, 0x00, 40]);
        photo.extend(ask(&mut card, &[0x00, 0xB0, 0x00, 40, 0x00]));
        assert_eq!(photo, sample::PHOTO);
        assert_eq!(
            send(&mut card, &[0x00, 0xB0, 0x00, 43, 0x00]).sw,
            Sw::OFFSET
        );
        // Reading is not writing.
        let write = ssse::update_by_tag(5, tag::EXPIRES.0, &[0x20, 0x40, 0x12, 0x31]).unwrap();
        assert_eq!(send(&mut card, &write).sw, Sw::SECURITY);
        // The proof does not survive power.
        card.power_cycle();
        put(&mut card, &apdu::select(aid::SSSE));
        put(&mut card, &apdu::select_ef(fid::EF05));
        assert_eq!(send(&mut card, &read).sw, Sw::SECURITY);
    }
}

#[test]
fn writing_needs_the_update_key_and_keeps_the_record_form() {
    for suite in SuiteId::ALL {
        let mut card = card(suite, Profile::V2);
        put(&mut card, &apdu::select_ef(fid::EF05));
        let write = ssse::update_by_tag(5, tag::EXPIRES.0, &[0x20, 0x40, 0x12, 0x31]).unwrap();
        assert_eq!(send(&mut card, &write).sw, Sw::SECURITY);
        let kid = ssse_kid::WRITE_BASIC;
        assert_eq!(
            authenticate_by_key(&mut card, suite, KeyType::Uk, kid),
            Sw::OK
        );
        put(&mut card, &write);
        let expires = ask(&mut card, &ssse::read_by_tag(tag::EXPIRES));
        assert_eq!(expires, [0x06, 4, 0x20, 0x40, 0x12, 0x31]);
        let short = ssse::update_by_tag(5, tag::EXPIRES.0, &[0x20, 0x40]).unwrap();
        assert_eq!(send(&mut card, &short).sw, Sw::WRONG_LENGTH);
    }
}

/// The SAM cannot write: it holds no update key, and personalisation refuses to give it one.
#[test]
fn a_sam_holds_no_update_key() {
    let mut card = card(SuiteId::Aes, Profile::V2);
    let mut sam = social_sam(SuiteId::Aes);
    let challenge: [u8; 8] = ask(&mut card, &apdu::get_challenge(8)).try_into().unwrap();
    let f1 = ssse::f1_from_atr(card.atr()).unwrap();
    let deliver = sam::ssse_deliver(
        ssse_kid::WRITE_BASIC,
        f1,
        ssse_f2(region()),
        challenge,
        None,
    );
    assert_eq!(send(&mut sam, &deliver).sw, Sw::KEY_INDEX);

    let mut host = common::issuer(&mut sam);
    for key_type in [
        KeyType::Uk,
        KeyType::Puk,
        KeyType::Dlk,
        KeyType::Dtk,
        KeyType::Damk,
    ] {
        let header = sample::header(key_type, 1, SuiteId::Aes);
        let key = card_spec::suite::Key::new([1; 16]);
        let groups = [host.sam_key_group([0x35, 0x01, 0x00], header, &key)];
        assert!(
            host.personalise(&mut sam, aid::SSSE_SAM, &groups).is_err(),
            "{key_type:?}"
        );
    }
}

#[test]
fn authentication_uses_each_challenge_once() {
    let mut card = card(SuiteId::Aes, Profile::V3);
    let kid = ssse_kid::READ_V3;
    let wrong = ssse::external_authenticate(kid, [0; 8], [0; 8]);
    assert_eq!(send(&mut card, &wrong).sw, Sw::NO_CHALLENGE);
    ask(&mut card, &apdu::get_challenge(8));
    assert_eq!(send(&mut card, &wrong).sw, Sw::SECURITY);
    assert_eq!(send(&mut card, &wrong).sw, Sw::NO_CHALLENGE);
    // A four-byte challenge is not enough, and another key's cryptogram is another's.
    ask(&mut card, &apdu::get_challenge(4));
    assert_eq!(send(&mut card, &wrong).sw, Sw::NO_CHALLENGE);
    let unknown = ssse::external_authenticate(0x55, [0; 8], [0; 8]);
    ask(&mut card, &apdu::get_challenge(8));
    assert_eq!(send(&mut card, &unknown).sw, Sw::KEY_NOT_FOUND);
    for _ in 0..14 {
        ask(&mut card, &apdu::get_challenge(8));
        assert_eq!(send(&mut card, &wrong).sw, Sw::SECURITY);
    }
    ask(&mut card, &apdu::get_challenge(8));
    assert_eq!(send(&mut card, &wrong).sw, Sw::AUTH_BLOCKED);
}

#[test]
fn the_card_proves_itself_to_the_terminal() {
    for suite in SuiteId::ALL {
        let mut card = card(suite, Profile::V3);
        let mut sam = social_sam(suite);
        let challenge = [0x42; 8];
        let kid = ssse_kid::INTERNAL;
        let answer = ask(&mut card, &ssse::internal_authenticate(kid, challenge));
        // The SAM computes what the card of this ATR and region must answer.
        let f1 = ssse::f1_from_atr(card.atr()).unwrap();
        put(
            &mut sam,
            &sam::ssse_deliver(kid, f1, ssse_f2(region()), challenge, None),
        );
        assert_eq!(ask(&mut sam, &sam::encrypt(challenge)), answer);
        // One delivered key, one cryptogram.
        assert_eq!(send(&mut sam, &sam::encrypt(challenge)).sw, Sw::CONDITIONS);
        let other = ask(&mut card, &ssse::internal_authenticate(kid, [0x43; 8]));
        assert_ne!(other, answer);
    }
}

#[test]
fn pin_of_the_social_security_side() {
    for suite in SuiteId::ALL {
        let mut card = card(suite, Profile::V2);
        for left in [2, 1] {
            assert_eq!(
                send(&mut card, &apdu::verify(0, &[0x88; 3])).sw,
                Sw::tries_left(left)
            );
        }
        assert_eq!(
            send(&mut card, &apdu::verify(0, &[0x88; 3])).sw,
            Sw::AUTH_BLOCKED
        );
        let header = sample::header(KeyType::Puk, ssse_kid::PIN_UNBLOCK, suite);
        let puk = sample::card_key(header).unwrap();
        let unblock = common::pin_unblock(&mut card, suite, &puk, &[0x65, 0x43, 0x21]);
        put(&mut card, &unblock);
        put(&mut card, &apdu::verify(0, &[0x65, 0x43, 0x21]));
        // The purse's PIN is another's: it was never blocked.
        put(&mut card, &apdu::select(aid::T_UNION));
        put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    }
}

#[test]
fn nothing_over_the_air_before_authentication() {
    let mut card = Sample::new(SuiteId::Aes, Profile::V2).card(SEED).unwrap();
    let mut sam = social_sam(SuiteId::Aes);
    card.set_interface(Interface::Contactless);
    put(&mut card, &apdu::select(aid::SSSE));
    put(&mut card, &apdu::select_ef(fid::EF06));
    let read = ssse::read_by_tag(tag::SSN);
    assert_eq!(send(&mut card, &read).sw, Sw::SECURITY);
    assert_eq!(
        send(&mut card, &apdu::verify(0, &sample::PIN_BYTES)).sw,
        Sw::SECURITY
    );
    put(&mut card, &apdu::select(aid::SSSE_MEDICAL));
    let balance = card_spec::medical::get_balance(card_spec::medical::Balance::Personal);
    assert_eq!(send(&mut card, &balance).sw, Sw::SECURITY);
    assert_eq!(
        authenticate_by_sam(&mut card, &mut sam, ssse_kid::READ_V3),
        Sw::OK
    );
    ask(&mut card, &balance);
    put(&mut card, &apdu::select(aid::SSSE));
    put(&mut card, &apdu::select_ef(fid::EF06));
    ask(&mut card, &read);
    // The transit purse works over the air as ever.
    put(&mut card, &apdu::select(aid::T_UNION));
    assert_eq!(
        virtual_card::host::balance(&mut card).unwrap(),
        sample::PURSE_BALANCE
    );
}

#[test]
fn every_df_is_selectable_and_only_the_root_has_the_files() {
    let mut card = card(SuiteId::Aes, Profile::V2);
    for name in [
        aid::SSSE_PUBLIC,
        aid::SSSE_EMPLOYMENT,
        aid::SSSE_INSURANCE,
        aid::SSSE_MEDICAL,
        aid::SSSE_PERSONNEL,
    ] {
        put(&mut card, &apdu::select(name));
        assert_eq!(
            send(&mut card, &apdu::select_ef(fid::EF05)).sw,
            Sw::NOT_FOUND
        );
        assert_eq!(
            send(&mut card, &apdu::read_record(5, 7, 11)).sw,
            Sw::NOT_FOUND
        );
    }
    let fcp = ask(&mut card, &[0x00, 0xA4, 0x00, 0x04, 0x02, 0x3F, 0x00]);
    assert_eq!(fcp[0], 0x62);
}
