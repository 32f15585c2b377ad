//! GTFS-Fares V2, pricing of transfers (fare_transfer_rules.txt): which rule is in force between two
//! legs, and what it charges.

use super::{
    ride::{Charge, Timed},
    v2_match::{Choice, Paid, Payer, Row},
    v2_rules::{Fares, TransferKind, TransferRule},
};

impl Fares {
    /// The transfer rules in force, each with its row. Reference, fare_transfer_rules.txt, steps 2
    /// to 4, transfer_count and duration_limit.
    pub(super) fn transfer<'a>(
        &'a self,
        so_far: &Paid<'a>,
        to: Option<&'a str>,
        leg: usize,
        legs: &[&[Timed<'_>]],
    ) -> Vec<(&'a TransferRule, (u32, usize))> {
        let (Some(from), Some(to)) = (so_far.group, to) else {
            return Vec::new();
        };
        let listed_from = self
            .transfers
            .iter()
            .any(|r| r.from.as_deref() == Some(from));
        let listed_to = self.transfers.iter().any(|r| r.to.as_deref() == Some(to));
        let fits = |wanted: Option<&str>, is: &str, listed: bool| match wanted {
            Some(group) => group == is,
            None => !listed,
        };
        let exact =
            |r: &TransferRule| r.from.as_deref() == Some(from) && r.to.as_deref() == Some(to);
        let any_exact = self.transfers.iter().any(exact);
        let mut found: Vec<(&TransferRule, (u32, usize))> = self
            .transfers
            .iter()
            .filter(|r| {
                if any_exact {
                    exact(r)
                } else {
                    fits(r.from.as_deref(), from, listed_from)
                        && fits(r.to.as_deref(), to, listed_to)
                }
            })
            .map(|rule| {
                let same = |(f, t, ..): &Row<'_>| {
                    rule.from == rule.to && (*f, *t) == (rule.from.as_deref(), rule.to.as_deref())
                };
                let row = match so_far.row.filter(same) {
                    Some((_, _, count, first)) => (count + 1, first),
                    None => (1, leg - 1),
                };
                (rule, row)
            })
            .filter(|(rule, (count, _))| rule.count.is_none_or(|most| *count <= most))
            .filter(|(rule, (_, first))| within(rule, legs[*first], legs[leg]))
            .collect();
        let least = found
            .iter()
            .map(|(rule, _)| rule.count.unwrap_or(u32::MAX))
            .min();
        found.retain(|(rule, _)| Some(rule.count.unwrap_or(u32::MAX)) == least);
        found
    }

    pub(super) fn pay_transfer<'a>(
        &'a self,
        so_far: &Paid<'a>,
        choice: &Choice<'a>,
        rule: &'a TransferRule,
        (count, first): (u32, usize),
        payer: Payer<'_>,
    ) -> Option<Paid<'a>> {
        let mut paid = match rule.kind {
            TransferKind::Both => so_far.plus(choice, false)?,
            TransferKind::FromPlusTransfer => so_far.clone(),
            TransferKind::TransferOnly => {
                let mut paid = so_far.clone();
                if paid.alone {
                    paid.charges.pop();
                }
                paid
            }
        };
        if rule.kind != TransferKind::Both {
            paid.separate += choice.price.map_or(0, |p| p.minor);
        }
        let product = match &rule.product {
            None => None,
            Some(id) => {
                let all = self.products.get(id).into_iter().flatten();
                let usable = all.filter(|p| {
                    payer.may_transfer_with(p) && paid.currency.is_none_or(|c| c == p.currency)
                });
                Some(usable.min_by_key(|p| p.minor)?)
            }
        };
        let minor = product.map_or(0, |p| p.minor);
        paid.charges.push(Charge {
            file: "fare_transfer_rules.txt",
            line: rule.line,
            product: rule.product.clone().unwrap_or_default(),
            minor,
            why: match rule.kind {
                TransferKind::FromPlusTransfer => "transfer, in place of the next leg's fare",
                TransferKind::Both => "transfer, beside the next leg's fare",
                TransferKind::TransferOnly => "transfer, in place of both legs' fares",
            }
            .into(),
        });
        paid.group = choice.rule.group.as_deref();
        paid.alone = false;
        paid.row = Some((rule.from.as_deref(), rule.to.as_deref(), count, first));
        Some(paid)
    }
}

/// `duration_limit`, between the validations that `duration_limit_type` names.
fn within(rule: &TransferRule, first: &[Timed<'_>], last: &[Timed<'_>]) -> bool {
    let (Some((seconds, kind)), [start, ..], [end, ..]) = (rule.limit, first, last) else {
        return true;
    };
    let from = match kind.from_arrival {
        true => first.last().unwrap_or(start).ends,
        false => start.starts,
    };
    let to = match kind.to_arrival {
        true => last.last().unwrap_or(end).ends,
        false => end.starts,
    };
    to.saturating_sub(from) <= seconds
}
