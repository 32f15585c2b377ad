//! What two persons must agree to: parameters and modes for devices, cards taken off the hotlist.

use crate::error::{Refusal, Result};
use crate::house::House;
use crate::store::{Effect, Store};
use crate::tariffs::Timeline;
use card_spec::time::CardTime;
use clearing_api::{
    limits::Limits,
    mode::{self, Mode, ModeOrder, Orders, SignedOrders},
    parameters::{
        Bundle, ParametersAnswer, ParametersRequest, Proposal, Proposed, SignedBundle, SignedTime,
        signing_bytes,
    },
};
use hsm_client::SignPurpose;

/// Longest reason of a refusal that is kept, in characters.
const REASON_MAX: usize = 200;
/// Most places that are named where some are gone.
const GONE_MAX: usize = 10;

impl<S: Store> House<S> {
    /// One person proposes. What could not be carried out is refused now.
    pub async fn propose(&self, who: &str, proposal: &Proposal) -> Result<Proposed> {
        let what = match proposal {
            Proposal::Publish(bundle) => {
                let mut trial = self.tariffs.read().await.clone();
                let (_, notes) = self.complete(bundle.clone(), &mut trial).await?;
                format!("proposes parameters {}{notes}", bundle.version)
            }
            Proposal::Mode { mode, from } => {
                let order = self.order(*mode, *from)?;
                match from {
                    Some(_) => format!("proposes mode {} from {}", mode.name(), order.from),
                    None => format!("proposes mode {} from the agreement on", mode.name()),
                }
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
        let mut what = format!("agrees to proposal {number}");
        self.attribute(who, &what).await?;
        match proposal {
            Proposal::Publish(bundle) => {
                // Versions are published one after the other; sales are rated meanwhile.
                let _turn = self.publishing.lock().await;
                let mut next = self.tariffs.read().await.clone();
                let (bundle, notes) = self.complete(bundle, &mut next).await?;
                let effect = self.sign(&bundle).await?;
                self.carry_out(number, who, &effect).await?;
                *self.tariffs.write().await = next;
                what.push_str(&notes);
            }
            Proposal::Mode { mode, from } => {
                let _turn = self.publishing.lock().await;
                let order = self.order(mode, from)?;
                self.carry_out(number, who, &Effect::Mode(order)).await?;
                self.tariffs.write().await.order(order);
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

    /// An order, as it begins when it is carried out now.
    fn order(&self, mode: Mode, from: Option<CardTime>) -> Result<ModeOrder> {
        let now = self.clock.now();
        let from = from.unwrap_or(now);
        if mode == Mode::Degraded {
            let why = "degraded is what a device finds itself to be: order another mode";
            return Err(Refusal::invalid(why).into());
        }
        if from < now {
            let why =
                "a mode begins now or later: leave its time out to order it from the agreement on";
            return Err(Refusal::invalid(why).into());
        }
        Ok(ModeOrder { mode, from })
    }

    /// Checks a bundle against those published and fills in what it leaves as it was; adds its tariffs
    /// to the timeline. Notes what two persons should know: a version that waits is withdrawn, places
    /// are gone.
    async fn complete(
        &self,
        mut bundle: Bundle,
        timeline: &mut Timeline,
    ) -> Result<(Bundle, String)> {
        if i64::try_from(bundle.version).is_err() || bundle.version == 0 {
            return Err(Refusal::invalid("version must be 1 or more").into());
        }
        let now = self.clock.now();
        if bundle.starts <= now {
            let why = "starts must be to come: no sale that was made changes";
            return Err(Refusal::invalid(why).into());
        }
        let published = self.store.published().await?;
        let published: Vec<Bundle> = published.iter().map(read).collect::<Result<_>>()?;
        let newest = published.last();
        if newest.is_some_and(|n| n.version >= bundle.version) {
            return Err(Refusal::conflict("this version or a later one is published").into());
        }
        // A device has one waiting place.
        let waiting = newest.filter(|newest| newest.starts > now);
        if let Some(Bundle {
            version, starts, ..
        }) = waiting.filter(|w| w.starts < bundle.starts)
        {
            let why = format!(
                "version {version} waits for {starts} on the devices and would never begin: publish with the same start, or after it"
            );
            return Err(Refusal::conflict(why).into());
        }
        let withdrawn = waiting.filter(|waiting| waiting.starts > bundle.starts);
        let base = match withdrawn {
            // What is in force when this one begins.
            Some(_) => published.iter().rev().find(|before| before.starts <= now),
            None => newest,
        };
        if let Some(base) = base {
            let mut limits = base.limits.clone();
            limits.append(&mut bundle.limits);
            bundle.limits = limits;
            if bundle.tariffs.is_empty() {
                bundle.tariffs.clone_from(&base.tariffs);
            }
        }
        Limits::default()
            .overlaid(&bundle.limits)
            .map_err(|why| Refusal::invalid(why.to_string()))?;
        let gone = timeline
            .publish(&bundle)
            .map_err(|why| Refusal::invalid(format!("tariffs: {why}")))?;
        let mut notes = String::new();
        if let Some(Bundle { version, .. }) = withdrawn {
            notes.push_str(&format!(
                "; version {version}, which waits, is withdrawn by it: publish that again"
            ));
        }
        if !gone.is_empty() {
            let first: Vec<&str> = gone.iter().take(GONE_MAX).map(String::as_str).collect();
            notes.push_str(&format!(
                "; {} places are gone, whose devices stay with the version before: {}",
                gone.len(),
                first.join(", ")
            ));
        }
        Ok((bundle, notes))
    }

    /// Takes what was published before this start of the service.
    pub async fn recall_tariffs(&self) -> Result<()> {
        let mut timeline = self.tariffs.write().await;
        for signed in self.store.published().await? {
            let bundle = read(&signed)?;
            timeline.publish(&bundle).map_err(|why| {
                let version = bundle.version;
                Refusal::conflict(format!("published parameters {version}: {why}"))
            })?;
        }
        for order in self.store.mode_orders().await? {
            timeline.order(order);
        }
        Ok(())
    }

    /// The mode orders, signed, for a device that has another version of them.
    async fn signed_orders(&self, known: u64) -> Result<Option<SignedOrders>> {
        let version = self.store.mode_orders().await?.len() as u64;
        if version == known {
            return Ok(None);
        }
        let mut kept = self.signed_orders.lock().await;
        if let Some((_, orders)) = kept.as_ref().filter(|(of, _)| *of == version) {
            return Ok(Some(orders.clone()));
        }
        let orders = self.tariffs.read().await.orders(self.clock.now()).to_vec();
        let body = serde_json::to_string(&Orders { version, orders })
            .map_err(|why| Refusal::malformed(why.to_string()))?;
        let bytes = mode::signing_bytes(&body);
        let signature = self
            .hsm(move |hsm| hsm.sign(SignPurpose::Parameters, &bytes))
            .await?;
        let signature = hex::encode(signature);
        let orders = SignedOrders { body, signature };
        *kept = Some((version, orders.clone()));
        Ok(Some(orders))
    }

    /// What each device told last.
    pub async fn parameter_reports(&self) -> Result<Vec<ParametersRequest>> {
        self.store.reports().await
    }

    /// Answers a device: what is newer than it knows, and the time.
    pub async fn parameters(&self, body: &[u8], signature: &[u8]) -> Result<ParametersAnswer> {
        let mut request: ParametersRequest =
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
        // Shown to staff.
        if let Some(refused) = &mut request.refused {
            let plain = refused.why.chars().filter(|c| !c.is_control());
            refused.why = plain.take(REASON_MAX).collect();
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
        let orders = self.signed_orders(request.orders).await?;
        Ok(ParametersAnswer {
            bundle,
            orders,
            clock,
        })
    }
}

fn read(signed: &SignedBundle) -> Result<Bundle> {
    Ok(serde_json::from_str(&signed.body).map_err(|why| Refusal::conflict(why.to_string()))?)
}
