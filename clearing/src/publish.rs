//! What two persons must agree to: parameters for devices, cards taken off the hotlist.

use crate::error::{Refusal, Result};
use crate::house::House;
use crate::store::{Effect, Store};
use clearing_api::parameters::{
    Bundle, ParametersAnswer, ParametersRequest, Proposal, Proposed, SignedBundle, SignedTime,
    signing_bytes,
};
use hsm_client::SignPurpose;

impl<S: Store> House<S> {
    /// One person proposes. What could not be carried out is refused now.
    pub async fn propose(&self, who: &str, proposal: &Proposal) -> Result<Proposed> {
        let what = match proposal {
            Proposal::Publish(bundle) => {
                self.check(bundle).await?;
                format!("proposes parameters {}", bundle.version)
            }
            Proposal::Unlist { pan, generation } => {
                format!(
                    "proposes to take {pan} generation {} off the hotlist",
                    generation.0
                )
            }
        };
        self.attribute(who, &what).await?;
        let body =
            serde_json::to_string(proposal).map_err(|why| Refusal::malformed(why.to_string()))?;
        let number = self.store.propose(&body, who, self.clock.now()).await?;
        Ok(Proposed { number, what })
    }

    /// Another person agrees, and it is done.
    pub async fn approve(&self, who: &str, number: u64) -> Result<Proposed> {
        let Some(row) = self.store.proposal(number).await? else {
            return Err(Refusal::not_found("no such proposal").into());
        };
        if row.approved_by.is_some() {
            return Err(Refusal::conflict("this proposal was carried out already").into());
        }
        if row.proposed_by == who {
            return Err(Refusal::forbidden("another person than the proposer must agree").into());
        }
        let proposal: Proposal = serde_json::from_str(&row.body)
            .map_err(|why| Refusal::conflict(format!("propose it anew: {why}")))?;
        let what = format!("agrees to proposal {number}");
        self.attribute(who, &what).await?;
        let effect = match proposal {
            Proposal::Publish(bundle) => {
                self.check(&bundle).await?;
                self.sign(&bundle).await?
            }
            Proposal::Unlist { pan, generation } => Effect::Unlist { pan, generation },
        };
        let now = self.clock.now();
        match self.store.carry_out(number, who, &effect, now).await? {
            true => Ok(Proposed { number, what }),
            false => Err(Refusal::conflict("this proposal was carried out already").into()),
        }
    }

    async fn sign(&self, bundle: &Bundle) -> Result<Effect> {
        let body =
            serde_json::to_string(bundle).map_err(|why| Refusal::malformed(why.to_string()))?;
        let bytes = signing_bytes(&body);
        let signature = self
            .hsm(move |hsm| hsm.sign(SignPurpose::Parameters, &bytes))
            .await?;
        Ok(Effect::Publish {
            version: bundle.version,
            bundle: SignedBundle {
                body,
                signature: hex::encode(signature),
            },
        })
    }

    /// Newer than all published. Tariffs that a device could not load are found by the device, and
    /// told in its next question; whoever publishes tries them with `onecard fare` first.
    async fn check(&self, bundle: &Bundle) -> Result<()> {
        if i64::try_from(bundle.version).is_err() || bundle.version == 0 {
            return Err(Refusal::invalid("version must be 1 or more").into());
        }
        match self.store.newest_parameters(bundle.version - 1).await? {
            Some(_) => Err(Refusal::conflict("this version or a later one is published").into()),
            None => Ok(()),
        }
    }

    /// What each device told last.
    pub async fn parameter_reports(&self) -> Result<Vec<ParametersRequest>> {
        self.store.reports().await
    }

    /// Answers a device: what is newer than it knows, and the time.
    pub async fn parameters(&self, body: &[u8], signature: &[u8]) -> Result<ParametersAnswer> {
        let request: ParametersRequest =
            serde_json::from_slice(body).map_err(|why| Refusal::malformed(why.to_string()))?;
        let device = self.store.device(request.device).await?;
        let is_genuine =
            device.is_some_and(|device| crate::ingest::is_signed_by(&device, body, signature));
        if !is_genuine {
            return Err(Refusal::unauthorised("not signed by a registered device").into());
        }
        if request.nonce.len() != 32 || !request.nonce.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Refusal::invalid("nonce must be 32 hex digits").into());
        }
        let now = self.clock.now();
        self.store.note_report(&request, now).await?;
        let mut clock = SignedTime {
            now,
            nonce: request.nonce,
            signature: String::new(),
        };
        let bytes = clock.signing_bytes();
        let signature = self
            .hsm(move |hsm| hsm.sign(SignPurpose::Parameters, &bytes))
            .await?;
        clock.signature = hex::encode(signature);
        let known = request.known.max(request.held);
        let bundle = match i64::try_from(known) {
            Ok(_) => self.store.newest_parameters(known).await?,
            Err(_) => None,
        };
        Ok(ParametersAnswer { bundle, clock })
    }
}
