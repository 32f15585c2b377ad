//! What the tests share: an HSM in a temporary directory, a ledger, a reference card.
// Each test binary uses a part.
#![allow(dead_code, unreachable_pub)]

pub mod forged;
pub mod raw;
pub mod served;
pub mod token;
pub mod twins;

use std::path::Path;
use std::sync::Arc;

use card_spec::{
    Fen,
    id::Pan,
    keys::{KeyHeader, KeyType},
    perso::InitializeUpdateAnswer,
    purse::TxType,
    purse::mac::Load,
    scp03::{Handshake, Session, StaticKeys, unpad},
    suite::{Key, SuiteId},
};
use ed25519_dalek::{Signer, SigningKey};
use hsm::{Config, Entropy, KdfCost, LoadLimits, Officers, SoftHsm, Zeroizing, ceremony};
use hsm_client::{Account, CardRef, Hold, Hsm, KeyOrder, LoadRequest};

pub const NOW: &str = "2026-11-23T08:00:00";

pub fn ledger() -> SigningKey {
    SigningKey::from_bytes(&[0x1E; 32])
}

pub fn config(directory: &Path) -> Config {
    Config {
        directory: directory.to_owned(),
        passphrase: Zeroizing::new("open sesame".to_owned()),
        actor: "tests".to_owned(),
        entropy: Entropy::seeded([7; 32]),
        clock: Arc::new(|| NOW.parse().unwrap()),
        ledger_key: Some(ledger().verifying_key().to_bytes()),
        limits: LoadLimits::default(),
        token: None,
    }
}

pub fn officers() -> Officers {
    Officers::new("Lin Mei", "Chen Guo").unwrap()
}

pub fn create(directory: &Path) -> SoftHsm {
    create_from(config(directory)).unwrap()
}

pub fn create_from(config: Config) -> hsm_client::Result<SoftHsm> {
    let custodians = ["Wu", "Zheng", "Huang"];
    let (roots, transcript) = ceremony::run(
        &config.entropy,
        &officers(),
        &custodians,
        NOW.parse().unwrap(),
    )
    .unwrap();
    SoftHsm::create(config, KdfCost::LIGHT, roots, &transcript)
}

pub fn card() -> CardRef {
    CardRef {
        pan: "03500000000000001234".parse().unwrap(),
        generation: card_spec::id::Generation(1),
        region: "350200".parse().unwrap(),
    }
}

pub fn header(key_type: KeyType, index: u8, suite: SuiteId) -> KeyHeader {
    KeyHeader {
        key_type,
        index,
        version: 1,
        suite,
    }
}

/// A card as far as SCP03 and PUT KEY go, computed from card-spec alone.
pub struct ReferenceCard {
    pub serial: [u8; 10],
    pub kvn: u8,
    pub keys: StaticKeys,
    pub session: Option<Session>,
    pub handshakes: u8,
}

impl ReferenceCard {
    pub fn blank(hsm: &SoftHsm, serial: Pan) -> Self {
        let serial = serial.to_bytes();
        Self {
            serial,
            kvn: 1,
            keys: hsm
                .manufacturer(&forged::authorised(hsm))
                .unwrap()
                .transport_keys(serial)
                .unwrap(),
            session: None,
            handshakes: 0,
        }
    }

    pub fn initialize_update(&mut self, host: [u8; 8]) -> Vec<u8> {
        self.handshakes += 1;
        let challenge = [0xC0 | self.handshakes; 8];
        let handshake = Handshake::derive(&self.keys, &host, &challenge);
        let answer = InitializeUpdateAnswer {
            diversification: self.serial,
            kvn: self.kvn,
            i: 0x70,
            challenge,
            cryptogram: handshake.card_cryptogram,
            sequence: [0, 0, self.handshakes],
        };
        self.session = Some(handshake.session);
        answer.to_bytes().to_vec()
    }

    /// Checks EXTERNAL AUTHENTICATE against the host cryptogram and starts the MAC chain.
    pub fn external_authenticate(&mut self, command: &[u8], host: [u8; 8]) {
        let challenge = [0xC0 | self.handshakes; 8];
        let expected = Handshake::derive(&self.keys, &host, &challenge).host_cryptogram;
        assert_eq!(command[5..13], expected);
        let session = self.session.as_mut().unwrap();
        let mac = session.c_mac(command[..5].try_into().unwrap(), &command[5..13]);
        assert_eq!(command[13..], mac);
    }

