//! The transit purse: files, balance and the PBOC commands.
//!
//! The card has one purse, PBOC's e-purse 电子钱包 (EP, P2 02) as T-Union uses it: it is paid from
//! without a PIN, may have an overdraft, and is loaded online with the PIN. There is no e-deposit
//! 电子存折 (ED): its forms (P2 01 of GET BALANCE, INITIALIZE FOR LOAD and FOR PURCHASE) and those
//! of cash and unload answer 6A86. The one P2 01 that is accepted is the field's own UPDATE
//! OVERDRAFT LIMIT, which acts on this purse.

mod command;
mod load;
mod maintain;
mod overdraft;
mod perso;
mod purchase;
mod table;
mod transaction;

pub(crate) use perso::{key_stored, personalise, set_pin};
pub(crate) use table::FILES;

use crate::{
    apdu::{self, Answer, Out, Outcome, put},
    card::Interface,
    counter::{ROW, Row},
    error::Error,
    file::{self, Current, Cyclic},
    nvm::{Entropy, Nvm},
    pin,
    select::Challenge,
    store::Area,
    transaction::{PROOF, prove},
};
use card_spec::{
    Fen,
    purse::{TxType, files},
};

use self::transaction::{LOAD, OVERDRAFT, PURCHASE};
use command::{COMMANDS, Op};

/// Offsets inside the purse's area.
mod at {
    use super::{Cyclic, PROOF, ROW, Row, files, pin};

    pub(super) const STATE: usize = crate::layout::PRESENT;
    pub(super) const FILE15: usize = 1;
    /// Last day of the card's validity, in file 15.
    pub(super) const VALID_TO: usize = FILE15 + 24;
    pub(super) const FILE16: usize = FILE15 + files::Public::LEN;
    pub(super) const FILE17: usize = FILE16 + super::HOLDER;
    pub(super) const LIMITS: usize = FILE17 + files::Region::LEN;
    pub(super) const METRO: usize = LIMITS + files::Limits::LEN;
    /// Money on the card, four bytes signed: negative while an overdraft is used.
    pub(super) const BALANCE: usize = METRO + super::METRO_RECORDS as usize * files::Metro::LEN;
    pub(super) const OFFLINE_SEQ: usize = BALANCE + 4;
    pub(super) const ONLINE_SEQ: usize = OFFLINE_SEQ + 2;
    /// Date 4 and total 4 of the offline spending of that date: the latest date.
    pub(super) const DAY: usize = ONLINE_SEQ + 2;
    /// Of the last purchase, then of the last load.
    pub(super) const PROVE_PURCHASE: usize = DAY + 8;
    pub(super) const PROVE_LOAD: usize = PROVE_PURCHASE + PROOF;
    /// Six rows.
    const ROWS: usize = PROVE_LOAD + PROOF;
    pub(super) const LOAD_ROW: Row = Row::mac(ROWS);
    // Two rows that layouts 1 and 2 used: purchase and field lock.
    pub(super) const MAINTENANCE_ROW: Row = Row::mac(ROWS + 3 * ROW);
    pub(super) const UNBLOCK_ROW: Row = Row::mac(ROWS + 4 * ROW);
    /// PIN UNBLOCK and RELOAD PIN.
    pub(super) const PIN_ROW: Row = Row::mac(ROWS + 5 * ROW);
    pub(super) const PIN: usize = ROWS + 6 * ROW;
    pub(super) const LOG: Cyclic = Cyclic::new(PIN + pin::PIN, files::LogRecord::LEN, 10);
    pub(super) const JOURNEY: Cyclic = Cyclic::new(LOG.end(), files::Journey::LEN, 10);
    /// Of the last change of the overdraft limit.
    pub(super) const PROVE_OVERDRAFT: usize = JOURNEY.end();
    pub(super) const OVERDRAFT_ROW: Row = Row::mac(PROVE_OVERDRAFT + PROOF);
    /// As [`DAY`], for the dates before it.
    pub(super) const EARLIER_DAY: usize = PROVE_OVERDRAFT + PROOF + ROW;
    pub(super) const TRAVEL: usize = EARLIER_DAY + 8;
    pub(super) const END: usize = TRAVEL + files::TRAVEL;
}
pub(crate) const AREA: usize = at::END;

