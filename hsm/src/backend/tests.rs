//! One suite for every backend: published vectors, refusals, and what differs by ability.

use std::path::Path;

use card_spec::keys::KeyType;
use hex_literal::hex;

use super::*;
use crate::Zeroizing;

#[path = "../../tests/common/softhsm.rs"]
pub(crate) mod softhsm;

const STORE: StoreId = *b"conform1";

/// What differs between backends. Everything else must be the same.
struct Ability {
    sm4: bool,
    tdes: bool,
    export: bool,
    place: Place,
    /// The key of the store's file depends on the backend.
    binds: bool,
}

const SOFT: Ability = Ability {
    sm4: true,
    tdes: true,
    export: true,
    place: Place::File,
    binds: false,
};

fn token_ability() -> Ability {
    Ability {
        sm4: false,
        tdes: softhsm::has_des(),
        export: false,
        place: Place::Token(STORE),
        binds: true,
    }
}

pub(crate) fn token() -> Token {
    Token {
        module: softhsm::module(),
        label: softhsm::LABEL.to_owned(),
        pin: Zeroizing::new(softhsm::PIN.to_owned()),
    }
}

fn made(store: StoreId) -> OnToken {
    let backend = OnToken::open(token(), store).expect("token");
    assert_eq!(backend.is_empty(), Ok(true));
    backend.found().expect("founded");
    assert_eq!(backend.is_empty(), Ok(false));
    backend
}

fn header(suite: SuiteId, version: u8) -> KeyHeader {
    KeyHeader {
        key_type: KeyType::Dpk,
        index: 1,
        version,
        suite,
    }
}

fn conforms(backend: &dyn Backend, ability: &Ability) {
    assert_eq!(backend.place(), ability.place);
    assert!(backend.news().is_empty());
    vectors(backend, ability);
    refusals(backend, ability);
    life(backend);
    let (mut bound, mut again) = ([7; 32], [7; 32]);
    backend.bind(&mut bound).expect("binds");
    backend.bind(&mut again).expect("binds");
    assert_eq!(bound, again);
    assert_eq!(bound != [7; 32], ability.binds);
    many_threads(backend);
}

fn vectors(backend: &dyn Backend, ability: &Ability) {
    // AN10922, 2.2: AES-128, M of 16 bytes.
    let aes = header(SuiteId::Aes, 1);
    let key = Key::new(hex!("00112233445566778899aabbccddeeff"));
    backend.import(aes, &key).expect("imported");
    let m = hex!("04782e21801d803042f54e585020416275");
    let derived = backend
        .diversify(aes, &Factor::an10922(m))
        .expect("derives");
    assert_eq!(derived.expose(), &hex!("a8dd63a3b89d54b37ca802473fda9175"));
    // A short M is padded to two blocks: not plain CMAC, b3179e2d...
    let short = Factor::an10922(hex!("04782e21801d80"));
    let derived = backend.diversify(aes, &short).expect("derives");
    assert_eq!(derived.expose(), &hex!("4fd3364753b8142980e8203c75ad83be"));
    // GlobalPlatform's default key and its check value.
    let default = header(SuiteId::Aes, 2);
    let key = Key::new(hex!("404142434445464748494A4B4C4D4E4F"));
    backend.import(default, &key).expect("imported");
    assert_eq!(backend.check_value(default), Ok(hex!("504A77")));
    // The three kinds of one key: by PKCS#11, GlobalPlatform and payment HSMs (the key of RFC 4493).
    let kinds = header(SuiteId::Aes, 3);
    let key = Key::new(hex!("2b7e151628aed2a6abf7158809cf4f3c"));
    backend.import(kinds, &key).expect("imported");
    for (kind, value) in [
        (KcvKind::ZeroBlock, hex!("7df76b")),
        (KcvKind::GlobalPlatform, hex!("2cf6a4")),
        (KcvKind::Cmac, hex!("7ad386")),
    ] {
        assert_eq!(backend.check_value_of(kinds, kind), Ok(value), "{kind:?}");
    }

    // EMV Book 2, A1.4.1, option A, before its parity bits are set: PAN 12345678901234567, PSN 01.
    let des = header(SuiteId::Tdes, 1);
    let key = Key::new(hex!("0123456789ABCDEFFEDCBA9876543210"));
    let factor = Factor::Pboc(SuiteId::Tdes, hex!("4567890123456701"));
    if held(backend, des, &key, &factor, ability.tdes) {
        assert_eq!(backend.check_value(des), Ok(hex!("08D7B4")));
        let derived = backend.diversify(des, &factor).expect("derives");
        let odd = derived
            .expose()
            .map(|b| b & 0xFE | u8::from((b & 0xFE).count_ones() % 2 == 0));
        assert_eq!(odd, hex!("73AD54688CEF2934B0979857E3C719F1"));
    }

    // GB/T 32907-2016, example 1: the key is the block.
    let sm4 = header(SuiteId::Sm4, 1);
    let key = Key::new(hex!("0123456789abcdeffedcba9876543210"));
    let factor = Factor::Pboc(SuiteId::Sm4, hex!("0123456789abcdef"));
    if held(backend, sm4, &key, &factor, ability.sm4) {
        let derived = backend.diversify(sm4, &factor).expect("derives");
        assert_eq!(derived.expose(), &hex!("681edf34d206965e86b3e94f536e4246"));
    }
}

