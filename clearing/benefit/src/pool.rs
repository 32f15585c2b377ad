//! What a pool pays over segments, up to what is left of its limit.

use card_spec::Fen;

use crate::decimal::Ratio;
use crate::policy::Segment;

/// The outcome of [`pay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paid {
    /// Paid by the pool.
    pub(crate) amount: Fen,
    /// The share it stands for, before the limit: one segment's own ratio, or the mean of several
    /// weighted by cost (`pool_prop_selfpay`).
    pub(crate) ratio: Ratio,
    /// Cost that the limit left without a payment; large amount begins here.
    pub(crate) beyond_cap: Fen,
}

/// Pays the costs between `from` and `to` by segment, multiplied by `factor`, until `remaining` is
/// used up. Each segment's payment is rounded half up.
pub(crate) fn pay(segments: &[Segment], factor: Ratio, from: Fen, to: Fen, remaining: Fen) -> Paid {
    let mut left = remaining.max(Fen::ZERO);
    let mut paid = Fen::ZERO;
    let mut beyond_cap = Fen::ZERO;
    let mut weighted: i128 = 0;
    let mut cost_sum: i128 = 0;
    for (cost, ratio) in slices(segments, from, to) {
        let ratio = ratio.times(factor);
        let due = ratio.of(cost);
        let pays = due.min(left);
        // What the payment stands for: all of the cost, or the part that the last fen reach.
        let covered = if pays == due {
            cost
        } else {
            pays.ratio_half_up(10_000, i64::from(ratio.units()))
                .unwrap_or(cost)
                .min(cost)
        };
        paid += pays;
        left -= pays;
        beyond_cap += cost - covered;
        weighted += i128::from(ratio.units()) * i128::from(cost.0);
        cost_sum += i128::from(cost.0);
    }
    Paid {
        amount: paid,
        ratio: mean(weighted, cost_sum),
        beyond_cap,
    }
}

/// The parts of `from..to` that fall into each segment, with the segment's ratio.
pub(crate) fn slices(
    segments: &[Segment],
    from: Fen,
    to: Fen,
) -> impl Iterator<Item = (Fen, Ratio)> {
    let mut start = from;
    segments.iter().filter_map(move |segment| {
        let end = segment.to.map_or(to, |end| end.min(to));
        let cost = end - start;
        if cost <= Fen::ZERO {
            return None;
        }
        start = end;
        Some((cost, segment.ratio))
    })
}

fn mean(weighted: i128, cost: i128) -> Ratio {
    if cost == 0 {
        return Ratio::ZERO;
    }
    u32::try_from((weighted * 2 + cost) / (cost * 2))
        .ok()
        .and_then(|units| Ratio::from_units(units).ok())
        .unwrap_or(Ratio::ONE)
}
