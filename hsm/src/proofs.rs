//! Verification of proofs: TACs and presence, thousands in one call.

use card_spec::{
    Fen, SuiteId,
    keys::{KeyHeader, KeyType, ssse_kid, ssse_process_key},
    medical::Visit,
    purse::{
        TxType,
        mac::{Load, Purchase},
    },
};
use hsm_client::{CardRef, ProofCheck, Result};
use subtle::ConstantTimeEq;

use crate::{
    sessions::malformed,
    usage::{KeyName, VerifyPresence, VerifyTac},
    vault::{Vault, only},
};

/// One proof. Only TAC and authentication keys are used here, each for its own kind.
pub(crate) fn verify(vault: &Vault, check: &ProofCheck) -> Result<bool> {
    let tac_key = |key_type, suite: &SuiteId, version: &u8, card: &CardRef| {
        vault.card_key(
            KeyName::<VerifyTac>::new(only(key_type, *suite, *version))?,
            card,
        )
    };
    match check {
        ProofCheck::Purchase {
            card,
            suite,
            version,
            amount,
            tx,
            terminal,
            terminal_seq,
            time,
            seq,
            balance_after,
            context,
            tac,
        } => {
            amounts(&[*amount, *balance_after])?;
            let dtk = tac_key(KeyType::Dtk, suite, version, card)?;
            let purchase = Purchase {
                amount: *amount,
                tx: *tx,
                terminal: *terminal,
                terminal_seq: *terminal_seq,
                time: *time,
                seq: *seq,
                // The TAC does not cover the random number.
                rnd: [0; 4],
                context: *context,
            };
            Ok(equal(
                &purchase.tac(*suite, dtk.expose(), *balance_after),
                tac,
            ))
        }
        ProofCheck::Load {
            card,
            suite,
            version,
            amount,
            terminal,
            time,
            seq,
            balance_before,
            tac,
        } => {
            amounts(&[*amount, *balance_before])?;
            amounts(&[*amount + *balance_before])?;
            let dtk = tac_key(KeyType::Dtk, suite, version, card)?;
            let load = Load {
                amount: *amount,
                tx: TxType::Load,
                terminal: *terminal,
                seq: *seq,
                rnd: [0; 4],
                balance_before: *balance_before,
            };
            Ok(equal(&load.tac(*suite, dtk.expose(), *time), tac))
        }
        ProofCheck::Visit {
            card,
            suite,
            version,
            split,
            terminal,
            terminal_seq,
            time,
            seq,
            balance_after,
            tac,
        } => {
            amounts(&[
                split.personal,
                split.self_paid,
                split.pooled,
                *balance_after,
            ])?;
            let mtk = tac_key(KeyType::Mtk, suite, version, card)?;
            let visit = Visit {
                split: *split,
                terminal: *terminal,
                terminal_seq: *terminal_seq,
                time: *time,
                seq: *seq,
                rnd: [0; 4],
            };
            Ok(equal(&visit.tac(*suite, mtk.expose(), *balance_after), tac))
        }
        ProofCheck::Presence {
            card,
            suite,
            version,
            challenge,
            cryptogram,
        } => {
            let header = KeyHeader {
                key_type: KeyType::Irk,
                index: ssse_kid::INTERNAL,
                version: *version,
                suite: *suite,
            };
            let irk = vault.card_key(KeyName::<VerifyPresence>::new(header)?, card)?;
            let process = ssse_process_key(irk.expose(), *suite, challenge);
            Ok(equal(&process.cryptogram8(*suite, challenge), cryptogram))
        }
    }
}

/// MACs are computed over four-byte amounts: what does not fit is refused, or two different
/// amounts would have one TAC.
pub(crate) fn amounts(all: &[Fen]) -> Result<()> {
    if all.iter().all(|amount| amount.to_card().is_ok()) {
        return Ok(());
    }
    Err(malformed("an amount is negative or above four bytes"))
}

fn equal<const N: usize>(a: &[u8; N], b: &[u8; N]) -> bool {
    a.ct_eq(b).into()
}
