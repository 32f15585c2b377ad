//! What bus and metro share: card discount first, transfer discount after it.

use card_spec::{Fen, purse::files::CardKind, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    CityCode, LegClass, LegMark, PriorLeg, Quote, TariffRef,
    calendar::Calendar,
    discount::{self, Discount},
    quote::Bill,
    transfer::Transfers,
};

/// Who rides, as far as a price depends on it. A terminal knows the kind from file 17 and, when it
/// may read file 16, the age; the back office knows both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rider {
    /// Card kind, byte 10 of file 17.
    pub kind: CardKind,
    /// Completed years of age on the day of travel, when known.
    pub age: Option<u8>,
}

impl Rider {
    /// A rider known by the card's kind alone.
    pub const fn of_kind(kind: CardKind) -> Self {
        Self { kind, age: None }
    }
}

/// One leg to be priced, its base price already in the bill.
pub(crate) struct Leg<'a> {
    pub(crate) tariff: &'a TariffRef,
    pub(crate) discounts: &'a [Discount],
    pub(crate) transfers: Option<&'a Transfers>,
    pub(crate) calendar: &'a Calendar,
    pub(crate) city: CityCode,
    pub(crate) class: LegClass,
    pub(crate) rider: Rider,
    pub(crate) prior: Option<&'a PriorLeg>,
    /// Bus tap or metro entry: when discounts and the transfer window are judged.
    pub(crate) starts: CardTime,
    /// Bus tap or metro exit: the time of the record that this leg leaves on the card.
    pub(crate) ends: CardTime,
}

impl Leg<'_> {
    /// Takes the discounts off the bill's total.
    ///
    /// The rider is priced as the holder of this card and as an ordinary cardholder, and pays the
    /// lower of the two: a concession card must never cost more (a student's smaller transfer
    /// discount on a route without a student fare would).
    pub(crate) fn price(&self, bill: Bill) -> Quote {
        let own = self.priced_as(self.rider, bill.clone());
        if self.rider.kind == CardKind::Normal {
            return own;
        }
        let ordinary = self.priced_as(
            Rider {
                kind: CardKind::Normal,
                ..self.rider
            },
            bill,
        );
        if ordinary.amount < own.amount {
            ordinary
        } else {
            own
        }
    }

    fn priced_as(&self, rider: Rider, mut bill: Bill) -> Quote {
        let base = bill.total();
        let mut also = Vec::new();
        let best = discount::best(self.discounts, self.calendar, rider, self.starts, base);
        if best.uses_calendar {
            also.push(self.calendar.tariff.clone());
        }
        if let Some((rule, payable)) = best.found {
            bill.add(
                &self.tariff.id,
                &rule.id,
                rule.zh.clone(),
                rule.en.clone(),
                payable - base,
            );
        }
        if self.class == LegClass::Outside {
            let mark = LegMark {
                discount: base - bill.total(),
                ..LegMark::carried(self.prior, self.city, self.ends)
            };
            return bill.quote(base, self.tariff.clone(), also, mark);
        }
        if let Some(transfers) = self.transfers
            && let Some(prior) = self.prior
            && let Some(rule) =
                transfers.rule(prior, self.city, self.class, self.starts, rider.kind)
        {
            let off = rule.off.0.min(bill.total());
            if off > Fen::ZERO {
                bill.add(
                    &transfers.tariff.id,
                    &rule.id,
                    rule.zh.clone(),
                    rule.en.clone(),
                    -off,
                );
                also.push(transfers.tariff.clone());
            }
        }
        let mark = LegMark::opens(self.class, base - bill.total());
        bill.quote(base, self.tariff.clone(), also, mark)
    }
}
