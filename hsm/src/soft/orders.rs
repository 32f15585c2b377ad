//! Orders for cards and SAMs in the field, and PINs on their way.

use card_spec::{
    keys::{KeyType, kcv},
    perso::{kcv_kind, sam_key},
    sam,
    sm::Challenge8,
};
use hsm_client::{
    AuthenticateRequest, CardCommand, CardOrder, HsmError, MutualRequest, NewPin, PinBlock,
    PinCheck, ProofCheck, ReadyCommand, Result, SamKeyRequest, ServiceKey,
};
use serde_json::json;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{SoftHsm, calls::draw_pin, ledger::MEMORY};
use crate::{
    commands,
    hierarchy::name,
    loads::BlockMark,
    memory::WipeStack,
    pin_block::{self, Filling, PackedPin},
    proofs,
    sessions::malformed,
    usage::{Authenticate, Below, IssueSam, KeyName, WriteSamKey, attributes},
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
                NewPin::Typed(block) => {
                    Self::typed(&vault, request.card.pan, block).map(|(pin, _)| pin)
                }
            },
            _ => Err(malformed("this order has no PIN")),
        };
        let apdu = self.noting(commands::command(&vault, request, pin))?;
        self.note("card-order", Self::order_detail(request))?;
        self.sync()?;
        Ok(ReadyCommand { apdu, letter })
    }

    /// What the log says of an order: the contents of a file are the holder's, it has their length.
    pub(super) fn order_detail(request: &CardCommand) -> serde_json::Value {
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
        json!({
            "pan": request.card.pan,
            "generation": request.card.generation,
            "suite": request.suite,
            "version": request.version,
            "order": order,
        })
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

    fn typed(
        vault: &Vault,
        pan: card_spec::id::Pan,
        block: &PinBlock,
    ) -> Result<(PackedPin, Filling)> {
        let key = vault.service_version(ServiceKey::Pin, block.version)?;
        pin_block::decipher(key, pan, block.block)
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

    /// The card first: only what proved to be the card gets a reader's proof.
    pub(super) fn order_mutual_authentication(&self, request: &MutualRequest) -> Result<Vec<u8>> {
        let _wipe = WipeStack;
        let reader = &request.reader;
        KeyName::<Authenticate>::new(reader.header)?;
        let genuine = self.noting(proofs::verify(
            &self.vault(),
            &ProofCheck::Presence {
                card: reader.card,
                suite: reader.header.suite,
                version: request.version,
                challenge: request.sent,
                cryptogram: request.cryptogram,
            },
        ))?;
        if !genuine {
            return Err(HsmError::NotAuthentic {
                what: format!("the answer of card {}", reader.card.pan),
            });
        }
        self.order_authentication(reader)
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
        // With its filling: a block that a check has seen is known under the other key too.
        let (pin, filling) = Self::typed(&vault, pan, block)?;
        let version = vault.newest_version(ServiceKey::Pin, to)?;
        let key = vault.service_version(ServiceKey::Pin, version)?;
        let block = pin_block::encipher(key, pan, &pin, filling)?;
        self.note("translate-pin", json!({ "pan": pan, "to": version }))?;
        Ok(PinBlock { version, block })
    }

    pub(super) fn order_pin_check(&self, check: &PinCheck) -> Result<bool> {
        let _wipe = WipeStack;
        self.sound()?;
        let same = self.decide_pin_check(check)?;
        let memory = self.logs()?.loads.lines();
        self.note(
            "verify-pin",
            json!({ "pan": check.pan, "same": same, MEMORY: memory }),
        )?;
        self.sync()?;
        Ok(same)
    }

    /// What cannot be deciphered counts as a wrong PIN.
    fn decide_pin_check(&self, check: &PinCheck) -> Result<bool> {
        let (vault, day) = (self.vault(), (self.clock)().date());
        let opened = [&check.typed, &check.reference].map(|block| {
            let opened = Self::typed(&vault, check.pan, block);
            let mark = opened.as_ref().map_or_else(
                |_| BlockMark::from(block),
                |(_, filling)| BlockMark::from(*filling),
            );
            (mark, opened.map(|(pin, _)| pin))
        });
        let [(typed, typed_pin), (reference, reference_pin)] = opened;
        let marks = [typed, reference];
        if typed == reference {
            return Err(HsmError::Refused {
                why: "the typed PIN block is the reference itself".to_owned(),
            });
        }
        // One check at a time, and none that is not counted before its answer.
        let mut logs = self.logs()?;
        logs.recovery.allows(None)?;
        logs.loads.pin_allowed(check.pan, day, typed)?;
        let same = typed_pin.and_then(|typed| Ok(bool::from(typed.ct_eq(&*reference_pin?))));
        if matches!(same, Ok(_) | Err(HsmError::NotAuthentic { .. })) {
            let right = same == Ok(true);
            logs.loads.pin_checked(check.pan, day, right, marks)?;
        }
        same
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
        assert_eq!(moved, block, "it has the newest version already");
        let check = |typed: &PinBlock| {
            let (typed, reference) = (typed.clone(), moved.clone());
            hsm.verify_pin(&PinCheck {
                pan,
                typed,
                reference,
            })
        };
        let (right, wrong) = ([0x24, 0x68, 0x13], [0x24, 0x68, 0x14]);
        let fresh = pad(right, 2);
        assert_eq!(check(&fresh), Ok(true));
        let translated = hsm.translate_pin(pan, &fresh, CURRENT).unwrap();
        for seen in [&block, &fresh, &translated] {
            assert_eq!(check(seen).unwrap_err().code(), 4, "nobody typed it now");
        }
        assert_eq!(check(&pad(wrong, 3)), Ok(false));
        assert_eq!(check(&pad(wrong, 4)), Ok(false));
        // What is no PIN block of this card is a guess like any other.
        let noise = PinBlock {
            version: 1,
            block: [9; 16],
        };
        assert_eq!(check(&noise).unwrap_err().code(), 3);
        assert_eq!(check(&pad(right, 5)).unwrap_err().code(), 4);
        hsm_client::Administration::clear_load_lock(&hsm, pan).unwrap();
        assert_eq!(check(&pad(right, 6)), Ok(true));
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
