//! What the ledger orders and the card's MAC1 proves: loads of both accounts, overdraft limits.

use card_spec::{
    id::Pan,
    keys::{KeyHeader, KeyType},
    medical,
    purse::{TxType, mac},
    suite::Key,
};
use ed25519_dalek::Signature;
use hsm_client::{Account, HsmError, LoadRequest, OverdraftRequest, Result};
use serde_json::json;
use subtle::ConstantTimeEq;

use super::SoftHsm;
use crate::{
    commands,
    hierarchy::name,
    loads::{Asked, Given, Guess},
    memory::WipeStack,
    proofs,
    sessions::malformed,
    usage::{AuthorizeLoad, KeyName},
    vault::only,
};

/// In the audit line of an answer: how many lines the load memory had when it was given.
pub(super) const MEMORY: &str = "memory";

/// The key that a load is authorised under.
pub(super) const fn loading_key(request: &LoadRequest) -> KeyHeader {
    let key_type = match request.hold.account {
        Account::Purse => KeyType::Dlk,
        Account::Medical => KeyType::Mlk,
    };
    only(key_type, request.suite, request.version)
}

impl SoftHsm {
    pub(super) fn order_load(&self, request: &LoadRequest) -> Result<[u8; 4]> {
        let _wipe = WipeStack;
        self.sound()?;
        let hold = &request.hold;
        self.ordered(
            (hold.pan, request.card.pan),
            &hold.signing_bytes(),
            &request.hold_signature,
        )?;
        let mac2 = self.decide_load(request)?;
        let memory = self.logs()?.loads.lines();
        self.note(
            "authorize-load",
            json!({
                "keys": [name(loading_key(request))],
                "hold": hold.hold_id,
                "pan": hold.pan,
                "account": hold.account,
                "seq": hold.seq,
                "amount_fen": hold.amount,
                "terminal": request.terminal,
                MEMORY: memory,
            }),
        )?;
        self.sync()?;
        Ok(mac2)
    }

    pub(super) fn order_overdraft(&self, request: &OverdraftRequest) -> Result<Vec<u8>> {
        let _wipe = WipeStack;
        self.sound()?;
        let order = &request.order;
        self.ordered(
            (order.pan, request.card.pan),
            &order.signing_bytes(),
            &request.order_signature,
        )?;
        let command = self.decide_overdraft(request)?;
        let memory = self.logs()?.loads.lines();
        self.note(
            "authorize-overdraft",
            json!({
                "keys": [name(only(KeyType::Duk, request.suite, request.version))],
                "order": order.order_id,
                "pan": order.pan,
                "seq": order.seq,
                "old_limit_fen": order.old_limit,
                "new_limit_fen": order.new_limit,
                "terminal": request.terminal,
                MEMORY: memory,
            }),
        )?;
        self.sync()?;
        Ok(command)
    }

    /// The ledger signed this, and for this card.
    fn ordered(&self, (ordered, card): (Pan, Pan), signed: &[u8], signature: &[u8]) -> Result<()> {
        if ordered != card {
            return Err(malformed("the ledger's order is for another card"));
        }
        let key = self.ledger_key.ok_or_else(|| HsmError::WrongState {
            state: "without the ledger's public key".to_owned(),
            needs: "it to check the ledger's orders: give it when the HSM is opened".to_owned(),
        })?;
        let authentic = Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok());
        if authentic {
            return Ok(());
        }
        Err(HsmError::NotAuthentic {
            what: "the ledger's signature".to_owned(),
        })
    }

    /// Limits, memory, MAC1; then MAC2, remembered before it is given out.
    fn decide_load(&self, request: &LoadRequest) -> Result<[u8; 4]> {
        let hold = &request.hold;
        proofs::amounts(&[hold.amount, request.balance_before])?;
        let named = KeyName::<AuthorizeLoad>::new(loading_key(request))?;
        let key = self.noting(self.vault().card_key(named, &request.card))?;
        let [mac1, mac2] = macs(request, key.expose());
        let right = bool::from(mac1.ct_eq(&request.mac1));
        let asked = Asked {
            pan: hold.pan,
            account: hold.account,
            seq: hold.seq,
            given: Given::Load(hold.amount),
            time: hold.time,
            now: (self.clock)(),
            order_id: &hold.hold_id,
        };
        self.give(&asked, right.then_some((mac2, mac2)))
    }

    fn decide_overdraft(&self, request: &OverdraftRequest) -> Result<Vec<u8>> {
        let order = &request.order;
        let asked = Asked {
            pan: order.pan,
            account: Account::Purse,
            seq: order.seq,
            given: Given::Limit(order.new_limit),
            time: order.time,
            now: (self.clock)(),
            order_id: &order.order_id,
        };
        let answer = self.noting(commands::overdraft(&self.vault(), request))?;
        self.give(&asked, answer)
    }

    /// What answers a right MAC1, remembered by its MAC2 before it is given out. Wrong MAC1s of loads
    /// and limits count together: all are guesses at one card's keys.
    fn give<T>(&self, asked: &Asked<'_>, answer: Option<([u8; 4], T)>) -> Result<T> {
        let mut logs = self.logs()?;
        logs.recovery.allows(Some(asked.time))?;
        logs.loads.allow(self.limits, asked)?;
        let Some((mac2, answer)) = answer else {
            logs.loads.mac1_failed(asked.pan)?;
            return Err(HsmError::NotAuthentic {
                what: format!(
                    "MAC1 of card {} (failure {} in a row)",
                    asked.pan,
                    logs.loads.failures(asked.pan, Guess::Mac1)
                ),
            });
        };
        logs.loads.clear(asked.pan, Guess::Mac1)?;
        logs.loads.authorised(asked, mac2)?;
        Ok(answer)
    }
}

/// MAC1 and MAC2 of a load, by the formulas of its account.
fn macs(request: &LoadRequest, key: &Key) -> [[u8; 4]; 2] {
    let (hold, suite) = (&request.hold, request.suite);
    match hold.account {
        Account::Purse => {
            let load = mac::Load {
                amount: hold.amount,
                tx: TxType::Load,
                terminal: request.terminal,
                seq: hold.seq,
                rnd: request.rnd,
                balance_before: request.balance_before,
            };
            [load.mac1(suite, key), load.mac2(suite, key, hold.time)]
        }
        Account::Medical => {
            let load = medical::Load {
                amount: hold.amount,
                terminal: request.terminal,
                seq: hold.seq,
                rnd: request.rnd,
                balance_before: request.balance_before,
            };
            [load.mac1(suite, key), load.mac2(suite, key, hold.time)]
        }
    }
}
