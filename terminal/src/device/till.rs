//! A till 收银: goods are sold at the price that was keyed in.

use card_spec::{Fen, time::CardTime};
use clearing_api::record::Service;

use super::{CardView, Offer, Reads, Seller, Site};
use crate::{code::Code, result::Refusal};

/// One sale of a point of sale.
#[derive(Debug, Clone)]
pub struct Till {
    /// Operator and device.
    pub site: Site,
    /// Price.
    pub amount: Fen,
    /// Receipt number.
    pub receipt: String,
}

impl Seller for Till {
    fn reads(&self) -> Reads {
        Reads::default()
    }

    fn repeats(&self) -> bool {
        // Who buys twice pays twice; each sale was keyed in.
        true
    }

    fn offer(&self, _at: CardTime, _card: &CardView) -> Result<Offer, Refusal> {
        if self.amount <= Fen::ZERO {
            return Err(Refusal::new(Code::OverLimit, "a sale is at least 0.01"));
        }
        Ok(Offer {
            amount: self.amount,
            least_balance: self.amount,
            journey: None,
            metro: None,
            state: None,
            service: Service::Retail {
                operator: self.site.operator.clone(),
                receipt: self.receipt.clone(),
            },
            code: Code::ServicePaid,
            price: Vec::new(),
        })
    }
}
