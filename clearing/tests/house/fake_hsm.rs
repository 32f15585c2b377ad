//! An HSM with one master key a type: real derivations, TACs and MACs; no ceremony, no store.

use card_spec::{
    Fen, SuiteId,
    id::{Pan, SamNo},
    keys::{
        KcvKind, KeyHeader, KeyType, card_key, region_key, ssse_card_key, ssse_process_key,
        ssse_region_key,
    },
    medical,
    purse::{TxType, mac},
    ssse,
    suite::Key,
};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hsm_client::*;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) struct FakeHsm {
    ledger: VerifyingKey,
    loads: Mutex<BTreeMap<(String, u16), Fen>>,
    pub(crate) down: AtomicBool,
    /// How many signatures were asked for.
    pub(crate) signed: AtomicU64,
}

pub(crate) fn key_of(key_type: KeyType, card: CardRef, suite: SuiteId) -> Key {
    let header = KeyHeader {
        key_type,
        index: 1,
        version: 1,
        suite,
    };
    let master = Key::new([key_type as u8; 16]);
    let region = region_key(&master, suite, card.region, card.pan.iin());
    card_key(&region, header, card.pan, card.generation)
}

pub(crate) fn presence(card: CardRef, suite: SuiteId, challenge: [u8; 8]) -> [u8; 8] {
    let region = ssse_region_key(&Key::new([KeyType::Irk as u8; 16]), suite, card.region);
    let card_level = ssse_card_key(&region, suite, &ssse::f1(card.pan));
    ssse_process_key(&card_level, suite, &challenge).cryptogram8(suite, &challenge)
}

impl FakeHsm {
    pub(crate) fn new(ledger: VerifyingKey) -> Self {
        Self {
            ledger,
            loads: Mutex::default(),
            down: AtomicBool::new(false),
            signed: AtomicU64::new(0),
        }
    }

    fn up(&self) -> Result<()> {
        if self.down.load(Ordering::SeqCst) {
            return Err(HsmError::Unreachable {
                address: "fake".into(),
                why: "down".into(),
            });
        }
        Ok(())
    }
}

fn expected_tac(check: &ProofCheck) -> Vec<u8> {
    match *check {
        ProofCheck::Purchase {
            card,
            suite,
            amount,
            tx,
            terminal,
            terminal_seq,
            time,
            seq,
            balance_after,
            context,
            ..
        } => mac::Purchase {
            amount,
            tx,
            terminal,
            terminal_seq,
            time,
            seq,
            rnd: [0; 4],
            context,
        }
        .tac(suite, &key_of(KeyType::Dtk, card, suite), balance_after)
        .to_vec(),
        ProofCheck::Load {
            card,
            suite,
            amount,
            terminal,
            time,
            seq,
            balance_before,
            ..
        } => mac::Load {
            amount,
            tx: TxType::Load,
            terminal,
            seq,
            rnd: [0; 4],
            balance_before,
        }
        .tac(suite, &key_of(KeyType::Dtk, card, suite), time)
        .to_vec(),
        ProofCheck::Visit {
            card,
            suite,
            split,
            terminal,
            terminal_seq,
            time,
            seq,
            balance_after,
            ..
        } => medical::Visit {
            split,
            terminal,
            terminal_seq,
            time,
            seq,
            rnd: [0; 4],
        }
        .tac(suite, &key_of(KeyType::Mtk, card, suite), balance_after)
        .to_vec(),
        ProofCheck::Presence {
            card,
            suite,
            challenge,
            ..
        } => presence(card, suite, challenge).to_vec(),
    }
}

