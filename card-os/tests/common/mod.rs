//! What the card's tests share: sample card and SAM, taps, secure messaging.
#![allow(dead_code, unreachable_pub, missing_docs)]

pub mod apps;
pub mod commands;

use card_spec::{
    Channel, Fen, Reply, SuiteId, Sw, aid, apdu,
    apdu::Apdu,
    channel::exchange,
    id::SamNo,
    keys::{self, KeyHeader, KeyType, class},
    perso::{self, Dgi},
    purse::{self, Debited, InitRequest, PurchaseInit, TxType, files, mac},
    sam, sm,
    ssse::Profile,
    suite::Key,
    time::CardTime,
};
use virtual_card::{
    VirtualCard, host,
    sample::{self, Sample, SampleSam},
};

pub const SEED: [u8; 32] = [7; 32];
pub const SAM_NO: &str = "350100000001";

pub fn time() -> CardTime {
    sample::sample_time(0).unwrap()
}

pub fn card(suite: SuiteId) -> VirtualCard {
    Sample::new(suite, Profile::V2).card(SEED).unwrap()
}

pub fn sam_no() -> SamNo {
    SAM_NO.parse().unwrap()
}

pub fn sam_for(class: u8) -> VirtualCard {
    let mut sam = sample::sample_sam(SampleSam::Purse(class), sam_no(), SEED).unwrap();
    put(&mut sam, &apdu::select(aid::T_UNION_SAM));
    sam
}

pub fn send<C: Channel>(channel: &mut C, command: &[u8]) -> Reply {
    exchange(channel, command).expect("a channel in memory")
}

/// Sends, expects 9000, returns the data.
pub fn ask<C: Channel>(channel: &mut C, command: &[u8]) -> Vec<u8> {
    let reply = send(channel, command);
    assert_eq!(reply.sw, Sw::OK, "{command:02X?}");
    reply.data.to_vec()
}

/// Sends and expects 9000.
pub fn put<C: Channel>(channel: &mut C, command: &[u8]) {
    ask(channel, command);
}

pub fn select_purse<C: Channel>(card: &mut C) {
    put(card, &apdu::select(aid::T_UNION));
}

/// One purchase.
#[derive(Debug, Clone, Copy)]
pub struct Tap {
    pub kid: u8,
    pub amount: Fen,
    pub capp: bool,
    pub time: CardTime,
}

#[derive(Debug, PartialEq)]
pub struct Done {
    pub purchase: mac::Purchase,
    pub debited: Debited,
}

impl Tap {
    pub fn new(amount: Fen) -> Self {
        Self {
            kid: class::TRANSIT,
            amount,
            capp: false,
            time: time(),
        }
    }

    pub fn request(&self) -> InitRequest {
        InitRequest {
            kid: self.kid,
            amount: self.amount,
            terminal: sam_no(),
        }
    }

    pub fn init(&self, card: &mut VirtualCard) -> Result<PurchaseInit, Sw> {
        let request = self.request();
        let command = if self.capp {
            request.capp_purchase()
        } else {
            request.purchase()
        };
        let reply = send(card, &command.unwrap());
        if reply.sw.is_ok() {
            Ok(PurchaseInit::from_bytes(&reply.data).unwrap())
        } else {
            Err(reply.sw)
        }
    }

    pub fn tx(&self) -> TxType {
        if self.capp {
            TxType::Capp
        } else {
            TxType::Purchase
        }
    }

    /// The FCI of this card, without disturbing it: a copy of the image is asked.
    pub fn fci(&self, card: &VirtualCard) -> Vec<u8> {
        let mut copy = VirtualCard::from_image(card.image().to_vec(), SEED).unwrap();
        send(&mut copy, &apdu::select(aid::T_UNION)).data.to_vec()
    }

