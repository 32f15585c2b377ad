//! Opening and closing a shift: by number or by operator card.

use super::{Colour, Face, Key, Operator, Row, Shift, SoftKey, entry::Entry};

/// Shortest operator number.
const NUMBER_MIN: usize = 4;

/// The dialogue.
#[derive(Debug)]
pub(super) struct ShiftDialogue {
    number: Entry,
}

impl Default for ShiftDialogue {
    fn default() -> Self {
        Self {
            number: Entry::number(("操作员号", "Operator number"), 8),
        }
    }
}

/// What a key came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Ignored,
    Taken,
    Leave,
    /// The operator opens a shift, or closes the own one.
    Change(String),
    /// Nobody of that number works here.
    Unknown,
}

impl ShiftDialogue {
    pub(super) fn key(&mut self, key: Key, operators: &[Operator], open: Option<&Shift>) -> Answer {
        match (key, open) {
            (Key::Cancel, _) => Answer::Leave,
            (Key::Soft(0), Some(shift)) => Answer::Change(shift.operator.clone()),
            (Key::Enter, _) => {
                let number = self.number.text();
                let known = operators.is_empty() || operators.iter().any(|o| o.number == number);
                match number.len() >= NUMBER_MIN && known {
                    true => Answer::Change(number),
                    false => Answer::Unknown,
                }
            }
            _ if self.number.key(key) => Answer::Taken,
            _ => Answer::Ignored,
        }
    }

    pub(super) fn face(&self, open: Option<&Shift>) -> Face {
        let action = (
            "输入操作员号或刷操作员卡",
            "Key in number or tap operator card",
        );
        let mut face = match open {
            None => Face::new(Colour::Ready, ("请开班", "Open a shift"), action),
            Some(shift) => {
                let mut face = Face::new(Colour::Ready, ("交班", "Close the shift"), action);
                face.rows = vec![
                    Row::new("操作员", "Operator", &shift.operator),
                    Row::new("开班", "Opened", shift.opened),
                ];
                face.rows.extend(shift.totals.rows());
                face.keys = vec![SoftKey::new("交班", "Close")];
                face
            }
        };
        face.field = Some(self.number.field());
        face
    }
}