impl Hsm for FakeHsm {
    fn status(&self) -> Result<Status> {
        Err(not_asked())
    }
    fn keys(&self) -> Result<Vec<KeyInfo>> {
        Err(not_asked())
    }
    fn own_keys(&self) -> Result<OwnKeys> {
        Err(not_asked())
    }
    fn scp03_open(&self, _: [u8; 8], _: &[u8], _: u8) -> Result<Opened> {
        Err(not_asked())
    }
    fn scp03_wrap(&self, _: SessionId, _: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        Err(not_asked())
    }
    fn put_issuer_keys(&self, _: SessionId) -> Result<Vec<u8>> {
        Err(not_asked())
    }
    fn wrap_keys(&self, _: SessionId, _: &KeyOrder) -> Result<Vec<Vec<u8>>> {
        Err(not_asked())
    }
    fn first_pin(&self, _: SessionId) -> Result<PinLetter> {
        Err(not_asked())
    }
    fn scp03_close(&self, _: SessionId) -> Result<()> {
        Err(not_asked())
    }
    fn verify(&self, checks: &[ProofCheck]) -> Result<Vec<Result<bool>>> {
        self.up()?;
        Ok(checks
            .iter()
            .map(|check| {
                let given = match check {
                    ProofCheck::Purchase { tac, .. }
                    | ProofCheck::Load { tac, .. }
                    | ProofCheck::Visit { tac, .. } => tac.to_vec(),
                    ProofCheck::Presence { cryptogram, .. } => cryptogram.to_vec(),
                };
                Ok(given == expected_tac(check))
            })
            .collect())
    }
    fn authorize_load(&self, request: &LoadRequest) -> Result<[u8; 4]> {
        self.up()?;
        let signature = Signature::from_slice(&request.hold_signature).expect("64 bytes");
        if self
            .ledger
            .verify_strict(&request.hold.signing_bytes(), &signature)
            .is_err()
        {
            return Err(HsmError::NotAuthentic {
                what: "hold".into(),
            });
        }
        let load = mac::Load {
            amount: request.hold.amount,
            tx: TxType::Load,
            terminal: request.terminal,
            seq: request.hold.seq,
            rnd: request.rnd,
            balance_before: request.balance_before,
        };
        let dlk = key_of(KeyType::Dlk, request.card, request.suite);
        if load.mac1(request.suite, &dlk) != request.mac1 {
            return Err(HsmError::NotAuthentic {
                what: "MAC1".into(),
            });
        }
        let mut loads = self.loads.lock().unwrap();
        let key = (request.card.pan.to_string(), request.hold.seq);
        let before = *loads.entry(key).or_insert(request.hold.amount);
        if before != request.hold.amount {
            return Err(HsmError::Refused {
                why: "another amount for this sequence".into(),
            });
        }
        Ok(load.mac2(request.suite, &dlk, request.hold.time))
    }
    fn sam_ceiling_mac(&self, _: SamNo, _: u8, _: [u8; 8], _: u32) -> Result<[u8; 4]> {
        Err(not_asked())
    }
    fn card_command(&self, _: &CardCommand) -> Result<ReadyCommand> {
        Err(not_asked())
    }
    fn authorize_overdraft(&self, _: &OverdraftRequest) -> Result<Vec<u8>> {
        Err(not_asked())
    }
    fn authenticate_to_card(&self, _: &AuthenticateRequest) -> Result<Vec<u8>> {
        Err(not_asked())
    }
    fn authenticate_mutually(&self, _: &MutualRequest) -> Result<Vec<u8>> {
        Err(not_asked())
    }
    fn key_check_value(&self, _: KeyHeader, _: KcvKind) -> Result<[u8; 3]> {
        Err(not_asked())
    }
    fn sam_write_key(&self, _: &SamKeyRequest) -> Result<Vec<u8>> {
        Err(not_asked())
    }
    fn translate_pin(&self, _: Pan, _: &PinBlock, _: u8) -> Result<PinBlock> {
        Err(not_asked())
    }
    fn verify_pin(&self, _: &PinCheck) -> Result<bool> {
        Err(not_asked())
    }
    fn wrap_data(&self, _: &[DataItem]) -> Result<Vec<Vec<u8>>> {
        Err(not_asked())
    }
    fn unwrap_data(&self, _: &[DataItem]) -> Result<Vec<Vec<u8>>> {
        Err(not_asked())
    }
    fn index_data(&self, _: &str, _: &[String]) -> Result<Vec<[u8; 32]>> {
        Err(not_asked())
    }
    fn sign(&self, _: SignPurpose, message: &[u8]) -> Result<Vec<u8>> {
        self.up()?;
        self.signed.fetch_add(1, Ordering::SeqCst);
        Ok(SigningKey::from_bytes(&[0x51; 32])
            .sign(message)
            .to_bytes()
            .to_vec())
    }
    fn public_key(&self, _: SignPurpose) -> Result<Vec<u8>> {
        Ok(SigningKey::from_bytes(&[0x51; 32])
            .verifying_key()
            .to_bytes()
            .to_vec())
    }
    fn random(&self, _: usize) -> Result<Vec<u8>> {
        Err(not_asked())
    }
}

/// What clearing never asks of an HSM.
fn not_asked() -> HsmError {
    HsmError::Malformed {
        why: "clearing does not ask this".to_owned(),
    }
}
