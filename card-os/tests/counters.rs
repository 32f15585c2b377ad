//! A failure is counted before anything is compared: at the first commit of a guarded command the
//! memory is the same, byte for byte, whether the PIN, MAC or cryptogram is right or wrong. So
//! nobody who cuts the power learns or wins anything, and the comparison cannot be skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Apdu, Channel, Fen, SuiteId, Sw, aid, apdu, health,
    keys::{KeyType, class, ssse_kid, ssse_process_key},
    medical::{self, Split, Visit},
    perso::{self, InitializeUpdateAnswer},
    purse::{
        self, LoadInit, TxType,
        mac::{Context, Load, Purchase},
        overdraft::{self, OverdraftInit, OverdraftUpdate},
    },
    sam,
    scp03::Handshake,
    sm, ssse,
    suite::Key,
};
use common::{Tap, apps::App, ask, maintenance, pin_unblock, put, sam_no, send, time};
use virtual_card::{Cut, PowerCut, VirtualCard, sample};

/// A command with a secret's proof in it, ready to be sent, and where in it the proof is.
type Ready = (Vec<u8>, usize);

/// A guarded command.
struct Guarded {
    name: &'static str,
    app: App,
    ready: fn(&mut VirtualCard) -> Ready,
    /// What a wrong proof gets the first time.
    wrong: Sw,
}

fn key(key_type: KeyType, index: u8) -> Key {
    sample::card_key(sample::header(key_type, index, SuiteId::Aes)).unwrap()
}

/// The proof is at the end.
fn at_the_end(command: &[u8], bytes: usize) -> Ready {
    (command.to_vec(), command.len() - bytes)
}

fn pin(card: &mut VirtualCard) {
    put(card, &apdu::verify(0, &sample::PIN_BYTES));
}

fn damk(card: &mut VirtualCard, header: [u8; 4], data: &[u8]) -> Ready {
    let key = key(KeyType::Damk, class::ONLY);
    at_the_end(&maintenance(card, SuiteId::Aes, &key, header, data), 4)
}

fn external(card: &mut VirtualCard, key_type: KeyType, kid: u8) -> Ready {
    let challenge = ask(card, &apdu::get_challenge(8)).try_into().unwrap();
    let process = ssse_process_key(&key(key_type, kid), SuiteId::Aes, &challenge);
    let cryptogram = process.cryptogram8(SuiteId::Aes, &[9; 8]);
    (
        ssse::external_authenticate(kid, cryptogram, [9; 8]).to_vec(),
        5,
    )
}

fn load(card: &mut VirtualCard, init: &Apdu, key_type: KeyType) -> [u8; 4] {
    pin(card);
    let init = LoadInit::from_bytes(&ask(card, init)).unwrap();
    let key = key(key_type, class::ONLY);
    if key_type == KeyType::Mlk {
        let load = medical::Load {
            amount: Fen(1),
            terminal: sam_no(),
            seq: init.seq,
            rnd: init.rnd,
            balance_before: init.balance,
        };
        return load.mac2(SuiteId::Aes, &key, time());
    }
    let load = Load {
        amount: Fen(1),
        tx: TxType::Load,
        terminal: sam_no(),
        seq: init.seq,
        rnd: init.rnd,
        balance_before: init.balance,
    };
    load.mac2(SuiteId::Aes, &key, time())
}

/// The command without its Le, so that the MAC is last.
fn without_le(command: &[u8]) -> Vec<u8> {
    command[..5 + usize::from(command[4])].to_vec()
}

fn credit(card: &mut VirtualCard) -> Ready {
    let init = Tap::new(Fen(1)).request().load().unwrap();
    let mac2 = load(card, &init, KeyType::Dlk);
    at_the_end(&without_le(&purse::credit_for_load(time(), mac2)), 4)
}

fn medical_credit(card: &mut VirtualCard) -> Ready {
    let init = medical::init_load(1, Fen(1), sam_no()).unwrap();
    let mac2 = load(card, &init, KeyType::Mlk);
    at_the_end(&without_le(&medical::credit_for_load(time(), mac2)), 4)
}