    pub fn mac1(
        &self,
        card: &mut VirtualCard,
        sam: &mut VirtualCard,
        init: &PurchaseInit,
        context: mac::Context,
    ) -> sam::Mac1 {
        let public = files::Public::from_fci(&self.fci(card)).unwrap();
        let command = sam::InitForPurchase::new(
            init,
            self.amount,
            self.tx(),
            self.time,
            public.pan.serial8(),
            public.issuer,
            context,
        );
        let mut command = command.to_apdu().unwrap();
        // P2 10 asks the SAM for the spare of its class.
        command[3] = self.kid & class::SPARE;
        sam::Mac1::from_bytes(&ask(sam, &command)).unwrap()
    }

    pub fn try_pay(&self, card: &mut VirtualCard, sam: &mut VirtualCard) -> Result<Done, Sw> {
        let init = self.init(card)?;
        let mac1 = self.mac1(card, sam, &init, mac::Context::default());
        let reply = send(card, &purse::debit(mac1.terminal_seq, self.time, mac1.mac1));
        if !reply.sw.is_ok() {
            return Err(reply.sw);
        }
        let debited = Debited::from_debit(&reply.data).unwrap();
        assert_eq!(send(sam, &sam::credit(debited.mac2)).sw, Sw::OK, "MAC2");
        let purchase = mac::Purchase {
            amount: self.amount,
            tx: self.tx(),
            terminal: sam_no(),
            terminal_seq: mac1.terminal_seq,
            time: self.time,
            seq: init.seq,
            rnd: init.rnd,
            context: mac::Context::default(),
        };
        Ok(Done { purchase, debited })
    }

    pub fn pay(&self, card: &mut VirtualCard, sam: &mut VirtualCard) -> Done {
        self.try_pay(card, sam).expect("the purchase goes through")
    }
}

/// A secure-messaging command after a fresh challenge: `header | Lc | data | MAC`.
pub fn maintenance<C: Channel>(
    card: &mut C,
    suite: SuiteId,
    key: &Key,
    header: [u8; 4],
    data: &[u8],
) -> Apdu {
    let challenge = sm::Challenge8::from_bytes(&ask(card, &apdu::get_challenge(8))).unwrap();
    let [cla, ins, p1, p2] = header;
    let lc = (data.len() + 4) as u8;
    let mac = sm::mac(suite, key, challenge, [cla, ins, p1, p2, lc], data);
    apdu::build(cla, ins, p1, p2, &[data, &mac].concat(), None)
}

/// A region's key of the sample, as WRITE KEY carries it.
pub fn region_key(region: &str, header: KeyHeader) -> [u8; 26] {
    let region = region.parse().unwrap();
    let key = sample::region_key_of(region, header).unwrap();
    let check = keys::kcv(&key, header.suite, perso::kcv_kind(header.suite));
    perso::sam_key(region.to_bytes(), header, *key.expose(), check)
}

/// WRITE KEY under the sample SAM's issuing key, after a fresh challenge.
pub fn write_key<C: Channel>(sam: &mut C, key: &[u8; 26]) -> Apdu {
    let issuing = Key::new(sample::master(KeyType::SamIssue, class::ONLY));
    let challenge = sm::Challenge8::from_bytes(&ask(sam, &apdu::get_challenge(8))).unwrap();
    sam::write_key(SuiteId::Aes, &issuing, challenge, key).unwrap()
}

/// `84 24 00 01 enc | MAC`.
pub fn pin_unblock<C: Channel>(card: &mut C, suite: SuiteId, key: &Key, pin: &[u8]) -> Apdu {
    let challenge = sm::Challenge8::from_bytes(&ask(card, &apdu::get_challenge(8))).unwrap();
    let mut plain = [0; 16];
    let n = sm::pin_plaintext(suite, pin, &mut plain).unwrap();
    sm::encrypt(suite, key, challenge, &mut plain[..n]);
    let mac = sm::mac(
        suite,
        key,
        challenge,
        [0x84, 0x24, 0, 1, n as u8 + 4],
        &plain[..n],
    );
    apdu::build(0x84, 0x24, 0, 1, &[&plain[..n], &mac].concat(), None)
}

