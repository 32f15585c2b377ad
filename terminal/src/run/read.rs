//! Reading a card without writing: an operator's number, a card in test mode.

use card_spec::{Channel, id::DeviceNo, time::CardTime};

use crate::{
    card::purse::PurseSession,
    code::Code,
    machine::Task,
    result::{Note, TapResult},
};

/// The card's number; in test mode its kind and balance too.
pub(super) fn number<C: Channel + ?Sized>(
    card: &mut C,
    task: &Task,
    device: DeviceNo,
    at: CardTime,
) -> TapResult {
    let mut note = Note::default();
    let outcome = (|| {
        let mut purse = PurseSession::select(card)?;
        note.pan = Some(purse.public().pan);
        if matches!(task, Task::Operator) {
            return Ok(Code::Identified);
        }
        note.card_kind = Some(purse.region()?.kind);
        note.balance = Some(purse.balance()?);
        Ok(Code::TestPassed)
    })();
    note.finish(device, at, outcome)
}
