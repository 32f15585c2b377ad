//! A memory whose n-th read fails, for every n that a command meets: the command answers 6581 and
//! changes nothing that an outsider can see, and the card works on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_os::{Card, Nvm, NvmError};
use card_spec::{
    Apdu, Fen, SuiteId, Sw, aid, apdu,
    keys::{KeyType, class},
    purse::{
        self, InitRequest, LoadInit, PurchaseInit, TxType,
        mac::{Context, Load, Purchase},
        sfi,
    },
    scp03::{Handshake, StaticKeys, card_challenge},
    ssse::Profile,
    suite::Key,
};
use common::{Bare, SEED, ask, put, sam_no, select_purse, send, time};
use std::cell::Cell;
use virtual_card::{
    ImageNvm, SeededEntropy, VirtualCard,
    sample::{self, Sample},
};

/// Fails one read, or several in a row.
struct Failing {
    image: ImageNvm,
    /// Reads until the first; 0 when it is over.
    left: Cell<u64>,
    /// How many fail.
    run: Cell<u64>,
}

impl Nvm for Failing {
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), NvmError> {
        let left = self.left.get();
        if left == 1 {
            let run = self.run.get().saturating_sub(1);
            self.run.set(run);
            self.left.set(u64::from(run > 0));
            return Err(NvmError::Fault);
        }
        self.left.set(left.saturating_sub(1));
        self.image.read(at, out)
    }
    fn program(&mut self, at: usize, data: &[u8]) -> Result<(), NvmError> {
        self.image.program(at, data)
    }
    fn erase(&mut self, page: usize) -> Result<(), NvmError> {
        self.image.erase(page)
    }
    fn sync(&mut self) -> Result<(), NvmError> {
        self.image.sync()
    }
}

type Failed = Bare<Failing, SeededEntropy>;

fn key(key_type: KeyType) -> card_spec::suite::Key {
    sample::card_key(sample::header(key_type, class::TRANSIT, SuiteId::Aes)).unwrap()
}

fn request() -> InitRequest {
    InitRequest {
        kid: class::TRANSIT,
        amount: Fen(300),
        terminal: sam_no(),
    }
}

fn verify(card: &mut Failed) -> Apdu {
    select_purse(card);
    apdu::verify(0, &sample::PIN_BYTES)
}

fn get_balance(card: &mut Failed) -> Apdu {
    select_purse(card);
    purse::get_balance()
}

fn read_binary(card: &mut Failed) -> Apdu {
    select_purse(card);
    apdu::read_binary(sfi::REGION, 0, 60)
}

fn read_record(card: &mut Failed) -> Apdu {
    put(card, &apdu::select(aid::SSSE));
    apdu::read(0x00, 0xB2, 0x07, 5 << 3 | 4, Some(0x0B))
}

fn internal_authenticate(card: &mut Failed) -> Apdu {
    put(card, &apdu::select(aid::SSSE));
    apdu::build(0x00, 0x88, 0x00, class::ONLY, &[7; 8], Some(8))
}

fn credit(card: &mut Failed) -> Apdu {
    let pin = verify(card);
    put(card, &pin);
    let request = InitRequest {
        kid: class::ONLY,
        ..request()
    };
    let init = LoadInit::from_bytes(&ask(card, &request.load().unwrap())).unwrap();
    let load = Load {
        amount: request.amount,
        tx: TxType::Load,
        terminal: request.terminal,
        seq: init.seq,
        rnd: init.rnd,
        balance_before: init.balance,
    };
    let dlk = sample::card_key(sample::header(KeyType::Dlk, class::ONLY, SuiteId::Aes)).unwrap();
    purse::credit_for_load(time(), load.mac2(SuiteId::Aes, &dlk, time()))
}

fn debit(card: &mut Failed) -> Apdu {
    select_purse(card);
    let request = request();
    let init = PurchaseInit::from_bytes(&ask(card, &request.purchase().unwrap())).unwrap();
    let purchase = Purchase {
        amount: request.amount,
        tx: TxType::Purchase,
        terminal: request.terminal,
        terminal_seq: 9,
        time: time(),
        seq: init.seq,
        rnd: init.rnd,
        context: Context::default(),
    };
    let mac1 = purchase.mac1(SuiteId::Aes, &key(KeyType::Dpk));
    purse::debit(9, time(), mac1)
}

/// Money, sequences, log and proofs. Not the counters of tries: they may be ahead.
fn look(image: &[u8]) -> Vec<Vec<u8>> {
    let mut card = VirtualCard::from_image(image.to_vec(), SEED).unwrap();
    select_purse(&mut card);
    let commands = [
        purse::get_balance(),
        apdu::read_record(sfi::LOG, 1, 23),
        purse::prove(TxType::Purchase, 1),
        purse::prove(TxType::Load, 1),
    ];
    let mut seen: Vec<_> = commands
        .iter()
        .map(|command| send(&mut card, command).data.to_vec())
        .collect();
    let init = ask(&mut card, &request().purchase().unwrap());
    seen.push(init[..6].to_vec());
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    let load = InitRequest {
        kid: class::ONLY,
        ..request()
    };
    seen.push(ask(&mut card, &load.load().unwrap())[..6].to_vec());
    seen
}

/// A card on a memory that does not fail yet.
fn failing(image: &[u8]) -> Failed {
    let nvm = Failing {
        image: ImageNvm::from_image(image.to_vec()).unwrap(),
        left: Cell::new(0),
        run: Cell::new(0),
    };
    Bare(Card::new(nvm, SeededEntropy::new([3; 32])))
}

