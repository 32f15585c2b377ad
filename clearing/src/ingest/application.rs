//! Application: proofs in one HSM batch, judgement, one transaction. Idempotent.

use super::checks::{self, judge};
use crate::error::Result;
use crate::house::House;
use crate::store::Store;
use clearing_api::{Batch, BatchAnswer};

impl<S: Store> House<S> {
    pub(crate) async fn apply(&self, id: u64, batch: &Batch) -> Result<BatchAnswer> {
        let facts = self.store.facts(id, batch).await?;
        let (places, proofs): (Vec<usize>, Vec<_>) = batch
            .records
            .iter()
            .enumerate()
            .filter_map(|(place, record)| {
                checks::proof(batch.device, record, &facts).map(|proof| (place, proof))
            })
            .unzip();
        let answers = if proofs.is_empty() {
            Vec::new()
        } else {
            self.hsm(move |hsm| hsm.verify(&proofs)).await?
        };
        let mut verified = vec![None; batch.records.len()];
        for (place, answer) in places.into_iter().zip(answers) {
            if let Some(slot) = verified.get_mut(place) {
                *slot = Some(answer);
            }
        }
        let tariffs = self.tariffs.read().await.clone();
        let judged: Vec<_> = batch
            .records
            .iter()
            .zip(verified)
            .map(|(record, verified)| judge(record, &facts, verified, &tariffs))
            .collect();
        let today = self.clock.now().date();
        self.store.apply(id, &judged, today).await
    }
}
