//! Numbers keyed in: an amount, a PIN, an operator's number.

use card_spec::Fen;

use super::{Digit, Field, Key, Text};
use crate::card::Pin;

/// What a number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Digits as they are.
    Number,
    /// Fen, shown as yuan.
    Money,
    /// Shown as dots.
    Secret,
}

/// Digits keyed in so far. Bounded; a secret is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Entry {
    meaning: Meaning,
    what: (&'static str, &'static str),
    digits: Vec<Digit>,
    max: usize,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({:?}, {} digits)", self.meaning, self.digits.len())
    }
}

impl Entry {
    pub(super) const fn number(what: (&'static str, &'static str), max: usize) -> Self {
        Self::new(Meaning::Number, what, max)
    }

    /// Up to 9,999.99 yuan.
    pub(super) const fn money(what: (&'static str, &'static str)) -> Self {
        Self::new(Meaning::Money, what, 6)
    }

    /// Six digits.
    pub(super) const fn pin() -> Self {
        Self::new(Meaning::Secret, ("请输入密码", "PIN"), 6)
    }

    const fn new(meaning: Meaning, what: (&'static str, &'static str), max: usize) -> Self {
        Self {
            meaning,
            what,
            digits: Vec::new(),
            max,
        }
    }

    /// Whether the key belonged to the entry.
    pub(super) fn key(&mut self, key: Key) -> bool {
        match key {
            Key::Digit(digit) if self.digits.len() < self.max => {
                self.digits.push(digit);
                true
            }
            Key::Delete => self.digits.pop().is_some(),
            _ => false,
        }
    }

    pub(super) fn text(&self) -> String {
        self.digits.iter().map(|digit| digit.character()).collect()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.digits.is_empty()
    }

    /// The amount keyed in; `None` for nothing.
    pub(super) fn amount(&self) -> Option<Fen> {
        let fen = self.text().parse().ok().map(Fen);
        fen.filter(|fen| *fen > Fen::ZERO)
    }

    /// The PIN, when it is complete.
    pub(super) fn secret(&self) -> Option<Pin> {
        Pin::from_digits(&self.text()).ok()
    }

    /// As the screen shows it.
    pub(super) fn field(&self) -> Field {
        let (shown, unit) = match self.meaning {
            Meaning::Number => (self.text(), Text::default()),
            Meaning::Money => {
                let fen = self.text().parse().map_or(Fen::ZERO, Fen);
                (fen.to_string(), Text::new("元", "yuan"))
            }
            Meaning::Secret => ("●".repeat(self.digits.len()), Text::default()),
        };
        Field {
            what: Text::new(self.what.0, self.what.1),
            shown,
            unit,
        }
    }
}
