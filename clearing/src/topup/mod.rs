//! Online top-up 圈存: a hold signed by the ledger, MAC2 from the HSM, confirmation by the TAC.

use crate::error::{ClearingError, Refusal, Result};
use crate::house::House;
use crate::ingest::digest;
use crate::store::{HoldState, Store, TopUpRow};
use clearing_api::topup::{TopUp, TopUpConfirm, TopUpGrant, TopUpRequest, TopUpState};
use ed25519_dalek::Signer;
use hsm_client::{Account, CardRef, Hold, HsmError, LoadRequest, ProofCheck};

impl<S: Store> House<S> {
    /// Authorises one top-up. The same request again gets the same answer.
    pub async fn top_up(&self, body: &[u8], signature: &[u8]) -> Result<TopUpGrant> {
        let request: TopUpRequest =
            serde_json::from_slice(body).map_err(|why| Refusal::malformed(why.to_string()))?;
        let operator = self
            .signed_by(request.device, body, signature)
            .await?
            .operator;
        let _one_at_a_time = self.loading.lock().await;
        let now = self.clock.now();
        let hold = self
            .store
            .hold(&request, &digest(body), &operator, now)
            .await?;
        match &hold.row.state {
            HoldState::Refused(reason) => return Err(Refusal::top_up_refused(reason).into()),
            HoldState::Granted(TopUpState::Reversed) => {
                return Err(Refusal::conflict(
                    "this authorisation was reversed by a later one: start again with the card",
                )
                .into());
            }
            HoldState::Granted(_) => return grant_of(&hold.row),
            HoldState::Held => {}
        }
        let reason = match self.top_up_problem(&request).await? {
            Some(reason) => Some(reason),
            None => hold
                .rival
                .as_ref()
                .and_then(|rival| rival_problem(rival, &request)),
        };
        if let Some(reason) = reason {
            return self.refuse_top_up(hold.row.id, reason).await;
        }
        let load = self.load_request(&hold.row);
        match self.hsm(move |hsm| hsm.authorize_load(&load)).await {
            Ok(mac2) => {
                let rival = hold.rival.map(|rival| rival.id);
                self.store
                    .grant(hold.row.id, mac2, rival, now.date())
                    .await?;
                Ok(TopUpGrant {
                    id: hold.row.id,
                    time: hold.row.time,
                    mac2,
                })
            }
            // The HSM's answer about this load, not about its own state.
            Err(ClearingError::Hsm(
                why @ (HsmError::NotAuthentic { .. }
                | HsmError::Refused { .. }
                | HsmError::UnknownKey { .. }
                | HsmError::WrongUsage { .. }
                | HsmError::Malformed { .. }),
            )) => self.refuse_top_up(hold.row.id, why.to_string()).await,
            Err(other) => Err(other),
        }
    }

    /// The card took the load.
    pub async fn confirm_top_up(&self, id: u64, body: &[u8], signature: &[u8]) -> Result<TopUp> {
        let confirm: TopUpConfirm =
            serde_json::from_slice(body).map_err(|why| Refusal::malformed(why.to_string()))?;
        self.signed_by(confirm.device, body, signature).await?;
        if confirm.id != id {
            return Err(Refusal::invalid("id in the body is not the one in the address").into());
        }
        let missing = || Refusal::not_found("no such top-up of this device");
        let row = self.store.top_up(id).await?.ok_or_else(missing)?;
        if row.request.device != confirm.device {
            return Err(missing().into());
        }
        match (&row.state, row.tac) {
            (HoldState::Granted(TopUpState::Confirmed), Some(tac)) if tac == confirm.tac => {}
            // Also what was taken without a TAC, and what an older INIT reversed: the TAC decides.
            (HoldState::Granted(TopUpState::Authorised | TopUpState::Reversed), _)
            | (HoldState::Granted(TopUpState::Confirmed), None) => {
                let check = load_proof(&row, confirm.tac);
                let verified = self.hsm(move |hsm| hsm.verify(&[check])).await?;
                if !matches!(verified.first(), Some(Ok(true))) {
                    return Err(Refusal::wrong_tac(
                        "the card's answer does not prove this load: read balance and online sequence again",
                    )
                    .into());
                }
                self.store.confirm(id, confirm.tac, self.today()).await?;
            }
            _ => {
                return Err(Refusal::conflict(
                    "this top-up was refused or confirmed with another TAC",
                )
                .into());
            }
        }
        let row = self.store.top_up(id).await?.ok_or_else(missing)?;
        let HoldState::Granted(state) = row.state else {
            return Err(missing().into());
        };
        Ok(TopUp {
            id,
            state,
            amount: row.request.amount,
            day: row.day,
        })
    }

