//! The medical purse's debit: journalled like a tap, torn like a tap.

use card_spec::{Channel, ChannelError, Fen, id::Pan, keys::class, medical::Split, time::CardTime};
use clearing_api::{
    Record,
    record::{CardFacts, Debit, Event, Visit},
};

use super::{HospitalWindow, TornVisit};
use crate::{
    card::{CardError, Pin, medical::MedicalSession, purse::PurseSession},
    code::Code,
    journal::Storage,
    result::{Note, Refusal, TapResult},
    sam::SamUnit,
};

/// The medical purse of the card that was identified, its PIN verified.
pub(super) fn open<C: Channel + ?Sized>(
    card: &mut C,
    pin: Pin,
    expected: Pan,
) -> Result<MedicalSession<'_, C>, Refusal> {
    if PurseSession::select(card)?.public().pan != expected {
        return Err(Refusal::new(
            Code::OtherPerson,
            "another card than the one identified",
        ));
    }
    let mut purse = MedicalSession::select(card)?;
    purse.verify_pin(pin)?;
    Ok(purse)
}

/// What a card owes for one settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    /// The card.
    pub(super) card: CardFacts,
    /// Its factor F1.
    pub(super) f1: [u8; 8],
    /// The three amounts.
    pub(super) split: Split,
    /// The settlement.
    pub(super) setl_id: String,
}

/// Why a debit came to no good end.
#[derive(Debug)]
pub(super) enum Failed {
    /// The card is certainly as it was: no settlement may stand without its debit.
    Untouched(Refusal),
    /// It may have been debited: its record is unknown, or the card is awaited.
    Unsure(Refusal),
}

impl Failed {
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Self::Untouched(refusal) | Self::Unsure(refusal) => refusal,
        }
    }
}

/// What fails before DEBIT goes out leaves the card as it was.
fn untouched(why: impl Into<Refusal>) -> Failed {
    Failed::Untouched(why.into())
}

/// What fails after it does not.
fn unsure(why: impl Into<Refusal>) -> Failed {
    Failed::Unsure(why.into())
}

/// Whether a card that refused `visit` says by sequence and balance too that it did not happen.
fn is_unchanged<C: Channel + ?Sized>(purse: &mut MedicalSession<'_, C>, visit: &Visit) -> bool {
    purse
        .init_purchase(class::ONLY, Split::default(), visit.sam)
        .is_ok_and(|init| (init.seq, init.balance) == (visit.seq, visit.balance_before))
}

impl<S: Storage> HospitalWindow<S> {
    /// INIT, MAC1, intent, DEBIT, MAC2, commit. Answers the personal account afterwards.
    pub(super) fn debit<C: Channel + ?Sized, P: Channel>(
        &mut self,
        purse: &mut MedicalSession<'_, C>,
        sam: &mut SamUnit<P>,
        due: &Due,
        at: CardTime,
        note: &mut Note,
    ) -> Result<Fen, Failed> {
        let init = purse
            .init_purchase(class::ONLY, due.split, sam.number())
            .map_err(untouched)?;
        let mac1 = sam
            .init_medical(&init, due.split, at, due.f1, due.card.region)
            .map_err(untouched)?;
        let balance_after = init.balance - due.split.personal;
        let visit = Visit {
            card: CardFacts {
                suite: init.suite,
                key_version: init.key_version,
                ..due.card
            },
            sam: sam.number(),
            terminal_seq: mac1.terminal_seq,
            seq: init.seq,
            split: due.split,
            balance_before: init.balance,
            balance_after,
            time: at,
            debit: Debit::Unknown,
            institution: self.caller.fixmedins_code.clone(),
            setl_id: due.setl_id.clone(),
        };
        let record = Record {
            journal_seq: self.journal.next_seq(),
            at,
            completes: None,
            hotlist_version: self.hotlist.version(),
            event: Event::Visit(visit.clone()),
        };
        self.journal.intent(record, &[]).map_err(untouched)?;
        match purse.debit(mac1, at) {
            Ok(debited) => {
                let proved = sam.credit(debited.mac2);
                let done = proved == Ok(true);
                let debit = if done {
                    Debit::Done { tac: debited.tac }
                } else {
                    Debit::Unknown
                };
                self.commit_visit(debit, note).map_err(unsure)?;
                let why = "the card's MAC2 was not confirmed";
                done.then_some(balance_after)
                    .ok_or_else(|| unsure(Refusal::new(Code::NotProved, why)))
            }
            // A status word alone is no proof that nothing was taken: the sequence tells.
            Err(refused @ CardError::Status { .. }) if is_unchanged(purse, &visit) => {
                self.commit_visit(Debit::NotDone, note).map_err(untouched)?;
                Err(untouched(refused))
            }
            Err(error) => {
                self.torn = Some(TornVisit {
                    visit,
                    due: due.clone(),
                });
                Err(unsure(Refusal::new(Code::SameCardAgain, error)))
            }
        }
    }

    fn commit_visit(&mut self, debit: Debit, note: &mut Note) -> Result<(), Refusal> {
        let record = self.journal.commit(debit)?;
        note.journal.push(record.journal_seq);
        Ok(())
    }

    /// The card that was torn out of its debit is back. Unchanged: it is debited again for the
    /// same settlement. Advanced: the medical purse proves nothing afterwards, so the record stays
    /// unknown and the settlement, which exists, stands.
    pub fn resume<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        pin: Pin,
        at: CardTime,
    ) -> TapResult {
        let mut note = Note::default();
        let outcome = self.try_resume(card, sam, pin, at, &mut note);
        note.finish(self.journal.device(), at, outcome)
    }

    fn try_resume<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        pin: Pin,
        at: CardTime,
        note: &mut Note,
    ) -> Result<Code, Refusal> {
        let Some(TornVisit { visit, due }) = self.torn.clone() else {
            return Err(Refusal::new(Code::PresentAgain, "no medical debit is torn"));
        };
        note.pan = Some(due.card.pan);
        let again = |refusal: Refusal| match refusal.code {
            Code::PresentAgain | Code::OtherPerson => {
                Refusal::new(Code::SameCardAgain, refusal.detail)
            }
            _ => refusal,
        };
        let mut purse = open(card, pin, due.card.pan).map_err(again)?;
        let init = match purse.init_purchase(class::ONLY, Split::default(), sam.number()) {
            Err(error @ CardError::Channel(ChannelError::CardRemoved)) => {
                return Err(Refusal::new(Code::SameCardAgain, error));
            }
            other => other?,
        };
        self.torn = None;
        if (init.seq, init.balance) != (visit.seq, visit.balance_before) {
            self.commit_visit(Debit::Unknown, note)?;
            note.balance = Some(init.balance);
            return Err(Refusal::new(
                Code::NotProved,
                "the card was debited or used since: settled, its record stays unknown",
            ));
        }
        self.commit_visit(Debit::NotDone, note)?;
        let debited = self.debit(&mut purse, sam, &due, at, note);
        let balance = debited.map_err(Failed::refusal)?;
        note.amount = Some(due.split.personal);
        note.balance = Some(balance);
        Ok(Code::Settled)
    }

    /// The torn card did not come back: its record goes to the clearing house as unknown.
    /// `None` when no debit is torn.
    pub fn give_up(&mut self) -> Result<Option<Record>, Refusal> {
        match self.torn.take() {
            Some(_) => Ok(Some(self.journal.commit(Debit::Unknown)?)),
            None => Ok(None),
        }
    }
}