/// How many reads the command makes; each of them failed once. Only reading back what was just
/// programmed is tried again: such a command is done wholly.
fn fail_each_read(image: &[u8], name: &str, ready: fn(&mut Failed) -> Apdu) -> u64 {
    let fresh = || failing(image);
    let mut whole = fresh();
    let command = ready(&mut whole);
    let programmed = whole.0.nvm().image.operations();
    put(&mut whole, &command);
    let after = look(whole.0.nvm().image.bytes());
    let entries = whole.0.nvm().image.operations() - programmed;
    let mut done = 0;
    for n in 1.. {
        let mut card = fresh();
        let command = ready(&mut card);
        let before = look(card.0.nvm().image.bytes());
        card.0.nvm_mut().left.set(n);
        card.0.nvm_mut().run.set(1);
        let sw = send(&mut card, &command).sw;
        let met = card.0.nvm_mut().left.replace(0) == 0;
        if !met {
            assert_eq!(sw, Sw::OK, "{name} with no failing read");
            assert!(done <= entries, "{name}: {done} failures unnoticed");
            return n - 1;
        }
        let expected = match sw {
            Sw::OK => {
                done += 1;
                &after
            }
            sw => {
                assert_eq!(sw, Sw::MEMORY, "{name}, read {n}");
                &before
            }
        };
        assert!(
            look(card.0.nvm().image.bytes()) == *expected,
            "{name}, read {n}: {sw}, but it is otherwise"
        );
        let again = ready(&mut card);
        assert_eq!(send(&mut card, &again).sw, Sw::OK, "{name} after read {n}");
    }
    0
}

#[test]
fn a_failing_read_fails_its_command_and_nothing_else() {
    let card = Sample::new(SuiteId::Aes, Profile::V2).card(SEED).unwrap();
    let image = card.image();
    type Case = (&'static str, fn(&mut Failed) -> Apdu, u64);
    let cases: [Case; 7] = [
        ("GET BALANCE", get_balance, 1),
        ("READ BINARY", read_binary, 1),
        ("READ RECORD", read_record, 2),
        ("VERIFY", verify, 3),
        ("DEBIT", debit, 10),
        ("CREDIT", credit, 10),
        ("INTERNAL AUTHENTICATE", internal_authenticate, 2),
    ];
    for (name, ready, at_least) in cases {
        let reads = fail_each_read(image, name, ready);
        println!("{name}: {reads} reads");
        assert!(reads >= at_least, "{name} meets {reads} reads");
    }
}

/// The same while the memory is at any place of a page, also where the DEBIT opens the next.
#[test]
fn a_failing_read_while_a_page_is_opened() {
    let mut card = Sample::new(SuiteId::Aes, Profile::V2).card(SEED).unwrap();
    select_purse(&mut card);
    let mut reads = Vec::new();
    for _ in 0..24 {
        put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
        reads.push(fail_each_read(card.image(), "DEBIT", debit));
    }
    let (least, most) = (reads.iter().min().unwrap(), reads.iter().max().unwrap());
    assert!(most >= &(least + 64), "no page was opened: {reads:?}");
}

/// Zeros that were read in the place of a key or a PIN open nothing afterwards.
#[test]
fn what_a_failed_command_read_is_forgotten() {
    let card = Sample::new(SuiteId::Aes, Profile::V2).card(SEED).unwrap();
    let image = card.image();
    for n in 1..60 {
        for run in 1..=4 {
            let mut card = failing(image);
            put(&mut card, &apdu::select(aid::ISD));
            let host = [1; 8];
            let update = apdu::build(0x80, 0x50, 0, 0, &host, Some(0));
            let answer = ask(&mut card, &update);
            let Some(sequence) = answer.last_chunk::<3>() else {
                panic!("pseudo-random challenges tell the counter");
            };
            let fail = |card: &mut Failed| {
                card.0.nvm_mut().left.set(n);
                card.0.nvm_mut().run.set(run);
            };
            fail(&mut card);
            let failed = send(&mut card, &update).sw;
            card.0.nvm_mut().left.set(0);
            if failed == Sw::OK {
                continue;
            }
            let zeros = || Key::new([0; 16]);
            let keys = StaticKeys {
                enc: zeros(),
                mac: zeros(),
                dek: zeros(),
            };
            let challenge = card_challenge(&keys.enc, *sequence, aid::ISD);
            let mut handshake = Handshake::derive(&keys, &host, &challenge);
            let mut external = vec![0x84, 0x82, 0x01, 0x00, 0x10];
            let cryptogram = handshake.host_cryptogram;
            let mac = handshake
                .session
                .c_mac([0x84, 0x82, 0x01, 0x00, 0x10], &cryptogram);
            external.extend(cryptogram);
            external.extend(mac);
            let opened = send(&mut card, &external).sw;
            assert_ne!(opened, Sw::OK, "reads {n} and {run} behind it: {failed}");
        }
        let mut card = failing(image);
        select_purse(&mut card);
        card.0.nvm_mut().left.set(n);
        card.0.nvm_mut().run.set(1);
        let verified = send(&mut card, &apdu::verify(0, &[0; 3])).sw;
        card.0.nvm_mut().left.set(0);
        assert_ne!(verified, Sw::OK);
        let load = InitRequest {
            kid: class::ONLY,
            ..request()
        };
        let init = send(&mut card, &load.load().unwrap()).sw;
        assert_ne!(init, Sw::OK, "VERIFY of zeros, read {n}: {verified}");
    }
}