fn debit(card: &mut VirtualCard) -> Ready {
    let init = Tap::new(Fen(1)).init(card).unwrap();
    let purchase = Purchase {
        amount: Fen(1),
        tx: TxType::Purchase,
        terminal: sam_no(),
        terminal_seq: 9,
        time: time(),
        seq: init.seq,
        rnd: init.rnd,
        context: Context::default(),
    };
    let mac1 = purchase.mac1(SuiteId::Aes, &key(KeyType::Dpk, class::TRANSIT));
    at_the_end(&without_le(&purse::debit(9, time(), mac1)), 4)
}

fn medical_debit(card: &mut VirtualCard) -> Ready {
    pin(card);
    let split = Split {
        personal: Fen(1),
        ..Split::default()
    };
    let init = medical::init_purchase(1, split, sam_no()).unwrap();
    let init = medical::PurchaseInit::from_bytes(&ask(card, &init)).unwrap();
    let visit = Visit {
        split,
        terminal: sam_no(),
        terminal_seq: 9,
        time: time(),
        seq: init.seq,
        rnd: init.rnd,
    };
    let mac1 = visit.mac1(SuiteId::Aes, &key(KeyType::Mpk, class::ONLY));
    at_the_end(&without_le(&medical::debit(9, time(), mac1)), 4)
}

fn limit(card: &mut VirtualCard) -> Ready {
    pin(card);
    let answer = ask(card, &overdraft::init(class::ONLY, sam_no()));
    let init = OverdraftInit::from_bytes(&answer).unwrap();
    let update = OverdraftUpdate {
        old_limit: init.limit,
        terminal: sam_no(),
        seq: init.seq,
        rnd: init.rnd,
        balance_before: init.balance,
    };
    let duk = key(KeyType::Duk, class::ONLY);
    let mac2 = update.mac2(SuiteId::Aes, &duk, Fen(100), time());
    at_the_end(
        &without_le(&overdraft::update(Fen(100), time(), mac2).unwrap()),
        4,
    )
}

fn field_lock(card: &mut VirtualCard) -> Ready {
    let dack = key(KeyType::Dack, class::ONLY);
    at_the_end(
        &maintenance(card, SuiteId::Aes, &dack, [0x84, 0x1E, 0, 0], &[]),
        4,
    )
}

fn issuer_cryptogram(card: &mut VirtualCard) -> Ready {
    let host = [1; 8];
    let answer = ask(card, &perso::initialize_update(perso::KVN_ISSUER, host));
    let answer = InitializeUpdateAnswer::from_bytes(&answer).unwrap();
    let mut handshake = Handshake::derive(&sample::issuer_keys(), &host, &answer.challenge);
    let header = [0x84, 0x82, 0x33, 0x00, 0x10];
    let mac = handshake.session.c_mac(header, &handshake.host_cryptogram);
    ([&header[..], &handshake.host_cryptogram, &mac].concat(), 5)
}

fn ceiling(card: &mut VirtualCard) -> Ready {
    let key = Key::new(sample::master(KeyType::SamCeiling, class::ONLY));
    let challenge = ask(card, &apdu::get_challenge(8));
    let challenge = sm::Challenge8::from_bytes(&challenge).unwrap();
    let ceiling = 2_000_000u32;
    let header = [0x84, 0xF0, 0x00, 0x00, 8];
    let mac = sm::mac(
        SuiteId::Aes,
        &key,
        challenge,
        header,
        &ceiling.to_be_bytes(),
    );
    at_the_end(&sam::raise_ceiling(ceiling, mac), 4)
}

fn region_key(sam: &mut VirtualCard) -> Ready {
    let header = sample::header(KeyType::Dpk, class::TRANSIT, SuiteId::Aes);
    let key = common::region_key("350200", header);
    at_the_end(&common::write_key(sam, &key), 4)
}

const fn guarded(
    name: &'static str,
    app: App,
    wrong: Sw,
    ready: fn(&mut VirtualCard) -> Ready,
) -> Guarded {
    Guarded {
        name,
        app,
        ready,
        wrong,
    }
}

