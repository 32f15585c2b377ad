//! Shifts 班次: who works at a device, and what was taken in that time.

use std::collections::BTreeMap;

use card_spec::{Fen, id::Pan, purse::files::CardKind, time::CardTime};
use serde::{Deserialize, Serialize};

use super::{Row, Text};
use crate::{code::Verdict, result::TapResult};

/// Somebody who may open a shift here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Number that is keyed in, up to eight digits.
    pub number: String,
    /// The operator card 操作员卡, by its number.
    pub card: Option<Pan>,
}

/// Money and how often it moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sum {
    /// How often.
    pub count: u32,
    /// How much.
    pub amount: Fen,
}

impl Sum {
    fn add(&mut self, amount: Fen) {
        self.count = self.count.saturating_add(1);
        self.amount = self.amount.checked_add(amount).unwrap_or(self.amount);
    }
}

/// What happened in a shift.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Cards presented.
    pub taps: u32,
    /// Of these refused.
    pub refused: u32,
    /// Taken from cards, by card kind.
    pub paid: BTreeMap<CardKind, Sum>,
    /// Put on cards.
    pub loaded: Sum,
    /// Taken in cash.
    pub cash: Sum,
}

/// Which way a result's money went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// From the card.
    Paid,
    /// To the card.
    Loaded,
}

impl Totals {
    pub(super) fn count(&mut self, result: &TapResult, flow: Flow) {
        self.taps = self.taps.saturating_add(1);
        if result.verdict == Verdict::Refuse {
            self.refused = self.refused.saturating_add(1);
        }
        let Some(amount) = result.amount.filter(|_| result.verdict == Verdict::Open) else {
            return;
        };
        match flow {
            Flow::Paid => {
                let kind = result.card_kind.unwrap_or(CardKind::Normal);
                self.paid.entry(kind).or_default().add(amount);
            }
            Flow::Loaded => self.loaded.add(amount),
        }
    }

    pub(super) fn cash(&mut self, amount: Fen) {
        self.cash.add(amount);
    }

    /// As the screen lists them.
    pub(super) fn rows(&self) -> Vec<Row> {
        let sum = |what: Text, sum: &Sum| Row {
            what,
            value: format!("{} / {}", sum.count, sum.amount),
        };
        let mut rows = vec![
            Row::new("刷卡", "Cards", self.taps),
            Row::new("拒绝", "Refused", self.refused),
        ];
        rows.extend(self.paid.iter().map(|(kind, paid)| sum(name(*kind), paid)));
        let more = [
            (Text::new("充值", "Loaded"), &self.loaded),
            (Text::new("现金", "Cash"), &self.cash),
        ];
        let more = more.into_iter().filter(|(_, of)| of.count > 0);
        rows.extend(more.map(|(what, of)| sum(what, of)));
        rows
    }
}

/// A card kind's name.
pub(super) fn name(kind: CardKind) -> Text {
    match kind {
        CardKind::Normal => Text::new("普通卡", "Ordinary"),
        CardKind::Student => Text::new("学生卡", "Student"),
        CardKind::Elderly => Text::new("老人卡", "Elderly"),
        CardKind::Test => Text::new("测试卡", "Test"),
        CardKind::Military => Text::new("军人卡", "Military"),
        CardKind::Disabled => Text::new("爱心卡", "Disabled"),
    }
}

/// A shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// The operator's number.
    pub operator: String,
    /// Since when.
    pub opened: CardTime,
    /// Until when; `None` while it is open.
    pub closed: Option<CardTime>,
    /// What happened.
    pub totals: Totals,
}

impl Shift {
    pub(super) fn open(operator: &str, at: CardTime) -> Self {
        Self {
            operator: operator.to_owned(),
            opened: at,
            closed: None,
            totals: Totals::default(),
        }
    }
}