/// Records of file 1A: metro, and one for special uses.
const METRO_RECORDS: u8 = 2;
/// Bytes of file 16.
const HOLDER: usize = 55;

/// What the application is able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Absent = 0,
    Ready = 1,
    Blocked = 2,
    PermanentlyBlocked = 3,
}

/// What the purse remembers while it is selected.
#[derive(Default)]
pub(crate) struct Ram {
    pin: Option<pin::Verified>,
    pub(crate) current: Current,
    transaction: Transaction,
}

/// The transaction that an INIT opened. DEBIT and CREDIT consume it, whatever comes of them.
#[derive(Default)]
#[expect(
    clippy::large_enum_variant,
    reason = "one value per card, no heap to box into"
)]
enum Transaction {
    #[default]
    None,
    Load(load::Open),
    Purchase(purchase::Open),
    Overdraft(overdraft::Open),
}

/// The purse at work on one command.
pub(crate) struct Purse<'a, N, R> {
    pub(crate) area: Area<'a, N>,
    pub(crate) entropy: &'a mut R,
    pub(crate) ram: &'a mut Ram,
    pub(crate) challenge: &'a mut Option<Challenge>,
    pub(crate) interface: Interface,
}

/// Whether a command of the purse, once done, blocks the whole card.
pub(crate) const fn blocks_card(c: &apdu::Command<'_>) -> bool {
    matches!((c.cla, c.ins), (0x84, 0x16))
}

pub(crate) fn state<N: Nvm>(area: &Area<'_, N>) -> State {
    match area.byte(at::STATE) {
        0 => State::Absent,
        1 => State::Ready,
        2 => State::Blocked,
        _ => State::PermanentlyBlocked,
    }
}

/// Whether the card can live under these limits: the overdraft covers what is owed now, and
/// balances fit into their 31 bits.
fn bearable<N: Nvm>(area: &Area<'_, N>, limits: &files::Limits) -> bool {
    let money = Fen(i64::from(i32::from_be_bytes(area.array(at::BALANCE))));
    let highest = limits.max_balance + limits.overdraft;
    money + limits.overdraft >= Fen::ZERO && highest.0 <= i64::from(i32::MAX)
}

/// The FCI, with file 15, what terminals want of file 17, and the travel record inside.
pub(crate) fn fci<N: Nvm>(area: &Area<'_, N>, out: &mut Out) {
    let mut fci = [0; 54 + files::TRAVEL];
    fci[..21].copy_from_slice(&files::FCI_HEAD);
    area.read(at::FILE15, &mut fci[21..51]);
    // Interoperability and kind.
    area.read(at::FILE17 + 9, &mut fci[52..54]);
    area.read(at::TRAVEL, &mut fci[54..]);
    let used = fci[54].min(files::TRAVEL as u8);
    fci[1] += used;
    fci[51] = 0xC1;
    fci[53] |= fci[52] << 7;
    fci[52] = 1 + used;
    put(out, &fci[..54 + usize::from(used)]);
}

/// The PAN in file 15 of a personalised purse.
pub(crate) fn pan<N: Nvm>(area: &Area<'_, N>) -> Option<[u8; 10]> {
    (state(area) != State::Absent).then(|| area.array(at::FILE15 + 10))
}