/// Every command with a counter behind it.
#[rustfmt::skip]
const GUARDED: [Guarded; 19] = [
    guarded("PIN of the purse", App::Purse, Sw::tries_left(2),
        |_| at_the_end(&apdu::verify(0, &sample::PIN_BYTES), 3)),
    guarded("PIN of the citizen's side", App::Social, Sw::tries_left(2),
        |_| at_the_end(&apdu::verify(0, &sample::PIN_BYTES), 3)),
    guarded("CHANGE PIN", App::Purse, Sw::tries_left(2),
        |_| (apdu::build(0x80, 0x5E, 1, 0, &[0x12, 0x34, 0x56, 0xFF, 0x65, 0x43], None).to_vec(), 5)),
    guarded("CREDIT", App::Purse, Sw::MAC_WRONG, credit),
    guarded("overdraft limit", App::Purse, Sw::MAC_WRONG, limit),
    guarded("APPLICATION BLOCK", App::Purse, Sw::SM_WRONG, |c| damk(c, [0x84, 0x1E, 0, 1], &[])),
    guarded("APPLICATION UNBLOCK", App::Purse, Sw::SM_WRONG, |c| damk(c, [0x84, 0x18, 0, 0], &[])),
    guarded("CARD BLOCK", App::Purse, Sw::SM_WRONG, |c| damk(c, [0x84, 0x16, 0, 0], &[])),
    guarded("UPDATE of file 17", App::Purse, Sw::SM_WRONG, |c| damk(c, [0x04, 0xD6, 0x97, 10], &[2])),
    guarded("PIN UNBLOCK", App::Purse, Sw::SM_WRONG,
        |c| at_the_end(&pin_unblock(c, SuiteId::Aes, &key(KeyType::Dpuk, class::ONLY), &[1, 2]), 4)),
    guarded("RELOAD PIN", App::Purse, Sw::SM_WRONG, |c| {
        let dprk = key(KeyType::Dprk, class::ONLY);
        at_the_end(&maintenance(c, SuiteId::Aes, &dprk, [0x80, 0x5E, 0, 0], &[1, 2]), 4)
    }),
    guarded("PIN UNBLOCK of the citizen's side", App::Social, Sw::SM_WRONG, |c| {
        let puk = key(KeyType::Puk, ssse_kid::PIN_UNBLOCK);
        at_the_end(&pin_unblock(c, SuiteId::Aes, &puk, &[1, 2]), 4)
    }),
    guarded("EXTERNAL AUTHENTICATE", App::Social, Sw::SECURITY,
        |c| external(c, KeyType::Rk, ssse_kid::READ_V3)),
    guarded("EXTERNAL AUTHENTICATE of health data", App::Health, Sw::SECURITY,
        |c| external(c, KeyType::Rk, health::kid::READ)),
    guarded("EXTERNAL AUTHENTICATE of the issuer", App::Isd, Sw::SECURITY, issuer_cryptogram),
    guarded("medical CREDIT", App::Medical, Sw::MAC_WRONG, medical_credit),
    guarded("medical DEBIT", App::Medical, Sw::MAC_WRONG, medical_debit),
    guarded("signing PIN", App::Pki, Sw::tries_left(2),
        |_| at_the_end(&apdu::verify(0, &sample::SIGN_PIN_BYTES), 3)),
    guarded("UPDATE of the certificate", App::Pki, Sw::SM_WRONG, |c| {
        let uk = key(KeyType::Uk, class::ONLY);
        let head = [0x30, 0x82, 0x01, 0x00];
        at_the_end(&maintenance(c, SuiteId::Aes, &uk, [0x04, 0xD6, 0x98, 0], &head), 4)
    }),
];

/// A memory without the words that confirm commits: a cut right behind a commit comes before its word.
fn unconfirmed(image: &[u8]) -> Vec<u8> {
    let mut image = image.to_vec();
    for page in image.chunks_exact_mut(card_os::PAGE) {
        for slot in page[16..].chunks_exact_mut(88) {
            slot[80..].fill(0xFF);
        }
    }
    image
}

/// The answer and the memory, after all of the command or cut behind its first commit.
fn run(
    guarded: &Guarded,
    image: &[u8],
    flip: Option<(usize, u8)>,
    cut: bool,
) -> (Sw, Vec<u8>, u64) {
    let mut card = guarded.app.on(image);
    let (mut command, proof) = (guarded.ready)(&mut card);
    if let Some((at, bit)) = flip {
        command[proof + at] ^= bit;
    }
    let before = card.nvm_mut().commits();
    let cut = cut.then_some(Cut::Power(PowerCut::AfterCommit(1)));
    card.script(cut);
    let mut buffer = [0; 258];
    let sw = match card.transmit(&command, &mut buffer) {
        Ok(n) => Sw(u16::from_be_bytes([buffer[n - 2], buffer[n - 1]])),
        Err(_) => Sw::MUTE,
    };
    let commits = card.nvm_mut().commits().saturating_sub(before);
    (sw, unconfirmed(card.image()), commits)
}