/// Imports a key if its suite is one that the backend has; otherwise it must be refused and not kept
/// elsewhere.
fn held(backend: &dyn Backend, header: KeyHeader, key: &Key, factor: &Factor, able: bool) -> bool {
    let supported = backend.supports(header.suite).map_err(|e| e.code());
    let imported = backend.import(header, key).map_err(|e| e.code());
    let expected = if able { Ok(()) } else { Err(31) };
    assert_eq!([supported, imported], [expected; 2], "{header:?}");
    assert_eq!(backend.diversify(header, factor).is_ok(), able);
    able
}

fn refusals(backend: &dyn Backend, ability: &Ability) {
    let aes = header(SuiteId::Aes, 1);
    let twice = backend.import(aes, &Key::new([9; 16]));
    assert_eq!(twice.map_err(|e| e.code()), Err(4));
    assert_eq!(
        backend
            .check_value(header(SuiteId::Aes, 9))
            .map_err(|e| e.code()),
        Err(1)
    );
    let absent = backend.diversify(header(SuiteId::Aes, 9), &Factor::an10922([1]));
    assert_eq!(absent.map(|_| ()).map_err(|e| e.code()), Err(1));
    match backend.export(aes) {
        Ok(key) if ability.export => {
            assert_eq!(key.expose(), &hex!("00112233445566778899aabbccddeeff"));
        }
        Err(error) if !ability.export => assert_eq!(error.code(), 31),
        _ => panic!("export is not as the table says"),
    }
}

fn life(backend: &dyn Backend) {
    let (gone, stays) = (header(SuiteId::Aes, 7), header(SuiteId::Aes, 8));
    let factor = Factor::an10922([1, 2, 3]);
    for (header, fill) in [(gone, 7), (stays, 8)] {
        backend
            .import(header, &Key::new([fill; 16]))
            .expect("imported");
        backend
            .diversify(header, &factor)
            .expect("used, so that copies exist");
    }
    backend.destroy(gone).expect("destroyed");
    backend.destroy(gone).expect("absent is as good");
    let held = backend.held().expect("listed");
    assert!(held.contains(&stays) && !held.contains(&gone), "{held:?}");
    assert_eq!(
        backend
            .diversify(gone, &factor)
            .map(|_| ())
            .map_err(|e| e.code()),
        Err(1)
    );
    assert!(backend.diversify(stays, &factor).is_ok());
    backend
        .import(gone, &Key::new([3; 16]))
        .expect("the name is free");
    let derived = backend.diversify(gone, &factor).expect("derives");
    assert_eq!(
        derived.expose(),
        Key::new([3; 16]).diversify(&factor).expose(),
        "not the old copy"
    );
}

fn many_threads(backend: &dyn Backend) {
    let (aes, key) = (header(SuiteId::Aes, 8), Key::new([8; 16]));
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let key = &key;
            scope.spawn(move || {
                for n in 0..50 {
                    let factor = Factor::an10922([thread, n]);
                    let derived = backend.diversify(aes, &factor).expect("derives");
                    assert_eq!(derived.expose(), key.diversify(&factor).expose());
                }
            });
        }
    });
}