    /// The device, when its key signed the body.
    async fn signed_by(
        &self,
        device: card_spec::id::DeviceNo,
        body: &[u8],
        signature: &[u8],
    ) -> Result<clearing_api::registry::Device> {
        match self.store.device(device).await? {
            Some(device) if crate::ingest::is_signed_by(&device, body, signature) => Ok(device),
            _ => Err(Refusal::unauthorised(
                "the body is not signed by the key of a registered device",
            )
            .into()),
        }
    }

    async fn refuse_top_up(&self, id: u64, reason: String) -> Result<TopUpGrant> {
        self.store.refuse(id, &reason, self.today()).await?;
        Err(Refusal::top_up_refused(reason).into())
    }

    /// Why clearing itself refuses, if it does.
    async fn top_up_problem(&self, request: &TopUpRequest) -> Result<Option<String>> {
        let facts = &request.card;
        let after = request.balance_before.checked_add(request.amount);
        if request.amount <= card_spec::Fen::ZERO || request.amount > self.limits.per_load {
            let limit = self.limits.per_load;
            return Ok(Some(format!(
                "the amount must be above zero and at most {limit}"
            )));
        }
        if after.is_none_or(|after| after > self.limits.max_balance) {
            let limit = self.limits.max_balance;
            return Ok(Some(format!("the balance would exceed {limit}")));
        }
        if facts.pan.is_sample() {
            return Ok(Some("sample cards cannot be loaded".to_owned()));
        }
        Ok(match self.store.card(facts.pan).await? {
            None => Some("the card was never handed out".to_owned()),
            Some((card, _))
                if card.generation != facts.generation || card.region != facts.region =>
            {
                Some(
                    "generation or region are not those of the card that was handed out".to_owned(),
                )
            }
            Some((_, Some(_))) => {
                Some("the card is hotlisted: keep it and call the issuer".to_owned())
            }
            Some((_, None)) => None,
        })
    }

    /// The hold, signed with the ledger's key, around the card's proof.
    fn load_request(&self, row: &TopUpRow) -> LoadRequest {
        let request = &row.request;
        let hold = Hold {
            hold_id: row.id.to_string(),
            pan: request.card.pan,
            account: Account::Purse,
            seq: request.seq,
            amount: request.amount,
            time: row.time,
        };
        LoadRequest {
            card: card_ref(request),
            suite: request.card.suite,
            version: request.card.key_version,
            terminal: request.terminal,
            rnd: request.rnd,
            balance_before: request.balance_before,
            mac1: request.mac1,
            hold_signature: self
                .ledger_key
                .sign(&hold.signing_bytes())
                .to_bytes()
                .to_vec(),
            hold,
        }
    }
}

const fn card_ref(request: &TopUpRequest) -> CardRef {
    CardRef {
        pan: request.card.pan,
        generation: request.card.generation,
        region: request.card.region,
    }
}

const fn load_proof(row: &TopUpRow, tac: [u8; 4]) -> ProofCheck {
    let request = &row.request;
    ProofCheck::Load {
        card: card_ref(request),
        suite: request.card.suite,
        version: request.card.key_version,
        amount: request.amount,
        terminal: request.terminal,
        time: row.time,
        seq: request.seq,
        balance_before: request.balance_before,
        tac,
    }
}

fn grant_of(row: &TopUpRow) -> Result<TopUpGrant> {
    let mac2 = row.mac2.ok_or_else(|| ClearingError::Damaged {
        what: "top-up",
        why: "authorised without MAC2".to_owned(),
    })?;
    Ok(TopUpGrant {
        id: row.id,
        time: row.time,
        mac2,
    })
}

/// An earlier authorisation for the same online sequence. A new random number says that INIT was run
/// again: once the HSM finds its MAC1 good, the earlier load did not happen. The same random number
/// proves nothing, and a confirmed load cannot be undone.
fn rival_problem(rival: &TopUpRow, request: &TopUpRequest) -> Option<String> {
    match rival.state {
        HoldState::Granted(TopUpState::Confirmed) => {
            Some("this online sequence was loaded and confirmed: read the card again".to_owned())
        }
        _ if rival.request.rnd == request.rnd => Some(
            "another top-up is authorised for this online sequence: initialise the card again"
                .to_owned(),
        ),
        _ => None,
    }
}