fn check(guarded: &Guarded, image: &[u8]) {
    let name = guarded.name;
    let (sw, _, commits) = run(guarded, image, None, false);
    assert_eq!(sw, Sw::OK, "{name}");
    assert!(
        commits >= 2,
        "{name}: the count, and then what the command does"
    );
    let (_, counted, _) = run(guarded, image, None, true);
    // The first and the last byte of the proof, the highest and the lowest bit.
    for flip in [(0, 0x80), (0, 0x01), (1, 0x10)] {
        let (sw, after, commits) = run(guarded, image, Some(flip), false);
        assert_eq!((sw, commits), (guarded.wrong, 1), "{name}: {flip:?}");
        assert!(
            after == counted,
            "{name}: the count depends on the comparison"
        );
        let (_, cut, _) = run(guarded, image, Some(flip), true);
        assert!(cut == counted, "{name}: cut behind the count");
    }
    assert!(counted != unconfirmed(image), "{name}: nothing was counted");
}

#[test]
fn a_failure_is_counted_before_anything_is_compared() {
    for guarded in &GUARDED {
        check(guarded, &guarded.app.image());
    }
    let image = App::Sam.image();
    let of_a_sam = [
        guarded("ceiling of a SAM", App::Sam, Sw::SM_WRONG, ceiling),
        guarded("WRITE KEY of a SAM", App::Sam, Sw::SM_WRONG, region_key),
    ];
    for guarded in &of_a_sam {
        check(guarded, &image);
    }
    println!("{} guarded commands", GUARDED.len() + of_a_sam.len());
}

/// What anybody may offer over the air has no counter: a wrong one is refused and writes nothing, a right
/// one is done in one commit.
#[test]
fn purchase_and_field_lock_count_nothing() {
    let image = App::Purse.image();
    for command in [
        guarded("DEBIT", App::Purse, Sw::MAC_WRONG, debit),
        guarded("field lock", App::Purse, Sw::SM_WRONG, field_lock),
    ] {
        let (sw, after, commits) = run(&command, &image, None, false);
        assert_eq!((sw, commits), (Sw::OK, 1), "{}", command.name);
        assert!(after != unconfirmed(&image));
        for flip in [(0, 0x80), (0, 0x01), (1, 0x10), (3, 0x01)] {
            let (sw, after, commits) = run(&command, &image, Some(flip), false);
            assert_eq!((sw, commits), (command.wrong, 0), "{}", command.name);
            assert!(after == unconfirmed(&image), "{}: {flip:?}", command.name);
        }
    }
}

/// The terminal's own counter: a SAM takes its sequence before the MAC leaves, also when cut.
#[test]
fn a_sam_never_gives_two_macs_for_one_sequence() {
    let image = App::Sam.image();
    let mut card = App::Purse.on(&App::Purse.image());
    let init = Tap::new(Fen(1)).init(&mut card).unwrap();
    let public = ask(&mut card, &apdu::select(aid::T_UNION));
    let public = purse::files::Public::from_fci(&public).unwrap();
    let ask_mac = |sam: &mut VirtualCard| {
        let command = sam::InitForPurchase::new(
            &init,
            Fen(1),
            TxType::Purchase,
            time(),
            public.pan.serial8(),
            public.issuer,
            Context::default(),
        );
        send(sam, &command.to_apdu().unwrap())
    };
    let mut sam = App::Sam.on(&image);
    let first = sam::Mac1::from_bytes(&ask_mac(&mut sam).data)
        .unwrap()
        .terminal_seq;
    sam.script(Some(Cut::Power(PowerCut::AfterCommit(1))));
    let command = [0x80, 0x72, 0x00, 0x00, 4, 0, 0, 0, 0];
    let mut buffer = [0; 258];
    assert!(
        sam.transmit(&command, &mut buffer).is_err(),
        "a wrong MAC2 is counted"
    );
    put(&mut sam, &apdu::select(aid::T_UNION_SAM));
    let next = sam::Mac1::from_bytes(&ask_mac(&mut sam).data)
        .unwrap()
        .terminal_seq;
    assert_eq!(next, first + 1);
}
