//! Commands with right keys and right MACs, so that the deep states of the purses are reached:
//! loads, purchases, compound purchases, medical visits, maintenance, resets and power cuts, in any
//! order. An independent account of the money and the sequences predicts every answer.
//!
//! `start`, then steps: `opcode | its choices`.

mod account;
mod issuer;
mod medical;
mod purse;

use crate::{
    input::Input,
    start::{Start, check, copy},
};
use account::Account;
use card_spec::{
    Channel, ChannelError, SuiteId, Sw, aid, apdu,
    channel::MAX_RESPONSE,
    health,
    keys::{KeyType, class, ssse_kid, ssse_process_key},
    sm::{self, Challenge8},
    ssse::{self, Profile},
    suite::Key,
    time::CardTime,
};
use virtual_card::{Cut, CutMode, Interface, PowerCut, VirtualCard, sample};

const CARDS: [Start; 3] = [
    Start::Card(SuiteId::Aes, Profile::V2),
    Start::Card(SuiteId::Sm4, Profile::V3),
    Start::Card(SuiteId::Tdes, Profile::V1),
];

/// The terminal in every transaction.
const TERMINAL: &str = "350100000001";

/// The card at work, and what the world outside remembers of it.
struct World {
    card: VirtualCard,
    suite: SuiteId,
    account: Account,
    purse: purse::Open,
    medical: medical::Open,
}

/// What came back: the data and the status word, or nothing because the card was torn.
type Answer = Option<(Vec<u8>, Sw)>;

impl World {
    fn send(&mut self, command: &[u8]) -> Answer {
        let mut buffer = [0u8; MAX_RESPONSE];
        match self.card.transmit(command, &mut buffer) {
            Ok(n) => {
                let (data, sw) = buffer[..n].split_last_chunk::<2>().expect("two bytes");
                let sw = Sw(u16::from_be_bytes(*sw));
                check(command, data, sw);
                Some((data.to_vec(), sw))
            }
            Err(ChannelError::CardRemoved) => {
                self.purse = purse::Open::None;
                self.medical = medical::Open::None;
                None
            }
            Err(other) => panic!("{command:02X?}: {other}"),
        }
    }

    fn key(&self, key_type: KeyType, index: u8) -> Key {
        sample::card_key(sample::header(key_type, index, self.suite)).expect("a sample key")
    }

    /// SELECT forgets every open transaction, whatever is selected; a failed one may too.
    fn select(&mut self, name: &[u8]) {
        self.purse = purse::Open::None;
        self.medical = medical::Open::None;
        self.send(&apdu::select(name));
    }

    fn challenge(&mut self) -> Option<Challenge8> {
        let (data, _) = self.send(&apdu::get_challenge(8))?;
        Challenge8::from_bytes(&data)
    }

    /// A command of the purse under a maintenance key, its MAC right or one bit wrong.
    fn maintain(&mut self, key_type: KeyType, header: [u8; 4], data: &[u8], right: bool) {
        let key = (key_type, class::ONLY);
        self.secure(key, header, data, false, right);
    }

    /// A command under secure messaging, in clear or enciphered, its MAC right or one bit wrong.
    fn secure(
        &mut self,
        (key_type, index): (KeyType, u8),
        [cla, ins, p1, p2]: [u8; 4],
        data: &[u8],
        enciphered: bool,
        right: bool,
    ) {
        let Some(challenge) = self.challenge() else {
            return;
        };
        let key = self.key(key_type, index);
        let mut data = data.to_vec();
        if enciphered {
            let plain = sm::plaintext::<256>(self.suite, &data).expect("short contents");
            data = plain.to_vec();
            sm::encrypt(self.suite, &key, challenge, &mut data);
        }
        let header = [cla, ins, p1, p2, data.len() as u8 + 4];
        let mut mac = sm::mac(self.suite, &key, challenge, header, &data);
        mac[0] ^= u8::from(!right);
        data.extend(mac);
        let command = apdu::build(cla, ins, p1, p2, &data, None);
        if let Some((_, sw)) = self.send(&command) {
            assert!(
                right || sw != Sw::OK,
                "a wrong MAC was accepted: {command:02X?}"
            );
        }
    }

