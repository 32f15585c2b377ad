//! Telling the clearing house who exists: persons, cards, SAMs.

use crate::{
    issue::Issued,
    plan::{CardPlan, SamPlan},
};
use clearing_api::registry::{Card, Insured, Sam};

/// What of the clearing house issuance needs. Every call is a PUT: repeating it changes nothing.
pub trait Registry {
    /// Registers an insured person.
    fn insured(&self, insured: &Insured) -> Result<(), String>;
    /// Registers a card.
    fn card(&self, card: &Card) -> Result<(), String>;
    /// Registers a SAM.
    fn sam(&self, sam: &Sam) -> Result<(), String>;
}

impl Registry for clearing_api::Client {
    fn insured(&self, insured: &Insured) -> Result<(), String> {
        self.put_insured(insured)
            .map(drop)
            .map_err(|e| e.to_string())
    }
    fn card(&self, card: &Card) -> Result<(), String> {
        self.put_card(card).map(drop).map_err(|e| e.to_string())
    }
    fn sam(&self, sam: &Sam) -> Result<(), String> {
        self.put_sam(sam).map(drop).map_err(|e| e.to_string())
    }
}

/// The clearing house did not take something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "clearing did not register {what}: {why}. {done} were registered before it; run it again, nothing is registered twice"
)]
pub struct RegisterError {
    /// Person or card number.
    pub what: String,
    /// What clearing said.
    pub why: String,
    /// How many persons and cards were registered before.
    pub done: usize,
}

/// Registers holders first, then their cards. Returns the number of cards.
pub fn all(registry: &dyn Registry, issued: &[Issued]) -> Result<usize, RegisterError> {
    let mut done = 0;
    for one in issued {
        let person = &one.work.person;
        let failed = |what: &dyn core::fmt::Display, why: String| RegisterError {
            what: what.to_string(),
            why,
            done,
        };
        registry
            .insured(&person.insured())
            .map_err(|why| failed(&person.psn_no, why))?;
        registry
            .card(&one.registry_card())
            .map_err(|why| failed(&one.plan.pan, why))?;
        done += 1;
    }
    Ok(done)
}

impl CardPlan {
    /// The card as clearing knows it.
    pub fn registry_card(&self, psn_no: &crate::person::PersonNo) -> Card {
        Card {
            pan: self.pan,
            generation: self.generation,
            region: self.region,
            kind: self.kind,
            psn_no: psn_no.to_string(),
            medical_balance: self.medical_balance,
            valid_from: self.valid_from,
            valid_to: self.valid_to,
        }
    }
}

impl SamPlan {
    /// The SAM as clearing knows it, held by an operator.
    pub fn registry_sam(&self, operator: &str) -> Sam {
        Sam {
            sam: self.sam,
            class: self.kind.class(),
            operator: operator.to_owned(),
            revoked: false,
        }
    }
}
