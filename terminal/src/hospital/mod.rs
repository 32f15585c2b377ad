//! The hospital window 医院窗口: identity from the card, the bill through the national interface,
//! the cardholder's PIN, the medical purse.
//!
//! Two steps, because a person reads the split between them: [`HospitalWindow::quote`] goes as far
//! as the pre-settlement (2206), [`HospitalWindow::settle`] asks for the PIN on the card, settles
//! (2207) and debits the medical purse.

mod calls;
mod debit;

use card_spec::{Channel, Fen, id::RegionCode, medical::Split, time::CardTime};
use clearing_api::{
    national::{
        Caller, LineResult, PreSettleData, Quantity, SetlDetail, SetlInfo, UnitPrice, Yuan,
    },
    record::{Debit, Visit},
};
use serde::{Deserialize, Serialize};

use crate::{
    admit::Acceptance,
    card::Pin,
    code::Code,
    hotlist::Hotlist,
    journal::{Journal, Storage},
    online::National,
    person::{self, ProvedCard, Randoms},
    result::{Note, Refusal, TapResult},
    sam::SamUnit,
};

/// What the doctor's side knows of a visit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bill {
    /// The institution's own number of the visit.
    pub ipt_otp_no: String,
    /// Medical type: `11` outpatient, `21` inpatient.
    pub med_type: String,
    /// Doctor's code and name.
    pub doctor: (String, String),
    /// Department code and name.
    pub department: (String, String),
    /// Department category.
    pub caty: String,
    /// Lines, in order.
    pub lines: Vec<BillLine>,
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BillLine {
    /// National catalogue code.
    pub med_list_codg: String,
    /// Quantity.
    pub cnt: Quantity,
    /// Unit price.
    pub pric: UnitPrice,
    /// Amount of the line.
    pub amount: Fen,
}

impl Bill {
    fn total(&self) -> Yuan {
        self.lines
            .iter()
            .map(|line| line.amount)
            .sum::<Fen>()
            .into()
    }
}

/// A visit up to its pre-settlement: what the screen shows before the PIN.
#[derive(Debug, Clone, PartialEq)]
pub struct Quoted {
    card: ProvedCard,
    request: PreSettleData,
    lines: Vec<LineResult>,
    insured_at: RegionCode,
    /// Time and number of the message that settles: asking again is the same message, so a lost
    /// answer never settles twice.
    settle_as: (CardTime, u16),
    /// Whether its message is used up: the card was debited for it, perhaps, or it was reversed.
    used: bool,
    /// The split that the pre-settlement announced.
    pub setlinfo: SetlInfo,
    /// Its parts by fund.
    pub setldetail: Vec<SetlDetail>,
}

/// The settlement slip 结算单.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slip {
    /// Institution.
    pub institution: String,
    /// Holder.
    pub name: String,
    /// Lines with their self-paid parts and classes.
    pub lines: Vec<LineResult>,
    /// The settlement.
    pub setlinfo: SetlInfo,
    /// Its parts by fund.
    pub setldetail: Vec<SetlDetail>,
    /// Personal account on the card afterwards, when the card was debited.
    pub card_balance: Option<Fen>,
}

/// What settling came to. A slip exists as soon as the settlement does, also when the card was
/// torn out while its purse was debited.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// For the screen.
    pub result: TapResult,
    /// The slip.
    pub slip: Option<Slip>,
}

/// A window of an institution.
#[derive(Debug)]
pub struct HospitalWindow<S> {
    acceptance: Acceptance,
    caller: Caller,
    journal: Journal<S>,
    hotlist: Hotlist,
    /// Messages sent; their ids count within one second and must not repeat.
    messages: u16,
    torn: Option<TornVisit>,
}

/// A medical debit whose answer never came.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TornVisit {
    visit: Visit,
    due: debit::Due,
}

impl<S: Storage> HospitalWindow<S> {
    /// A window over its opened journal.
    pub fn new(acceptance: Acceptance, caller: Caller, journal: Journal<S>) -> Self {
        Self {
            acceptance,
            caller,
            journal,
            hotlist: Hotlist::default(),
            messages: 0,
            torn: None,
        }
    }

    /// The journal.
    pub const fn journal(&self) -> &Journal<S> {
        &self.journal
    }

    /// The journal, for its upload.
    pub const fn journal_mut(&mut self) -> &mut Journal<S> {
        &mut self.journal
    }

