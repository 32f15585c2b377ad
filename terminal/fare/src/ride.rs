//! What bus, metro and BRT share: every legal way to pay one leg, and which is chosen.
//!
//! Stored value: one card discount, then the transfer discount, then the caps. A holder of a
//! concession card may pay as such or as an ordinary cardholder (a student's smaller transfer
//! discount on a route without a student fare would else cost more than none). Contracts are taken
//! in the order period pass, stored value that costs nothing, rides, stored value at its best.

use card_spec::{Fen, purse::files::CardKind, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    CityCode, FareState, LegClass, LegMark, Other, PriorLeg, Quote, TariffRef,
    calendar::Calendar,
    contract::{Contracts, ScopedLeg},
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

    /// The rider as an ordinary cardholder.
    const fn ordinary(self) -> Self {
        Self {
            kind: CardKind::Normal,
            ..self
        }
    }
}

/// The rules of a city that hold for every operator in it.
#[derive(Clone, Copy)]
pub(crate) struct CityRules<'a> {
    pub(crate) calendar: &'a Calendar,
    pub(crate) transfers: Option<&'a Transfers>,
    pub(crate) contracts: Option<&'a Contracts>,
}

/// One leg to be priced, its base price already in the bill.
pub(crate) struct Leg<'a> {
    pub(crate) tariff: &'a TariffRef,
    pub(crate) discounts: &'a [Discount],
    pub(crate) rules: CityRules<'a>,
    pub(crate) city: CityCode,
    pub(crate) leg: ScopedLeg<'a>,
    pub(crate) rider: Rider,
    pub(crate) prior: Option<&'a PriorLeg>,
    pub(crate) state: Option<FareState>,
    /// Bus tap or metro entry: when discounts, passes and the transfer window are judged.
    pub(crate) starts: CardTime,
    /// Bus tap or metro exit: the time of the record that this leg leaves on the card.
    pub(crate) ends: CardTime,
    /// The base price depends on what day is a workday.
    pub(crate) uses_calendar: bool,
}

/// One legal way to pay.
struct Offer {
    bill: Bill,
    /// Rule that made it, and its name.
    name: Other,
    /// The kind it is paid as, for the transfer rule.
    kind: CardKind,
    also: Vec<TariffRef>,
    /// The place and new content of the pass that pays.
    pass: Option<(usize, crate::HeldPass)>,
}

