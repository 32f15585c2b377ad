//! GTFS-Fares V2, pricing: which leg rules match (fare_leg_rules.txt), which legs count as one
//! (fare_leg_join_rules.txt). What a transfer costs is in [`super::v2_transfer`].

use std::collections::{BTreeMap, BTreeSet};

use super::{
    calendar::Services,
    money::Currency,
    network::{Network, StopIx},
    ride::{Charge, Payment, Run, Timed},
    timeframes::When,
    v2_rules::{Fares, LegRule, Product},
};

/// Who pays with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Payer<'a> {
    /// Rider category; `None`: only products for everybody.
    pub(super) rider: Option<&'a str>,
    /// Fare medium; `None`: only products whose medium is unknown.
    pub(super) media: Option<&'a str>,
}

/// Most leg groups of one leg that are followed; a leg in more is no fare structure.
const MOST_GROUPS: usize = 16;

/// A rule that matches a leg, with what it costs this payer.
pub(super) struct Choice<'a> {
    pub(super) rule: &'a LegRule,
    /// `None`: not for this payer. The leg may still be paid by a transfer rule.
    pub(super) price: Option<&'a Product>,
}

/// A transfer rule's leg groups, how often in a row it was taken, and the first leg of that row.
pub(super) type Row<'a> = (Option<&'a str>, Option<&'a str>, u32, usize);

/// A journey paid up to some leg.
#[derive(Clone)]
pub(super) struct Paid<'a> {
    pub(super) group: Option<&'a str>,
    pub(super) currency: Option<Currency>,
    pub(super) charges: Vec<Charge>,
    pub(super) separate: i64,
    /// Whether the last charge is that of the last leg alone: `fare_transfer_type` 2 replaces it.
    pub(super) alone: bool,
    /// The transfer rule that paid the last leg, if one did.
    pub(super) row: Option<Row<'a>>,
}

