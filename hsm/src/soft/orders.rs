//! Orders for cards and SAMs in the field, and PINs on their way.

use card_spec::{
    keys::{KeyType, kcv},
    perso::{kcv_kind, sam_key},
    sam,
    sm::Challenge8,
};
use hsm_client::{
    AuthenticateRequest, CardCommand, CardOrder, HsmError, NewPin, OverdraftRequest, PinBlock,
    PinCheck, ReadyCommand, Result, SamKeyRequest, ServiceKey,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{SoftHsm, calls::draw_pin};
use crate::{
    commands,
    hierarchy::name,
    loads::Guess,
    memory::WipeStack,
    pin_block::{self, PackedPin},
    sessions::malformed,
    usage::{Below, IssueSam, KeyName, WriteSamKey, attributes},
    vault::{Vault, only},
};

impl SoftHsm {
    pub(super) fn order_for_card(&self, request: &CardCommand) -> Result<ReadyCommand> {
        let _wipe = WipeStack;
        self.sound()?;
        let vault = self.vault();
        let mut letter = None;
        let pin = || match &request.order {
            CardOrder::UnblockPin { pin, .. } | CardOrder::ReloadPin { pin } => match pin {
                NewPin::Drawn => {
                    let (packed, digits) = self.draw(request)?;
                    letter = Some(digits);
                    Ok(packed)
                }
                NewPin::Typed(block) => Self::typed(&vault, request.card.pan, block),
            },
            _ => Err(malformed("this order has no PIN")),
        };
        let command = commands::command(&vault, request, pin);
        let order = match &request.order {
            CardOrder::BlockPurse { permanent } => json!({ "block-purse": permanent }),
            CardOrder::UnblockPurse => json!("unblock-purse"),
            CardOrder::BlockCard => json!("block-card"),
            CardOrder::UnblockPin { of, .. } => json!({ "unblock-pin": of }),
            CardOrder::ReloadPin { .. } => json!("reload-pin"),
            CardOrder::Add { file, contents } => {
                json!({ "add": file, "bytes": contents.len() })
            }
            CardOrder::Write { file, contents } => {
                json!({ "write": file, "bytes": contents.len() })
            }
        };
        // The contents of a file are the holder's: the log has its name and length.
        let detail = json!({
            "pan": request.card.pan,
            "generation": request.card.generation,
            "suite": request.suite,
            "version": request.version,
            "order": order,
            "refused": command.as_ref().err().map(ToString::to_string),
        });
        self.note("card-order", detail)?;
        self.sync()?;
        let apdu = self.noting(command)?;
        Ok(ReadyCommand { apdu, letter })
    }

    /// A PIN for this card, challenge and order.
    fn draw(&self, request: &CardCommand) -> Result<(PackedPin, String)> {
        let mut identity = request.card.pan.to_bytes().to_vec();
        identity.push(request.card.generation.0);
        identity.extend_from_slice(&request.challenge);
        let mut stream = self.entropy.stream("card-pin", &identity, 0);
        let digits = draw_pin(|| stream.array().map(u32::from_be_bytes))?;
        let mut packed = PackedPin::default();
        hex::decode_to_slice(&digits, packed.as_mut())
            .map_err(|_| malformed("a PIN has six digits"))?;
        Ok((packed, digits))
    }

    fn typed(vault: &Vault, pan: card_spec::id::Pan, block: &PinBlock) -> Result<PackedPin> {
        let key = vault.service_version(ServiceKey::Pin, block.version)?;
        pin_block::decipher(key, pan, block.block)
    }

    pub(super) fn order_overdraft(&self, request: &OverdraftRequest) -> Result<Vec<u8>> {
        let _wipe = WipeStack;
        self.sound()?;
        let pan = request.card.pan;
        let decided = self.decide_overdraft(request);
        self.note(
            "authorize-overdraft",
            json!({
                "pan": pan,
                "seq": request.seq,
                "old_limit_fen": request.old_limit,
                "new_limit_fen": request.new_limit,
                "terminal": request.terminal,
                "refused": decided.as_ref().err().map(ToString::to_string),
            }),
        )?;
        self.sync()?;
        self.noting(decided)
    }

    /// Wrong MAC1s count with those of loads: both are guesses at one card's keys.
    fn decide_overdraft(&self, request: &OverdraftRequest) -> Result<Vec<u8>> {
        let pan = request.card.pan;
        let highest = self.limits.overdraft;
        if request.new_limit.0 < 0 || request.new_limit > highest {
            return Err(HsmError::Refused {
                why: format!("a card's overdraft limit is at most {highest} yuan here"),
            });
        }
        let mut logs = self.logs()?;
        logs.recovery.allows(None)?;
        logs.loads.unlocked(pan, Guess::Mac1)?;
        let Some(command) = commands::overdraft(&self.vault(), request)? else {
            logs.loads.failed(pan, Guess::Mac1)?;
            return Err(HsmError::NotAuthentic {
                what: format!("MAC1 of card {pan}"),
            });
        };
        logs.loads.clear(pan, Guess::Mac1)?;
        Ok(command)
    }

    pub(super) fn order_authentication(&self, request: &AuthenticateRequest) -> Result<Vec<u8>> {
        let _wipe = WipeStack;
        self.sound()?;
        let identity = [&request.card.pan.to_bytes()[..], &request.challenge].concat();
        let terminal = self.entropy.stream("authenticate", &identity, 0).array()?;
        let command = self.noting(commands::authenticate(&self.vault(), request, terminal))?;
        self.note(
            "authenticate-to-card",
            json!({ "pan": request.card.pan, "key": name(request.header) }),
        )?;
        self.sync()?;
        Ok(command)
    }

    pub(super) fn order_sam_key(&self, request: &SamKeyRequest) -> Result<Vec<u8>> {
        let _wipe = WipeStack;
        self.sound()?;
        let vault = self.vault();
        let key = KeyName::<IssueSam>::new(request.header)?;
        if attributes(request.header.key_type).below == Below::Sam {
            // Those come with the first step only.
            return Err(crate::vault::wrong_usage(
                request.header,
                "WRITE KEY of a SAM",
            ));
        }
        let issuing = KeyName::<WriteSamKey>::new(only(
            KeyType::SamIssue,
            card_spec::SuiteId::Aes,
            request.issuing_version,
        ))?;
        let header = request.header;
        let region_key = self.noting(vault.region_key(key, request.region, request.iin))?;
        let issuing_key = self.noting(vault.sam_own_key(issuing, request.sam))?;
        let check = kcv(&region_key, header.suite, kcv_kind(header.suite));
        let clear = Zeroizing::new(sam_key(
            request.region.to_bytes(),
            header,
            *region_key.expose(),
            check,
        ));
        let command = sam::write_key(
            issuing.header().suite,
            &issuing_key,
            Challenge8(request.challenge),
            &clear,
        )
        .map_err(|_| malformed("the key does not fit WRITE KEY"))?;
        self.note(
            "sam-write-key",
            json!({ "sam": request.sam, "region": request.region, "key": name(header) }),
        )?;
        self.sync()?;
        Ok(command.to_vec())
    }

    pub(super) fn order_translation(
        &self,
        pan: card_spec::id::Pan,
        block: &PinBlock,
        to: u8,
    ) -> Result<PinBlock> {
        let _wipe = WipeStack;
        self.sound()?;
        let vault = self.vault();
        let pin = Self::typed(&vault, pan, block)?;
        let version = vault.newest_version(ServiceKey::Pin, to)?;
        let key = vault.service_version(ServiceKey::Pin, version)?;
        // A seeded filling follows from the block: another block never meets the same one.
        let identity = Sha256::digest([&pan.to_bytes()[..], &block.block, &[version]].concat());
        let random = self.entropy.stream("pin-block", &identity, 0).array()?;
        let block = pin_block::encipher(key, pan, &pin, random)?;
        self.note("translate-pin", json!({ "pan": pan, "to": version }))?;
        Ok(PinBlock { version, block })
    }

    pub(super) fn order_pin_check(&self, check: &PinCheck) -> Result<bool> {
        let _wipe = WipeStack;
        self.sound()?;
        let vault = self.vault();
        let mut logs = self.logs()?;
        logs.recovery.allows(None)?;
        logs.loads.unlocked(check.pan, Guess::Pin)?;
        let typed = Self::typed(&vault, check.pan, &check.typed)?;
        let reference = Self::typed(&vault, check.pan, &check.reference)?;
        let same = bool::from(typed.ct_eq(&*reference));
        if same {
            logs.loads.clear(check.pan, Guess::Pin)?;
        } else {
            logs.loads.failed(check.pan, Guess::Pin)?;
        }
        drop(logs);
        self.note("verify-pin", json!({ "pan": check.pan, "same": same }))?;
        Ok(same)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Config, Entropy, KdfCost, LoadLimits, Officers, ceremony};
    use card_spec::{
        SuiteId,
        id::{Generation, Pan},
    };
    use hsm_client::{CURRENT, CardRef, Hsm};

    fn hsm(directory: &std::path::Path) -> (SoftHsm, Officers) {
        let entropy = Entropy::seeded([7; 32]);
        let officers = Officers::new("Lin", "Chen").unwrap();
        let now: card_spec::time::CardTime = "2026-11-23T08:00:00".parse().unwrap();
        let custodians = ["Wu", "Zheng", "Huang"];
        let (roots, transcript) = ceremony::run(&entropy, &officers, &custodians, now).unwrap();
        let config = Config {
            directory: directory.to_owned(),
            passphrase: Zeroizing::new("open sesame".to_owned()),
            actor: "tests".to_owned(),
            entropy,
            clock: Arc::new(move || now),
            ledger_key: None,
            limits: LoadLimits::default(),
            token: None,
        };
        let hsm = SoftHsm::create(config, KdfCost::LIGHT, roots, &transcript).unwrap();
        (hsm, officers)
    }

    /// A typed PIN reaches the card from a PIN block; a check of two blocks is no way to guess.
    #[test]
    fn typed_pins_are_loaded_translated_and_checked() {
        let directory = tempfile::tempdir().unwrap();
        let (hsm, _) = hsm(directory.path());
        let pan: Pan = "03500000000000001234".parse().unwrap();
        // As a PIN pad with the PIN key makes it.
        let pad = |digits, filling| {
            let vault = hsm.vault();
            let key = vault.service_key(ServiceKey::Pin).unwrap();
            let block = pin_block::encipher(key, pan, &Zeroizing::new(digits), [filling; 8]);
            PinBlock {
                version: 1,
                block: block.unwrap(),
            }
        };
        let block = pad([0x24, 0x68, 0x13], 1);
        let ready = hsm
            .card_command(&CardCommand {
                card: CardRef {
                    pan,
                    generation: Generation(1),
                    region: "350200".parse().unwrap(),
                },
                suite: SuiteId::Aes,
                version: 1,
                challenge: [3; 8],
                order: CardOrder::ReloadPin {
                    pin: NewPin::Typed(block.clone()),
                },
            })
            .unwrap();
        assert_eq!(ready.apdu[..8], [0x80, 0x5E, 0, 0, 7, 0x24, 0x68, 0x13]);
        assert_eq!(ready.letter, None);
        let moved = hsm.translate_pin(pan, &block, CURRENT).unwrap();
        assert_ne!(moved.block, block.block);
        let check = |typed: &PinBlock| {
            let (typed, reference) = (typed.clone(), moved.clone());
            hsm.verify_pin(&PinCheck {
                pan,
                typed,
                reference,
            })
        };
        assert_eq!(check(&block), Ok(true));
        assert_eq!(check(&pad([0x24, 0x68, 0x13], 2)), Ok(true));
        let other = pad([0x24, 0x68, 0x14], 3);
        for _ in 0..3 {
            assert_eq!(check(&other), Ok(false));
        }
        assert_eq!(check(&block).unwrap_err().code(), 4);
        hsm_client::Administration::clear_load_lock(&hsm, pan).unwrap();
        assert_eq!(check(&block), Ok(true));
        // Of another card, or under a version that is not there.
        let foreign = "03500000000000001235".parse().unwrap();
        assert_eq!(hsm.translate_pin(foreign, &block, 1).unwrap_err().code(), 3);
        let unknown = PinBlock {
            version: 2,
            ..block
        };
        assert_eq!(hsm.translate_pin(pan, &unknown, 1).unwrap_err().code(), 1);
    }
}