impl Leg<'_> {
    /// The price of the leg, with everything else that was possible.
    pub(crate) fn price(&self, bill: &Bill) -> Quote {
        let mut values = self.stored_value(bill, self.rider);
        if self.rider.kind != CardKind::Normal {
            values.extend(self.stored_value(bill, self.rider.ordinary()));
        }
        let best = values
            .iter()
            .enumerate()
            .min_by_key(|(_, offer)| offer.bill.total())
            .map(|(index, _)| index);
        let value = best.map(|index| values.remove(index));
        let pass = self.pass(bill);
        // A ride is worth money: it is not spent where stored value costs nothing.
        let free = value.as_ref().is_some_and(|v| v.bill.total() == Fen::ZERO);
        let (chosen, left) = match (pass, value) {
            (Some(pass), value) if !free || pass.spends_nothing() => (pass, value),
            (pass, Some(value)) => (value, pass),
            (Some(pass), None) => (pass, None),
            (None, None) => return self.quote(bill.total(), self.full(bill), Vec::new()),
        };
        values.extend(left);
        self.quote(bill.total(), chosen, values)
    }

    fn quote(&self, base: Fen, chosen: Offer, left: Vec<Offer>) -> Quote {
        let paid = chosen.bill.total();
        let leg = if self.leg.class == LegClass::Outside {
            LegMark {
                discount: base - paid,
                ..LegMark::carried(self.prior, self.city, self.ends)
            }
        } else {
            LegMark::opens(self.leg.class, base - paid)
        };
        let state = self.state.map(|mut state| {
            if let Some(contracts) = self.rules.contracts {
                let times = (self.starts, self.ends);
                contracts.count(&mut state, self.leg, self.rider.kind, times, paid);
            } else {
                state.tapped(self.ends);
            }
            if let Some((place, held)) = chosen.pass
                && let Some(place) = state.passes.get_mut(place)
            {
                *place = Some(held);
            }
            state.set_window(leg.window, self.ends);
            state
        });
        let mut others: Vec<Other> = left
            .into_iter()
            .map(|offer| Other {
                amount: offer.bill.total(),
                ..offer.name
            })
            .collect();
        others.sort_by_key(|other| other.amount);
        let mut seen = vec![chosen.name.rule];
        others.retain(|other| {
            let new = !seen.contains(&other.rule);
            seen.push(other.rule.clone());
            new
        });
        let mut also = chosen.also;
        if self.uses_calendar && !also.contains(&self.rules.calendar.tariff) {
            also.push(self.rules.calendar.tariff.clone());
        }
        let quote = chosen.bill.quote(base, self.tariff.clone(), also, leg);
        Quote {
            others,
            state,
            ..quote
        }
    }

    fn full(&self, bill: &Bill) -> Offer {
        let rule = bill.first().map(|step| step.rule.clone());
        Offer {
            bill: bill.clone(),
            name: Other {
                rule: rule.unwrap_or_default(),
                zh: "全价".to_owned(),
                en: "full fare".to_owned(),
                amount: Fen::ZERO,
            },
            kind: self.rider.kind,
            also: Vec::new(),
            pass: None,
        }
    }

    /// The pass on the card that pays the leg.
    fn pass(&self, bill: &Bill) -> Option<Offer> {
        let contracts = self.rules.contracts?;
        let (place, pass, held) =
            contracts.pass_for(self.state.as_ref()?, self.leg, self.rider.kind, self.starts)?;
        let mut offer = self.full(bill);
        let (zh, en) = match held.rides_left {
            Some(left) => (
                format!("{}，剩余{left}次", pass.zh),
                format!("{}, {left} rides left", pass.en),
            ),
            None => (pass.zh.clone(), pass.en.clone()),
        };
        let id = &contracts.tariff.id;
        offer.name = Other {
            rule: format!("{id}/{}", pass.rule()),
            zh: zh.clone(),
            en: en.clone(),
            amount: Fen::ZERO,
        };
        offer.bill.add(id, &pass.rule(), zh, en, -bill.total());
        offer.also.push(contracts.tariff.clone());
        offer.pass = Some((place, held));
        Some(offer)
    }

    /// The ways to pay with stored value as `rider`: at full fare and with each discount. Those
    /// that leave less before the transfer discount come first, so that among equals the fewest
    /// rules are blamed.
    fn stored_value(&self, bill: &Bill, rider: Rider) -> Vec<Offer> {
        let base = bill.total();
        let entitled = discount::entitled(
            self.discounts,
            self.rules.calendar,
            rider,
            self.starts,
            base,
        );
        let calendar = entitled
            .uses_calendar
            .then_some(&self.rules.calendar.tariff);
        let mut offers = vec![(base, self.full(bill))];
        for (rule, payable) in entitled.found {
            let mut offer = self.full(bill);
            let (zh, en) = (rule.zh.clone(), rule.en.clone());
            offer.name = Other {
                rule: format!("{}/{}", self.tariff.id, rule.id),
                zh: zh.clone(),
                en: en.clone(),
                amount: Fen::ZERO,
            };
            offer
                .bill
                .add(&self.tariff.id, &rule.id, zh, en, payable - base);
            offers.push((payable, offer));
        }
        offers.sort_by_key(|(payable, _)| *payable);
        offers
            .into_iter()
            .map(|(_, mut offer)| {
                offer.kind = rider.kind;
                offer.also.extend(calendar.cloned());
                self.take_transfer(&mut offer);
                self.take_cap(&mut offer);
                offer
            })
            .collect()
    }

    fn take_transfer(&self, offer: &mut Offer) {
        if let Some(transfers) = self.rules.transfers
            && let Some(prior) = self.prior
            && let Some(rule) =
                transfers.rule(prior, self.city, self.leg.class, self.starts, offer.kind)
        {
            let off = rule.off.0.min(offer.bill.total());
            if off > Fen::ZERO {
                let (zh, en) = (rule.zh.clone(), rule.en.clone());
                offer.bill.add(&transfers.tariff.id, &rule.id, zh, en, -off);
                offer.also.push(transfers.tariff.clone());
            }
        }
    }

    fn take_cap(&self, offer: &mut Offer) {
        if let Some(contracts) = self.rules.contracts
            && let Some(state) = &self.state
            && let Some(room) = contracts.room(state, self.leg, self.rider.kind, self.starts)
            && room.left < offer.bill.total()
        {
            let off = room.left - offer.bill.total();
            let (zh, en) = (room.zh.to_owned(), room.en.to_owned());
            offer
                .bill
                .add(&contracts.tariff.id, &room.rule, zh, en, off);
            offer.also.push(contracts.tariff.clone());
        }
    }
}

impl Offer {
    /// A period pass, which a ride does not use up.
    const fn spends_nothing(&self) -> bool {
        matches!(&self.pass, Some((_, held)) if held.rides_left.is_none())
    }
}
