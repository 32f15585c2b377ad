//! The calls of [`Hsm`], as [`SoftHsm`] answers them; [`super::refusals`] notes what they refuse.

use std::{sync::atomic::Ordering, time::Instant};

use card_spec::{
    SuiteId,
    id::{Pan, SamNo},
    keys::{KcvKind, KeyHeader, KeyType},
    perso::{InitializeUpdateAnswer, KVN_ISSUER, kcv_kind, pin_block},
    sam::RAISE_CEILING_HEADER,
    sm::{self, Challenge8},
};
use hsm_client::{
    AuthenticateRequest, CURRENT, CardCommand, DataItem, Hsm, HsmError, KeyInfo, KeyOrder,
    LoadRequest, MutualRequest, Opened, OverdraftRequest, OwnKeys, PinBlock, PinCheck, PinLetter,
    ProofCheck, ReadyCommand, Result, SamKeyRequest, ServiceKey, SessionId, SignPurpose, State,
    Status,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{locked, refusals::Calls};
use crate::{
    hierarchy::name,
    memory::WipeStack,
    proofs, service,
    sessions::{OpenSession, malformed, opened},
    signing,
    usage::{KeyName, RaiseCeiling},
    vault::{only, serial},
    wrapping,
};

/// Most random bytes in one call.
const RANDOM_MAX: usize = 256;
/// Contexts in one audit line: far below the longest line even when each is escaped.
const CONTEXTS_PER_LINE: usize = 100;
/// Draws of a first PIN before giving up; one is wanted with probability 0.9998.
const PIN_DRAWS_MAX: u32 = 64;

impl Hsm for Calls<'_> {
    fn status(&self) -> Result<Status> {
        let (state, audit_lines, audit_head) = match &self.health {
            Ok(logs) => {
                let logs = locked(logs);
                let state = if locked(&self.authority).is_open(Instant::now()) {
                    State::Authorised
                } else {
                    State::Operational
                };
                (state, logs.audit.lines(), logs.audit.head())
            }
            Err(_) => (State::Tampered, 0, String::new()),
        };
        Ok(Status {
            state,
            demo: self.vault().demo || self.entropy.is_seeded(),
            keys: self.vault().masters.len(),
            audit_lines,
            audit_head,
        })
    }

    fn keys(&self) -> Result<Vec<KeyInfo>> {
        self.sound()?;
        Ok(self
            .vault()
            .masters
            .iter()
            .map(|(header, record)| KeyInfo {
                key_type: header.key_type,
                index: header.index,
                version: header.version,
                suite: header.suite,
                kcv: hex::encode_upper(record.check),
                kcv_kind: kcv_kind(header.suite),
                state: record.life.state(),
                history: record.life.events(),
            })
            .collect())
    }

    fn own_keys(&self) -> Result<OwnKeys> {
        self.sound()?;
        let vault = self.vault();
        Ok(OwnKeys {
            service: vault
                .service
                .iter()
                .map(|((key, version), held)| service::info(*key, *version, held))
                .collect(),
            signing: vault
                .signing
                .iter()
                .map(|((purpose, version), held)| signing::info(*purpose, *version, held))
                .collect::<Result<_>>()?,
        })
    }

    fn scp03_open(&self, host: [u8; 8], init_update: &[u8], level: u8) -> Result<Opened> {
        let _wipe = WipeStack;
        self.sound()?;
        let answer = InitializeUpdateAnswer::from_bytes(init_update)
            .map_err(|_| malformed("an INITIALIZE UPDATE answer has 29 or 32 bytes and SCP 03"))?;
        let card = serial(answer.diversification)?;
        let vault = self.vault();
        // The card names its key set, not the version of the masters it came from.
        let mut result = Err(HsmError::UnknownKey {
            key: format!("issuer-domain set {:02X} that is active", answer.kvn),
        });
        for version in vault.isd_versions(answer.kvn) {
            let keys = self.noting(vault.isd_card_set(answer.kvn, version, card))?;
            result = OpenSession::open(&keys, &host, &answer, level);
            if !matches!(result, Err(HsmError::NotAuthentic { .. })) {
                break;
            }
        }
        let detail = json!({
            "card": card,
            "key_version": answer.kvn,
            "level": level,
            "authentic": result.is_ok(),
        });
        self.note("scp03-open", detail)?;
        let (session, command) = result?;
        let number = locked(&self.sessions).insert(&self.caller, Instant::now(), session)?;
        Ok(opened(number, command))
    }

    fn scp03_wrap(&self, session: SessionId, commands: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        self.sound()?;
        let mut sessions = locked(&self.sessions);
        let open = sessions.get(&self.caller, Instant::now(), session)?;
        open.wrap(commands)
    }

    fn put_issuer_keys(&self, session: SessionId) -> Result<Vec<u8>> {
        let _wipe = WipeStack;
        self.sound()?;
        let mut sessions = locked(&self.sessions);
        let open = sessions.get(&self.caller, Instant::now(), session)?;
        let card = serial(open.diversification)?;
        let set = self.vault().isd_card_set(KVN_ISSUER, CURRENT, card);
        let issuer = self.noting(set)?;
        let command = open.put_key(&issuer)?;
        self.note("put-issuer-keys", json!({ "card": card }))?;
        Ok(command)
    }

    fn wrap_keys(&self, session: SessionId, order: &KeyOrder) -> Result<Vec<Vec<u8>>> {
        let _wipe = WipeStack;
        self.sound()?;
        let mut sessions = locked(&self.sessions);
        let open = sessions.get(&self.caller, Instant::now(), session)?;
        open.needs_issuer_set()?;
        let wrapped = self.noting(wrapping::wrap(&self.vault(), open, order))?;
        let detail = match order {
            KeyOrder::Card { card, headers } => json!({
                "chip": serial(open.diversification)?,
                "pan": card.pan,
                "generation": card.generation,
                "region": card.region,
                "keys": headers.iter().map(|h| name(*h)).collect::<Vec<_>>(),
            }),
            KeyOrder::Sam {
                sam,
                regions,
                headers,
                ..
            } => json!({
                "chip": serial(open.diversification)?,
                "sam": sam,
                "regions": regions,
                "keys": headers.iter().map(|h| name(*h)).collect::<Vec<_>>(),
            }),
        };
        self.note("wrap-keys", detail)?;
        Ok(wrapped)
    }

    fn first_pin(&self, session: SessionId) -> Result<PinLetter> {
        self.sound()?;
        let mut sessions = locked(&self.sessions);
        let open = sessions.get(&self.caller, Instant::now(), session)?;
        open.needs_issuer_set()?;
        let mut identity = open.diversification.to_vec();
        identity.extend_from_slice(&open.challenge);
        let mut stream = self.entropy.stream("first-pin", &identity, open.pins);
        let letter = draw_pin(|| stream.array().map(u32::from_be_bytes))?;
        let mut packed = Zeroizing::new([0; 3]);
        hex::decode_to_slice(&letter, packed.as_mut())
            .map_err(|_| malformed("a PIN has six digits"))?;
        let block = pin_block(packed.as_ref()).map_err(|_| malformed("a PIN has six digits"))?;
        open.pins += 1;
        let wrapped = open.encrypt(block).to_vec();
        let card = serial(open.diversification)?;
        self.note("first-pin", json!({ "chip": card }))?;
        Ok(PinLetter { wrapped, letter })
    }

    fn scp03_close(&self, session: SessionId) -> Result<()> {
        self.sound()?;
        let card = locked(&self.sessions).remove(&self.caller, Instant::now(), session)?;
        let card = serial(card)?;
        self.note("scp03-close", json!({ "chip": card }))?;
        self.sync()
    }

    fn verify(&self, checks: &[ProofCheck]) -> Result<Vec<Result<bool>>> {
        let _wipe = WipeStack;
        self.sound()?;
        let vault = self.vault();
        let verified = checks.iter().map(|check| proofs::verify(&vault, check));
        self.noting(Ok(verified.collect()))
    }

    fn authorize_load(&self, request: &LoadRequest) -> Result<[u8; 4]> {
        self.order_load(request)
    }

    fn sam_ceiling_mac(
        &self,
        sam: SamNo,
        version: u8,
        challenge: [u8; 8],
        ceiling: u32,
    ) -> Result<[u8; 4]> {
        let _wipe = WipeStack;
        self.sound()?;
        let header = only(KeyType::SamCeiling, SuiteId::Aes, version);
        let key_name = KeyName::<RaiseCeiling>::new(header)?;
        let key = self.noting(self.vault().sam_own_key(key_name, sam))?;
        let detail = json!({ "keys": [name(header)], "sam": sam, "ceiling": ceiling });
        self.note("sam-ceiling", detail)?;
        self.sync()?;
        Ok(sm::mac(
            SuiteId::Aes,
            &key,
            Challenge8(challenge),
            RAISE_CEILING_HEADER,
            &ceiling.to_be_bytes(),
        ))
    }

    fn card_command(&self, request: &CardCommand) -> Result<ReadyCommand> {
        self.order_for_card(request)
    }

    fn authorize_overdraft(&self, request: &OverdraftRequest) -> Result<Vec<u8>> {
        self.order_overdraft(request)
    }

    fn authenticate_to_card(&self, request: &AuthenticateRequest) -> Result<Vec<u8>> {
        self.order_authentication(request)
    }

    fn authenticate_mutually(&self, request: &MutualRequest) -> Result<Vec<u8>> {
        self.order_mutual_authentication(request)
    }

    fn key_check_value(&self, header: KeyHeader, kind: KcvKind) -> Result<[u8; 3]> {
        let _wipe = WipeStack;
        self.sound()?;
        self.noting(self.vault().check_value(header, kind))
    }

    fn sam_write_key(&self, request: &SamKeyRequest) -> Result<Vec<u8>> {
        self.order_sam_key(request)
    }

    fn translate_pin(&self, pan: Pan, block: &PinBlock, to: u8) -> Result<PinBlock> {
        self.order_translation(pan, block, to)
    }

    fn verify_pin(&self, check: &PinCheck) -> Result<bool> {
        self.order_pin_check(check)
    }

    fn wrap_data(&self, items: &[DataItem]) -> Result<Vec<Vec<u8>>> {
        self.sound()?;
        let keys = self.vault().personal_data();
        let blobs: Result<Vec<_>> = items
            .iter()
            .map(|item| keys.wrap(&self.entropy, item))
            .collect();
        let blobs = blobs?;
        self.note(
            "wrap-data",
            json!({ "keys": [ServiceKey::PersonalData.name()], "items": items.len() }),
        )?;
        Ok(blobs)
    }

    fn unwrap_data(&self, items: &[DataItem]) -> Result<Vec<Vec<u8>>> {
        self.sound()?;
        let keys = self.vault().personal_data();
        items
            .iter()
            .try_for_each(|i| service::check_context(&i.context))?;
        // Attempts that fail are noted as well.
        for part in items.chunks(CONTEXTS_PER_LINE) {
            let contexts: Vec<&str> = part.iter().map(|i| i.context.as_str()).collect();
            self.note(
                "unwrap-data",
                json!({ "keys": [ServiceKey::PersonalData.name()], "contexts": contexts }),
            )?;
        }
        items.iter().map(|item| keys.unwrap(item)).collect()
    }

    fn index_data(&self, field: &str, values: &[String]) -> Result<Vec<[u8; 32]>> {
        self.sound()?;
        let keys = self.vault().personal_data();
        let hashes: Result<Vec<_>> = values.iter().map(|v| keys.index(field, v)).collect();
        let hashes = hashes?;
        self.note(
            "index-data",
            json!({ "keys": [ServiceKey::PersonalData.name()], "field": field, "values": values.len() }),
        )?;
        Ok(hashes)
    }

    fn sign(&self, purpose: SignPurpose, message: &[u8]) -> Result<Vec<u8>> {
        self.sound()?;
        let vault = self.vault();
        let key = vault.signer(purpose)?;
        let digest = hex::encode(Sha256::digest(message));
        self.note(
            "sign",
            json!({ "keys": [purpose.name()], "sha256": digest }),
        )?;
        self.sync()?;
        key.sign(message)
    }

    fn public_key(&self, purpose: SignPurpose) -> Result<Vec<u8>> {
        self.sound()?;
        self.vault().signer(purpose)?.public_key()
    }

    fn random(&self, length: usize) -> Result<Vec<u8>> {
        self.sound()?;
        if length > RANDOM_MAX {
            return Err(malformed("at most 256 random bytes in one call"));
        }
        let counter = self.randoms.fetch_add(1, Ordering::Relaxed);
        let mut out = vec![0; length];
        self.entropy.stream("random", &[], counter).fill(&mut out)?;
        Ok(out)
    }
}

/// Six digits, each number equally likely: draws beyond the last whole million are thrown away.
pub(super) fn draw_pin(mut next: impl FnMut() -> Result<u32>) -> Result<String> {
    const WHOLE: u32 = u32::MAX / 1_000_000 * 1_000_000;
    for _ in 0..PIN_DRAWS_MAX {
        let value = next()?;
        if value < WHOLE {
            return Ok(format!("{:06}", value % 1_000_000));
        }
    }
    Err(HsmError::WrongState {
        state: "getting the same random numbers again and again".to_owned(),
        needs: "a working random generator".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_uniform_over_a_million() {
        let mut draws = [u32::MAX, 4_294_000_000, 4_293_999_999].into_iter();
        let pin = draw_pin(|| Ok(draws.next().expect("three"))).expect("third is taken");
        assert_eq!(pin, "999999");
        assert_eq!(draw_pin(|| Ok(7)).expect("drawn"), "000007");
        assert!(draw_pin(|| Ok(u32::MAX)).is_err());
    }
}
