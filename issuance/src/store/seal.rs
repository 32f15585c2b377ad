//! Personal data at rest: wrapped and hashed by the HSM, so that the database alone tells nobody's
//! name, identity number, employer or account.

use super::{Result, StoreError};
use crate::person::Person;
use hsm_client::{DataItem, Hsm, HsmError};
use std::sync::Arc;

const CORRUPT: StoreError = StoreError::Corrupt { what: "a person" };

/// Column whose values the keyed hashes stand for.
const FIELD: &str = "certno";

/// A person as the database keeps it.
#[derive(Debug, Clone)]
pub(super) struct Sealed {
    /// Keyed hash of the identity number, hex.
    pub(super) certno_hash: String,
    /// Blob, hex.
    pub(super) body: String,
}

/// The HSM, asked from asynchronous code.
#[derive(Clone)]
pub(super) struct Sealer(Arc<dyn Hsm>);

impl core::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    pub(super) fn new(hsm: Arc<dyn Hsm>) -> Self {
        Self(hsm)
    }

    /// The HSM's calls block: they have threads of their own.
    async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Hsm) -> hsm_client::Result<T> + Send + 'static,
    ) -> Result<T> {
        let hsm = Arc::clone(&self.0);
        let answer = tokio::task::spawn_blocking(move || call(&*hsm)).await;
        let answer = answer.map_err(|e| HsmError::WrongState {
            state: format!("interrupted ({e})"),
            needs: "a restart of this service".to_owned(),
        });
        Ok(answer.flatten()?)
    }

    /// Seals persons; one answer each, in order.
    pub(super) async fn seal(&self, persons: &[Person]) -> Result<Vec<Sealed>> {
        if persons.is_empty() {
            return Ok(Vec::new());
        }
        let mut items = Vec::with_capacity(persons.len());
        for person in persons {
            items.push(DataItem {
                context: person.psn_no.to_string(),
                data: serde_json::to_vec(person).map_err(|_| CORRUPT)?,
            });
        }
        let numbers: Vec<String> = persons
            .iter()
            .map(|p| p.certno.as_str().to_owned())
            .collect();
        let (blobs, hashes) = self
            .ask(move |hsm| Ok((hsm.wrap_data(&items)?, hsm.index_data(FIELD, &numbers)?)))
            .await?;
        if blobs.len() != persons.len() || hashes.len() != persons.len() {
            return Err(CORRUPT);
        }
        Ok(blobs
            .into_iter()
            .zip(hashes)
            .map(|(blob, hash)| Sealed {
                certno_hash: hex::encode(hash),
                body: hex::encode(blob),
            })
            .collect())
    }

    /// Opens the bodies of rows `(person number, body)`; one answer each, in order.
    pub(super) async fn open(&self, rows: Vec<(String, String)>) -> Result<Vec<Person>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let count = rows.len();
        let mut items = Vec::with_capacity(count);
        for (context, body) in rows {
            let data = hex::decode(body).map_err(|_| CORRUPT)?;
            items.push(DataItem { context, data });
        }
        let plain = self.ask(move |hsm| hsm.unwrap_data(&items)).await?;
        if plain.len() != count {
            return Err(CORRUPT);
        }
        plain
            .iter()
            .map(|json| serde_json::from_slice(json).map_err(|_| CORRUPT))
            .collect()
    }
}