impl Fares {
    /// All ways to pay that can be the best or the worst.
    pub(super) fn payments(
        &self,
        network: &Network,
        services: &Services,
        when: &When,
        rides: &[Timed<'_>],
        payer: Payer<'_>,
    ) -> Vec<Payment> {
        let legs = self.effective_legs(network, rides);
        let choices: Vec<Vec<Choice<'_>>> = legs
            .iter()
            .map(|leg| self.choices(network, services, when, leg, payer))
            .collect();
        let Some((first, rest)) = choices.split_first() else {
            return Vec::new();
        };
        let start = first.iter().filter_map(|choice| {
            let (price, charge) = choice.charge()?;
            Some(Paid {
                group: choice.rule.group.as_deref(),
                currency: Some(price.currency),
                charges: vec![charge],
                separate: price.minor,
                alone: true,
                row: None,
            })
        });
        let mut paid: Vec<Paid<'_>> = start.collect();
        for (ix, choices) in rest.iter().enumerate() {
            paid = paid
                .iter()
                .flat_map(|so_far| choices.iter().map(move |choice| (so_far, choice)))
                .flat_map(|(so_far, choice)| self.extend(so_far, choice, ix + 1, &legs, payer))
                .collect();
        }
        paid.into_iter()
            .filter_map(|p| {
                Some(Payment {
                    currency: p.currency?,
                    charges: p.charges,
                    separate: p.separate,
                })
            })
            .collect()
    }

    /// Joins rides that count as one leg (reference: "effective fare leg").
    fn effective_legs<'a, 'b>(
        &self,
        network: &Network,
        rides: &'b [Timed<'a>],
    ) -> Vec<&'b [Timed<'a>]> {
        rides.chunk_by(|a, b| self.joined(network, a, b)).collect()
    }

    fn joined(&self, network: &Network, a: &Timed<'_>, b: &Timed<'_>) -> bool {
        let (end, start) = (a.ride.to, b.ride.from);
        let station = |stop| network.with_parent(stop).last();
        self.joins.iter().any(|join| {
            let at_stops = match join.stops {
                Some((from, to)) => {
                    network.with_parent(end).any(|s| s == from)
                        && network.with_parent(start).any(|s| s == to)
                }
                None => station(end) == station(start),
            };
            at_stops
                && network_of(network, &a.ride.run) == Some(&*join.from_network)
                && network_of(network, &b.ride.run) == Some(&*join.to_network)
        })
    }

    /// The matching rules that count, per leg group the cheapest and the dearest for this payer.
    fn choices<'a>(
        &'a self,
        network: &Network,
        services: &Services,
        when: &When,
        leg: &[Timed<'_>],
        payer: Payer<'_>,
    ) -> Vec<Choice<'a>> {
        let mut groups: BTreeMap<(Option<&str>, Option<Currency>), Vec<Choice<'a>>> =
            BTreeMap::new();
        for rule in self.matching(network, services, when, leg) {
            let all = self.products.get(&rule.product).into_iter().flatten();
            let mut priced = all.filter(|p| payer.may_use(p)).peekable();
            if priced.peek().is_none() {
                let none = groups.entry((rule.group.as_deref(), None)).or_default();
                none.push(Choice { rule, price: None });
            }
            for product in priced {
                let key = (rule.group.as_deref(), Some(product.currency));
                groups.entry(key).or_default().push(Choice {
                    rule,
                    price: Some(product),
                });
            }
        }
        let minor = |choice: &Choice<'_>| choice.price.map_or(0, |p| p.minor);
        let mut kept = Vec::new();
        for mut choices in groups.into_values().take(MOST_GROUPS) {
            // Stable: the earlier rule stays first at equal price.
            choices.sort_by_key(minor);
            let worst = choices.pop();
            let best = (!choices.is_empty()).then(|| choices.swap_remove(0));
            kept.extend(best.into_iter().chain(worst));
        }
        kept
    }

    /// The rules that price a leg. Reference, fare_leg_rules.txt, steps 1 to 4.
    fn matching(
        &self,
        network: &Network,
        services: &Services,
        when: &When,
        leg: &[Timed<'_>],
    ) -> Vec<&LegRule> {
        let (Some(first), Some(last)) = (leg.first(), leg.last()) else {
            return Vec::new();
        };
        let none = BTreeSet::new();
        let areas = |stop: StopIx| self.areas.get(&stop).unwrap_or(&none);
        let (from, to) = (areas(first.ride.from), areas(last.ride.to));
        let span = (first.starts, last.ends);
        let frames = self.frames.of_ride(services, when, span);
        let timely = |rule: &&LegRule| {
            let holds = |wanted: &Option<Box<str>>, now: &BTreeSet<Box<str>>| {
                wanted.as_ref().is_none_or(|group| now.contains(group))
            };
            holds(&rule.from_frame, &frames.at_start) && holds(&rule.to_frame, &frames.at_end)
        };
        let fits = |rule: &&LegRule| {
            self.fits_networks(network, leg, rule)
                && self.fits_area(rule.from.as_deref(), from, &self.listed.from)
                && self.fits_area(rule.to.as_deref(), to, &self.listed.to)
        };
        let mut found: Vec<&LegRule> = self.legs.iter().filter(timely).filter(fits).collect();
        if self.by_priority {
            let highest = found.iter().map(|rule| rule.priority).max();
            found.retain(|rule| Some(rule.priority) == highest);
        } else {
            // Step 2: a record that matches in every field that it could goes before empty ones.
            let exact = |rule: &&LegRule| {
                let known = |is: bool, wanted: bool| !is || wanted;
                let on = leg
                    .iter()
                    .any(|t| network_of(network, &t.ride.run).is_some());
                known(on, rule.network.is_some())
                    && known(!from.is_empty(), rule.from.is_some())
                    && known(!to.is_empty(), rule.to.is_some())
            };
            if found.iter().any(exact) {
                found.retain(exact);
            }
        }
        found
    }

    fn fits_networks(&self, network: &Network, leg: &[Timed<'_>], rule: &LegRule) -> bool {
        leg.iter().all(|timed| {
            let run = &timed.ride.run;
            match (&rule.network, network_of(network, run)) {
                (Some(wanted), is) => is == Some(&**wanted),
                (None, _) if self.by_priority => true,
                // Without priorities empty means "all networks but the listed ones".
                (None, Some(id)) => !self.listed.networks.contains(id),
                (None, None) => !matches!(run, Run::Any) || self.listed.networks.is_empty(),
            }
        })
    }

    fn fits_area(
        &self,
        wanted: Option<&str>,
        is: &BTreeSet<Box<str>>,
        listed: &BTreeSet<Box<str>>,
    ) -> bool {
        match wanted {
            Some(area) => is.contains(area),
            None if self.by_priority || is.is_empty() => true,
            // Without priorities empty means "all areas but the listed ones".
            None => !is.is_subset(listed),
        }
    }

    /// Pays one leg more.
    fn extend<'a>(
        &'a self,
        so_far: &Paid<'a>,
        choice: &Choice<'a>,
        leg: usize,
        legs: &[&[Timed<'_>]],
        payer: Payer<'_>,
    ) -> Vec<Paid<'a>> {
        let to = choice.rule.group.as_deref();
        let rules = self.transfer(so_far, to, leg, legs);
        if rules.is_empty() {
            // Step 5: no transfer arrangement, the legs are separate.
            return so_far.plus(choice, true).into_iter().collect();
        }
        rules
            .into_iter()
            .filter_map(|(rule, row)| self.pay_transfer(so_far, choice, rule, row, payer))
            .collect()
    }
}

impl<'a> Paid<'a> {
    /// With the next leg's own fare on top.
    pub(super) fn plus(&self, choice: &Choice<'a>, alone: bool) -> Option<Self> {
        let (price, charge) = choice.charge()?;
        if self.currency.is_some_and(|c| c != price.currency) {
            return None;
        }
        let mut paid = self.clone();
        paid.charges.push(charge);
        paid.separate += price.minor;
        paid.group = choice.rule.group.as_deref();
        paid.alone = alone;
        if alone {
            paid.row = None;
        }
        Some(paid)
    }
}

impl<'a> Choice<'a> {
    fn charge(&self) -> Option<(&'a Product, Charge)> {
        let price = self.price?;
        let charge = Charge {
            file: "fare_leg_rules.txt",
            line: self.rule.line,
            product: self.rule.product.clone(),
            minor: price.minor,
            why: format!("fare_products.txt, line {}", price.line),
        };
        Some((price, charge))
    }
}

impl Payer<'_> {
    fn may_use(self, product: &Product) -> bool {
        self.is_eligible(product) && product.media.as_deref() == self.media
    }

    /// A transfer's price without a medium belongs to whatever medium paid the leg before.
    pub(super) fn may_transfer_with(self, product: &Product) -> bool {
        let media = product.media.as_deref();
        self.is_eligible(product) && (media.is_none() || media == self.media)
    }

    fn is_eligible(self, product: &Product) -> bool {
        product.rider.is_none() || product.rider.as_deref() == self.rider
    }
}

fn network_of<'a>(network: &'a Network, run: &'a Run) -> Option<&'a str> {
    match run {
        Run::Route(ix) => network.routes.get(*ix as usize)?.network.as_deref(),
        Run::Network(id) => Some(id),
        Run::Any => None,
    }
}