#[test]
fn soft_conforms() {
    conforms(&Soft::default(), &SOFT);
}

#[test]
fn a_softhsm_token_conforms() {
    softhsm::with_softhsm("backend::tests::a_softhsm_token_conforms", |_| {
        conforms(&made(STORE), &token_ability());
        // Another key store on the same token has its own keys.
        let other = made(*b"conform2");
        assert!(other.check_value(header(SuiteId::Aes, 1)).is_err());
        let (mut ours, mut theirs) = ([7; 32], [7; 32]);
        OnToken::open(token(), STORE)
            .expect("token")
            .bind(&mut ours)
            .expect("binds");
        other.bind(&mut theirs).expect("binds");
        assert_ne!(ours, theirs);
        // What is discarded is the one's alone, lock key included.
        let aes = header(SuiteId::Aes, 1);
        other.import(aes, &Key::new([5; 16])).expect("imported");
        other.discard().expect("discarded");
        assert!(other.held().expect("listed").is_empty() && other.bind(&mut theirs).is_err());
        let first = OnToken::open(token(), STORE).expect("token");
        assert!(first.held().expect("listed").contains(&aes) && first.bind(&mut ours).is_ok());
        assert_eq!((other.is_empty(), first.is_empty()), (Ok(true), Ok(false)));
    });
}

#[test]
fn errors_of_a_token_say_what_to_do() {
    softhsm::with_softhsm("backend::tests::errors_of_a_token_say_what_to_do", |_| {
        let why = |token| match OnToken::open(token, STORE) {
            Err(HsmError::Backend { why, .. }) => why,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("opened"),
        };
        let mut wrong = token();
        wrong.pin = Zeroizing::new("secret-PIN-2469".to_owned());
        assert!(why(wrong).contains("PIN is wrong"));
        let mut wrong = token();
        wrong.label = "another".to_owned();
        assert!(why(wrong).contains("no token of this label"));
        let mut wrong = token();
        wrong.module = "/nowhere/module.so".into();
        assert!(why(wrong).contains("cannot be loaded"));
        assert!(OnToken::open(token(), STORE).is_ok());
    });
}

/// The token's directory is moved away and back, as if it had been pulled out.
#[test]
fn a_token_that_comes_back_works_again() {
    softhsm::with_softhsm(
        "backend::tests::a_token_that_comes_back_works_again",
        |at: &Path| {
            let (aes, factor) = (header(SuiteId::Aes, 1), Factor::an10922([1]));
            let backend = made(STORE);
            backend.import(aes, &Key::new([1; 16])).expect("imported");
            let before = backend.diversify(aes, &factor).expect("derives");
            let (tokens, away) = (at.join("tokens"), at.join("away"));
            std::fs::rename(&tokens, &away).expect("moved");
            // What a session holds a copy of goes on until the module notices.
            let lost = (0..3).map(|_| {
                locked_out(&backend);
                backend
                    .diversify(aes, &factor)
                    .map(|_| ())
                    .map_err(|e| e.code())
            });
            assert_eq!(lost.collect::<Vec<_>>(), [Err(30); 3]);
            assert!(
                matches!(backend.news()[..], [News::Lost(_)]),
                "once, not at every call"
            );
            std::fs::rename(&away, &tokens).expect("moved back");
            let after = backend.diversify(aes, &factor).expect("derives");
            assert_eq!(before.expose(), after.expose());
            assert_eq!(backend.news(), [News::Recovered]);
            assert!(backend.news().is_empty());
        },
    );
}

/// Another user of the module in this process ends it.
fn locked_out(_: &OnToken) {
    let library = cryptoki::context::Pkcs11::new(softhsm::module()).expect("loads");
    let _ = library.finalize();
}

#[test]
fn the_pin_is_in_no_debug_output() {
    let token = Token {
        module: "/m.so".into(),
        label: "l".to_owned(),
        pin: Zeroizing::new("13579".to_owned()),
    };
    assert_eq!(format!("{token:?}"), "Token(\"l\" of /m.so)");
}
