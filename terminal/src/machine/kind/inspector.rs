//! Inspector's hand-held 稽查终端.

use card_spec::time::CardTime;

use super::Behaviour;
use crate::machine::{Colour, Face, Task};

#[derive(Debug)]
pub(super) struct Inspector;

impl Behaviour for Inspector {
    fn home(&self, _now: CardTime) -> Face {
        Face::new(
            Colour::Ready,
            ("稽查：请出示卡片", "Inspection: card, please"),
            ("只读取，不扣款", "Reads only, charges nothing"),
        )
    }

    fn card(&mut self, _now: CardTime) -> Option<Task> {
        Some(Task::Inspect)
    }

    fn is_attended(&self) -> bool {
        true
    }
}
