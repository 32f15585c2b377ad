//! What two persons must agree to: parameters for devices, cards taken off the hotlist.

use crate::error::{Refusal, Result};
use crate::house::House;
use crate::store::{Effect, Store};
use crate::tariffs::Timeline;
use clearing_api::parameters::{
    Bundle, ParametersAnswer, ParametersRequest, Proposal, Proposed, SignedBundle, SignedTime,
    signing_bytes,
};
use hsm_client::SignPurpose;
use std::collections::BTreeMap;

impl<S: Store> House<S> {
    /// One person proposes. What could not be carried out is refused now.
    pub async fn propose(&self, who: &str, proposal: &Proposal) -> Result<Proposed> {
        let what = match proposal {
            Proposal::Publish(bundle) => {
                let mut trial = self.tariffs.read().await.clone();
                self.complete(bundle.clone(), &mut trial).await?;
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
        match proposal {
            Proposal::Publish(bundle) => {
                // Held over the whole: versions are published one after the other.
                let mut tariffs = self.tariffs.write().await;
                let mut next = tariffs.clone();
                let bundle = self.complete(bundle, &mut next).await?;
                let effect = self.sign(&bundle).await?;
                self.carry_out(number, who, &effect).await?;
                *tariffs = next;
            }
            Proposal::Unlist { pan, generation } => {
                let effect = Effect::Unlist { pan, generation };
                self.carry_out(number, who, &effect).await?;
            }
        }
        Ok(Proposed { number, what })
    }

    async fn carry_out(&self, number: u64, who: &str, effect: &Effect) -> Result<()> {
        let now = self.clock.now();
        match self.store.carry_out(number, who, effect, now).await? {
            true => Ok(()),
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

    /// Checks a bundle against those published, and fills in the tariffs of the newest where it brings
    /// none; adds to the timeline those that it brings.
    async fn complete(&self, mut bundle: Bundle, timeline: &mut Timeline) -> Result<Bundle> {
        if i64::try_from(bundle.version).is_err() || bundle.version == 0 {
            return Err(Refusal::invalid("version must be 1 or more").into());
        }
        let newest = match self.store.newest_parameters(0).await? {
            Some(newest) => Some(read(&newest)?),
            None => None,
        };
        if newest.as_ref().is_some_and(|n| n.version >= bundle.version) {
            return Err(Refusal::conflict("this version or a later one is published").into());
        }
        let now = self.clock.now();
        let waiting = newest.as_ref().filter(|newest| newest.starts > now);
        if let Some(why) = waiting.and_then(|waiting| displaced(waiting, &bundle)) {
            return Err(Refusal::conflict(why).into());
        }
        if !bundle.tariffs.is_empty() {
            if bundle.starts <= now {
                let why = "starts must be to come: tariffs change no sale that was made";
                return Err(Refusal::invalid(why).into());
            }
            timeline
                .publish(&bundle)
                .map_err(|why| Refusal::invalid(format!("tariffs: {why}")))?;
        } else if let Some(newest) = newest {
            bundle.tariffs = newest.tariffs;
        }
        Ok(bundle)
    }

    /// Takes the tariffs that were published before this start of the service.
    pub async fn recall_tariffs(&self) -> Result<()> {
        let mut timeline = self.tariffs.write().await;
        let mut last = BTreeMap::new();
        for signed in self.store.published().await? {
            let bundle = read(&signed)?;
            if bundle.tariffs != last {
                timeline.publish(&bundle).map_err(|why| {
                    let version = bundle.version;
                    Refusal::conflict(format!("published parameters {version}: {why}"))
                })?;
            }
            last = bundle.tariffs;
        }
        Ok(())
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

fn read(signed: &SignedBundle) -> Result<Bundle> {
    Ok(serde_json::from_str(&signed.body).map_err(|why| Refusal::conflict(why.to_string()))?)
}

/// What would be lost if `next` took the place of a bundle that waits: a device has one such place.
fn displaced(waiting: &Bundle, next: &Bundle) -> Option<String> {
    let Bundle {
        version, starts, ..
    } = waiting;
    if next.starts > *starts {
        let why = "would never begin: publish after that";
        return Some(format!(
            "version {version} waits for {starts} on the devices and {why}"
        ));
    }
    (next.tariffs.is_empty() && !waiting.tariffs.is_empty()).then(|| {
        let why = "send tariffs too, and publish that version's again later";
        format!("version {version} waits on the devices with tariffs, which would be lost: {why}")
    })
}