impl<N: Nvm, R: Entropy> Purse<'_, N, R> {
    /// Runs one command.
    pub(crate) fn run(&mut self, c: &apdu::Command<'_>, out: &mut Out) -> Outcome {
        if let Some(command) = file::Command::decode(c) {
            let command = command?;
            self.admit(command.secured.is_none(), command.secured.is_some())?;
            return self.file(command, out);
        }
        let op = COMMANDS.find(c)?;
        self.admit(op.works_when_blocked(), op.wants_contacts())?;
        // INIT opens a transaction, and what ends one consumes it, whatever comes of either. Between
        // them other commands may come.
        let open = match op.touches_transaction() {
            true => core::mem::take(&mut self.ram.transaction),
            false => Transaction::None,
        };
        match op {
            Op::Balance => self.balance(c.p1, out),
            Op::Verify => self.verify(c.data),
            Op::ChangePin => self.change_pin(c.data),
            Op::UnblockPin => self.unblock_pin(c),
            Op::ReloadPin => self.reload_pin(c),
            Op::InitLoad => self.init_load(c.data, out),
            Op::Credit => match &open {
                Transaction::Load(open) => self.credit(open, c.array()?, out),
                _ => Err(Error::CONDITIONS),
            },
            Op::InitPurchase => self.init_purchase(TxType::Purchase, c.data, out),
            Op::InitCapp => self.init_purchase(TxType::Capp, c.data, out),
            Op::UpdateCache => self.update_cache(c.p1, c.p2, c.data),
            Op::Debit => match &open {
                Transaction::Purchase(open) => self.debit(open, c.array()?, out),
                _ => Err(Error::CONDITIONS),
            },
            Op::InitOverdraft => self.init_overdraft(c.array()?, out),
            Op::UpdateOverdraft => match &open {
                Transaction::Overdraft(open) => self.update_overdraft(open, c.array()?, out),
                _ => Err(Error::CONDITIONS),
            },
            Op::Prove => {
                let kinds = [&PURCHASE, &LOAD, &OVERDRAFT];
                prove(&self.area, &kinds, c.p2, c.array()?, out)
            }
            Op::Block => self.block(c, false),
            Op::BlockForGood => self.block(c, true),
            Op::Unblock => self.unblock(c),
            Op::CardBlock => self.card_block(c),
        }
    }

    fn admit(&self, works_when_blocked: bool, wants_contacts: bool) -> Result<(), Error> {
        match state(&self.area) {
            State::Ready => {}
            _ if works_when_blocked => {}
            State::PermanentlyBlocked => return Err(Error::PERMANENT),
            State::Absent | State::Blocked => return Err(Error::LOCKED),
        }
        if self.interface == Interface::Contactless && wants_contacts {
            return Err(Error::CONDITIONS);
        }
        Ok(())
    }

    fn balance_fen(&self) -> i32 {
        i32::from_be_bytes(self.area.array(at::BALANCE))
    }

    fn limits(&self) -> files::Limits {
        files::Limits::from_bytes(&self.area.array(at::LIMITS)).unwrap_or_else(|_| {
            self.area.fail();
            files::Limits::NOTHING
        })
    }

    /// The balance that INIT, MACs and TACs speak of: the overdraft limit counted in, so never
    /// negative. Without an overdraft it is the money on the card.
    fn available(&self) -> Fen {
        Fen(i64::from(self.balance_fen())) + self.limits().overdraft
    }

    /// P1 00 (PBOC) and 03 (T-Union): the money on the card. 01: the overdraft limit, 02: how much
    /// of it is used.
    fn balance(&self, which: u8, out: &mut Out) -> Outcome {
        let balance = Fen(i64::from(self.balance_fen()));
        let amount = match which {
            0x01 => self.limits().overdraft,
            0x02 => (-balance).max(Fen::ZERO),
            _ => balance.max(Fen::ZERO),
        };
        out.put_amount(amount);
        Ok(Answer::Exact)
    }

    fn file(&mut self, command: file::Command<'_>, out: &mut Out) -> Outcome {
        let file = self.ram.current.file(&FILES, command.sfi)?;
        file.suits(command.action)?;
        if let Some(secured) = command.secured {
            let challenge = self.take_challenge()?;
            let current = &mut self.ram.current;
            let answer = file.run_secured(
                &mut self.area,
                at::MAINTENANCE_ROW,
                challenge,
                current,
                command,
                secured,
                out,
            )?;
            if command.action.writes() {
                self.forget();
            }
            return Ok(answer);
        }
        file.run_in_clear(
            &mut self.area,
            &mut self.ram.current,
            command,
            &file::Grants::default(),
            self.interface,
            false,
            out,
        )
    }

    fn metro_at(number: u8) -> Result<usize, Error> {
        let index = usize::from(number)
            .checked_sub(1)
            .filter(|i| *i < METRO_RECORDS.into());
        Ok(at::METRO + index.ok_or(Error::RECORD)? * files::Metro::LEN)
    }
}