    /// EXTERNAL AUTHENTICATE of the social-security side.
    fn authenticate(&mut self, right: bool, kid: u8, key_type: KeyType) {
        let Some(Challenge8(challenge)) = self.challenge() else {
            return;
        };
        let process = ssse_process_key(&self.key(key_type, kid), self.suite, &challenge);
        let mut cryptogram = process.cryptogram8(self.suite, &[9; 8]);
        cryptogram[7] ^= u8::from(!right);
        let command = ssse::external_authenticate(kid, cryptogram, [9; 8]);
        if let Some((_, sw)) = self.send(&command) {
            assert!(right || sw != Sw::OK, "a wrong cryptogram was accepted");
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let opcode = input.byte();
        // The upper half of the opcodes does the same with something wrong in it.
        let right = opcode < 0x80;
        match opcode & 0x7F {
            0 => self.select(aid::T_UNION),
            1 => self.select(aid::SSSE),
            2 => self.select(aid::SSSE_MEDICAL),
            3 => self.select(aid::ISD),
            30 => self.select(aid::HEALTH),
            31 => self.authenticate(right, health::kid::READ, KeyType::Rk),
            4 => self.verify(right),
            5 => self.init_load(input),
            6 => self.credit(right, time(input)),
            7 => self.init_purchase(false, input),
            8 => self.init_purchase(true, input),
            9 => self.cache(input),
            10 => self.debit(right, time(input)),
            11 => self.prove(),
            12 => self.reset(),
            13 => self.card.set_interface(Interface::Contact),
            14 => self.card.set_interface(Interface::Contactless),
            15 => {
                let nth = u64::from(input.byte()) + 1;
                let mode = input.pick(&CutMode::ALL);
                self.card.script(Some(Cut::Power(PowerCut::At(nth, mode))));
            }
            16 => self.medical_init_load(input),
            17 => self.medical_credit(right, time(input)),
            18 => self.medical_init_visit(input),
            19 => self.medical_debit(right, time(input)),
            20 => self.authenticate(right, ssse_kid::READ_V3, KeyType::Rk),
            21 => self.authenticate(right, ssse_kid::WRITE_BASIC, KeyType::Uk),
            22 => self.maintain(KeyType::Dack, [0x84, 0x1E, 0, 0], &[], right),
            23 => self.maintain(KeyType::Damk, [0x84, 0x18, 0, 0], &[], right),
            24 => {
                let (offset, data) = (input.byte(), input.array::<2>());
                self.maintain(KeyType::Damk, [0x04, 0xD6, 0x97, offset], &data, right);
            }
            25 => {
                let (number, fill) = (input.byte(), [input.byte(); 128]);
                self.maintain(KeyType::Damk, [0x04, 0xDC, number, 0xD4], &fill, right);
            }
            26 => {
                let length = usize::from(input.byte() % 64);
                let command = input.take(length).to_vec();
                self.raw(&command);
            }
            27 => self.overdraft(right, time(input), input),
            29 => self.file(right, input),
            28 => self.issue(input),
            _ => {
                self.send(&card_spec::purse::get_balance());
            }
        }
    }

    /// Any command on a file under secure messaging.
    fn file(&mut self, right: bool, input: &mut Input<'_>) {
        let key = input.pick(&[
            (KeyType::Damk, class::ONLY),
            (KeyType::Rk, ssse_kid::READ_V3),
            (KeyType::Uk, ssse_kid::WRITE_BASIC),
            (KeyType::Uk, ssse_kid::EF0C),
            (KeyType::Uk, ssse_kid::EF0D),
            (KeyType::Rk, health::kid::READ),
            (KeyType::Uk, health::kid::WRITE),
        ]);
        let ins = input.pick(&[0xB0, 0xB2, 0xD6, 0xDC, 0xE2, 0xA2]);
        let ([p1, p2], enciphered) = (input.array(), input.byte() & 1 == 1);
        let length = usize::from(input.byte()).min(200);
        let data = input.take(length).to_vec();
        self.secure(key, [0x04, ins, p1, p2], &data, enciphered, right);
        self.check_account();
    }

    /// A reset: the interface stays.
    fn reset(&mut self) {
        self.card.power_cycle();
        self.purse = purse::Open::None;
        self.medical = medical::Open::None;
    }

    fn verify(&mut self, right: bool) {
        let mut pin = sample::PIN_BYTES;
        pin[0] ^= u8::from(!right);
        if let Some((_, sw)) = self.send(&apdu::verify(0, &pin)) {
            assert!(right || sw != Sw::OK, "a wrong PIN was accepted");
        }
    }

    /// Any other bytes. They may end transactions, but cannot move money: nobody guesses a MAC.
    fn raw(&mut self, command: &[u8]) {
        if self.send(command).is_some() {
            self.purse = purse::Open::Unknown;
        }
        // What follows is not the rest of a chain.
        self.send(&[]);
        self.medical = medical::Open::None;
        self.check_account();
    }

    /// The card's money and sequences, read from a copy so that the card is not disturbed, must be
    /// what the account says.
    fn check_account(&mut self) {
        self.account.check(&mut copy(self.card.image()));
    }
}

/// A time of 2026, so that days come and go and come back.
fn time(input: &mut Input<'_>) -> CardTime {
    let byte = input.byte();
    let day = card_spec::time::CardDate::new(2026, 3, 1 + byte % 28).expect("a day of March");
    day.at(byte % 24, byte % 60, 0).expect("a time")
}

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let start = input.pick(&CARDS);
    let Start::Card(suite, _) = start else { return };
    let mut world = World {
        card: start.card(),
        suite,
        account: Account::opening(),
        purse: purse::Open::None,
        medical: medical::Open::None,
    };
    for _ in 0..96 {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.card.script(None);
    world.reset();
    world.check_account();
}