/// The issuer stores a sample key again over SCP03: a new session, the key's own application.
pub fn store_key(card: &mut VirtualCard, aid: &[u8], header: KeyHeader) {
    let mut host = issuer(card);
    let group = host.key_group(header, &sample::card_key(header).unwrap());
    host.personalise(card, aid, &[group]).unwrap();
}

/// An open issuer channel of a sample card.
pub fn issuer(card: &mut VirtualCard) -> host::Scp03 {
    host::Scp03::open(
        card,
        &sample::issuer_keys(),
        perso::KVN_ISSUER,
        0x33,
        [3; 8],
    )
    .unwrap()
}

/// A SAM with keys of one suite: field locks and social-security authentication do not name the
/// algorithm.
pub fn sam_of(kind: SampleSam, suite: SuiteId) -> VirtualCard {
    let mut sam = sample::sample_sam_of(kind, &[suite], sam_no(), SEED).unwrap();
    let name = if kind == SampleSam::Social {
        aid::SSSE_SAM
    } else {
        aid::T_UNION_SAM
    };
    put(&mut sam, &apdu::select(name));
    sam
}

/// Random numbers that a published example fixed, then zeros.
pub struct Scripted(std::collections::VecDeque<u8>);

impl<const N: usize> From<[u8; N]> for Scripted {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.into())
    }
}

impl card_os::Entropy for Scripted {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.0.pop_front().unwrap_or(0);
        }
    }
}

/// A card as a channel, with any memory and chance.
pub struct Bare<N, R>(pub card_os::Card<N, R>);

impl<N: card_os::Nvm, R: card_os::Entropy> Channel for Bare<N, R> {
    fn transmit(
        &mut self,
        command: &[u8],
        response: &mut [u8],
    ) -> Result<usize, card_spec::ChannelError> {
        Ok(self.0.transmit(command, response))
    }
    fn atr(&self) -> &[u8] {
        self.0.atr()
    }
}

/// A 3DES card with the keys and the random numbers of the published PBOC examples.
pub fn vector_card() -> impl Channel {
    use hex_literal::hex;
    let nvm = virtual_card::ImageNvm::empty();
    let blank = card_os::Blank {
        chip_serial: [0x22; 10],
        transport_keys: sample::transport_keys(),
    };
    let chance = Scripted::from(hex!("F9CABA91 11223344"));
    let mut card = Bare(card_os::Card::new(nvm, chance));
    card.0.format(&blank).unwrap();
    let keys = sample::transport_keys();
    let mut host = host::Scp03::open(&mut card, &keys, perso::KVN_TRANSPORT, 0x01, [3; 8]).unwrap();
    let key = |key_type, value: [u8; 16]| {
        let header = KeyHeader {
            key_type,
            index: 1,
            version: 1,
            suite: SuiteId::Tdes,
        };
        host.key_group(header, &Key::new(value))
    };
    let mut donor = self::card(SuiteId::Tdes);
    select_purse(&mut donor);
    let limits = files::Limits {
        max_balance: Fen::yuan(1000),
        per_tap: Fen::yuan(200),
        per_day: Fen::yuan(500),
        overdraft: Fen::ZERO,
    };
    let groups = [
        (
            Dgi::file(0x15),
            ask(&mut donor, &apdu::read_binary(0x15, 0, 30)),
        ),
        (Dgi::LIMITS, limits.to_bytes().unwrap().to_vec()),
        key(KeyType::Dlk, hex!("3F013F013F013F013F013F013F013F01")),
        key(KeyType::Dpk, hex!("11223344556677888877665544332211")),
        key(KeyType::Dtk, [0x55; 16]),
        host.pin_group(&sample::PIN_BYTES).unwrap(),
    ];
    host.personalise(&mut card, aid::T_UNION, &groups).unwrap();
    card
}