    /// The hotlist, to update.
    pub const fn hotlist_mut(&mut self) -> &mut Hotlist {
        &mut self.hotlist
    }

    /// Whether the window waits for a card that left during its debit.
    pub const fn is_waiting(&self) -> bool {
        self.torn.is_some()
    }

    /// Authenticates the card, reads its holder and takes the bill as far as the pre-settlement:
    /// 9001 (once), 1101, 2201, 2204, 2206.
    ///
    /// # Errors
    /// The refusal, ready for the screen.
    pub fn quote<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        bill: &Bill,
        at: CardTime,
        randoms: Randoms,
        online: &mut dyn National,
    ) -> Result<Quoted, Box<TapResult>> {
        let mut note = Note::default();
        let proved = self.identify(card, sam, at, randoms, &mut note);
        let quoted = proved.and_then(|proved| self.pre_settle(proved, bill, at, online));
        quoted.map_err(|refusal| Box::new(note.finish(self.journal.device(), at, Err(refusal))))
    }

    fn identify<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        at: CardTime,
        randoms: Randoms,
        note: &mut Note,
    ) -> Result<ProvedCard, Refusal> {
        if self.torn.is_some() {
            return Err(Refusal::new(
                Code::SameCardAgain,
                "a medical debit is torn: resume it",
            ));
        }
        if self.journal.pending().is_some() {
            // The disk failed at an earlier commit: that debit is closed as unknown first.
            note.journal
                .push(self.journal.commit(Debit::Unknown)?.journal_seq);
        }
        let proved = person::prove(card, sam, &self.acceptance, at, randoms, note)?;
        if let Some(reason) = self
            .hotlist
            .reason(proved.facts.pan, proved.facts.generation)
        {
            return Err(Refusal::new(Code::Blocked, format!("listed as {reason}")));
        }
        Ok(proved)
    }

    /// Verifies the PIN on the card, settles (2207) and debits the medical purse with the
    /// settlement's split. After a wrong PIN or a lost answer call again: it is the same
    /// settlement. When the card says clearly that it was not debited, the settlement is reversed
    /// (2208), and only a new [`Self::quote`] can follow.
    pub fn settle<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        quoted: &mut Quoted,
        pin: Pin,
        at: CardTime,
        online: &mut dyn National,
    ) -> Settlement {
        let mut note = Note {
            pan: Some(quoted.card.facts.pan),
            ..Note::default()
        };
        let mut slip = None;
        let outcome = self.pay(card, sam, quoted, pin, at, online, (&mut note, &mut slip));
        Settlement {
            result: note.finish(self.journal.device(), at, outcome),
            slip,
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one use case: card, SAM, bill, PIN, time, platform"
    )]
    fn pay<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        quoted: &mut Quoted,
        pin: Pin,
        at: CardTime,
        online: &mut dyn National,
        (note, slip): (&mut Note, &mut Option<Slip>),
    ) -> Result<Code, Refusal> {
        if quoted.used {
            return Err(Refusal::new(
                Code::MedicalRefused,
                "settled or reversed before: begin the bill again",
            ));
        }
        let mut purse = debit::open(card, pin, quoted.card.facts.pan)?;
        let settled = self.settle_online(quoted, online)?;
        let split = settled.setlinfo.card_split();
        let setl_id = settled.setlinfo.setl_id.clone();
        *slip = Some(Slip {
            institution: self.caller.fixmedins_name.clone(),
            name: quoted.card.identity.name.clone(),
            lines: quoted.lines.clone(),
            setlinfo: settled.setlinfo,
            setldetail: settled.setldetail,
            card_balance: None,
        });
        if split == Split::default() {
            return Ok(Code::Settled);
        }
        let due = debit::Due {
            card: quoted.card.facts,
            f1: quoted.card.f1,
            split,
            setl_id,
        };
        let debited = self.debit(&mut purse, sam, &due, at, note);
        if let Err(debit::Failed::Untouched(_)) = &debited {
            // The card is certainly not debited: no settlement may stand without it.
            self.reverse(quoted, &due.setl_id, at, online)?;
            *slip = None;
        }
        quoted.used = true;
        match debited {
            Ok(balance) => {
                note.amount = Some(split.personal);
                note.balance = Some(balance);
                if let Some(slip) = slip {
                    slip.card_balance = Some(balance);
                }
                Ok(Code::Settled)
            }
            Err(failed) => Err(failed.refusal()),
        }
    }
}