    /// The plain data of a protected command (level 03 or 33).
    pub fn unwrap(&mut self, command: &[u8]) -> Vec<u8> {
        let session = self.session.as_mut().unwrap();
        session.next_command();
        let lc = usize::from(command[4]);
        let (data, mac) = command[5..5 + lc].split_at(lc - 8);
        let chain = session.peek_c_mac(command[..5].try_into().unwrap(), data);
        assert_eq!(mac, &chain[..8], "C-MAC");
        session.accept(chain);
        let mut data = data.to_vec();
        if !data.is_empty() {
            session.decrypt_command(&mut data);
            let n = unpad(&data).unwrap();
            data.truncate(n);
        }
        data
    }

    pub fn decrypt(&self, block: &[u8]) -> [u8; 16] {
        let mut block: [u8; 16] = block.try_into().unwrap();
        self.keys
            .dek
            .decrypt_cbc(SuiteId::Aes, &[0; 16], &mut block);
        block
    }

    /// Takes over the keys of a PUT KEY's plain data.
    pub fn put_key(&mut self, data: &[u8]) {
        assert_eq!(data[0], 0x30);
        let mut keys = data[1..].chunks_exact(23).map(|block| {
            assert_eq!(block[..3], [0x88, 0x11, 0x10]);
            let key = Key::new(self.decrypt(&block[3..19]));
            let kcv =
                card_spec::keys::kcv(&key, SuiteId::Aes, card_spec::keys::KcvKind::GlobalPlatform);
            assert_eq!(block[19], 3);
            assert_eq!(block[20..], kcv);
            key
        });
        let next = StaticKeys {
            enc: keys.next().unwrap(),
            mac: keys.next().unwrap(),
            dek: keys.next().unwrap(),
        };
        assert!(keys.next().is_none());
        self.keys = next;
        self.kvn = 0x30;
    }
}

/// Opens a session at level 33.
pub fn open(hsm: &dyn Hsm, card: &mut ReferenceCard) -> hsm_client::SessionId {
    let host = [9; 8];
    let answer = card.initialize_update(host);
    let opened = hsm.scp03_open(host, &answer, 0x33).unwrap();
    card.external_authenticate(&opened.external_authenticate, host);
    opened.session
}

/// A blank taken through PUT KEY into a session under the issuer's set.
pub fn issuer_session(hsm: &dyn Hsm, card: &mut ReferenceCard) -> hsm_client::SessionId {
    let transport = open(hsm, card);
    let put = hsm.put_issuer_keys(transport).unwrap();
    let wrapped = hsm.scp03_wrap(transport, &[put]).unwrap();
    let data = card.unwrap(&wrapped[0]);
    card.put_key(&data);
    hsm.scp03_close(transport).unwrap();
    open(hsm, card)
}

/// Keys of a card as it received them.
pub fn key_of(card: &ReferenceCard, item: &[u8]) -> (KeyHeader, Key) {
    let header = KeyHeader::from_bytes(item[..4].try_into().unwrap()).unwrap();
    let key = Key::new(card.decrypt(&item[4..20]));
    let kind = card_spec::perso::kcv_kind(header.suite);
    assert_eq!(
        item[20..],
        card_spec::keys::kcv(&key, header.suite, kind),
        "KCV"
    );
    (header, key)
}

/// Keys as the card holds them.
pub fn card_keys<const N: usize>(hsm: &SoftHsm, suite: SuiteId, types: [KeyType; N]) -> [Key; N] {
    let mut blank = ReferenceCard::blank(hsm, "00000000000000000042".parse().unwrap());
    let session = issuer_session(hsm, &mut blank);
    let order = KeyOrder::Card {
        card: card(),
        headers: types.map(|t| header(t, 1, suite)).to_vec(),
    };
    let items = hsm.wrap_keys(session, &order).unwrap();
    let keys: Vec<Key> = items.iter().map(|i| key_of(&blank, i).1).collect();
    keys.try_into().ok().unwrap()
}

pub fn load(seq: u16, amount: Fen) -> Load {
    Load {
        amount,
        tx: TxType::Load,
        terminal: "350200000001".parse().unwrap(),
        seq,
        rnd: [1, 2, 3, 4],
        balance_before: Fen(500),
    }
}

pub fn load_request(load: &Load, suite: SuiteId, dlk: &Key) -> LoadRequest {
    let hold = Hold {
        hold_id: format!("hold-{}", load.seq),
        pan: card().pan,
        account: Account::Purse,
        seq: load.seq,
        amount: load.amount,
        time: NOW.parse().unwrap(),
    };
    let hold_signature = ledger().sign(&hold.signing_bytes()).to_bytes().to_vec();
    LoadRequest {
        card: card(),
        suite,
        version: 1,
        terminal: load.terminal,
        rnd: load.rnd,
        balance_before: load.balance_before,
        mac1: load.mac1(suite, dlk),
        hold,
        hold_signature,
    }
}
