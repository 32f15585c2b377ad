//! What the world knows of the card's money: the opening balance, and what was credited and debited
//! as the card answered. A torn command leaves two possibilities until the card is asked.

use card_spec::{
    Fen, Sw, aid, apdu,
    channel::exchange,
    medical::{self, Balance},
    purse::{InitRequest, PurchaseInit},
};
use virtual_card::{VirtualCard, sample};

/// One purse: money and sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side {
    /// The money; negative while an overdraft is used.
    pub(super) balance: Fen,
    /// The overdraft limit.
    pub(super) limit: Fen,
    pub(super) offline: u16,
    pub(super) online: u16,
}

/// What a copy of the card tells: money, overdraft limit, and the offline sequence unless it is
/// hidden.
type Seen = (Fen, Fen, Option<u16>);

impl Side {
    /// What INIT, MACs and TACs call the balance.
    pub(super) fn available(self) -> Fen {
        self.balance + self.limit
    }

    /// After a credit.
    pub(super) fn credited(self, amount: Fen) -> Self {
        Self {
            balance: self.balance + amount,
            online: self.online + 1,
            ..self
        }
    }

    /// After a debit.
    pub(super) fn debited(self, amount: Fen) -> Self {
        Self {
            balance: self.balance - amount,
            offline: self.offline + 1,
            ..self
        }
    }
}

/// Both purses.
pub(super) struct Account {
    pub(super) purse: Side,
    pub(super) medical: Side,
}

impl Account {
    /// As the sample cards are issued: one load of the purse, none of the personal account.
    pub(super) const fn opening() -> Self {
        Self {
            purse: Side {
                balance: sample::PURSE_BALANCE,
                limit: Fen::ZERO,
                offline: 0,
                online: 1,
            },
            medical: Side {
                balance: sample::MEDICAL_BALANCE,
                limit: Fen::ZERO,
                offline: 0,
                online: 0,
            },
        }
    }

    /// Asks a copy of the card.
    pub(super) fn check(&self, copy: &mut VirtualCard) {
        let Some((balance, limit, offline)) = purse_of(copy) else {
            return;
        };
        assert_eq!(balance, self.purse.balance, "the purse's money");
        assert_eq!(limit, self.purse.limit, "the overdraft limit");
        if let Some(offline) = offline {
            assert_eq!(offline, self.purse.offline, "the purse's sequence");
        }
        if let Some((balance, _, offline)) = medical_of(copy) {
            assert_eq!(balance, self.medical.balance, "the personal account");
            if let Some(offline) = offline {
                assert_eq!(offline, self.medical.offline, "the medical sequence");
            }
        }
    }

    /// After a torn command: the card is wholly before or wholly after it, and the account learns
    /// which.
    pub(super) fn settle(now: Side, after: Side, seen: Option<Seen>) -> Side {
        let Some((balance, limit, offline)) = seen else {
            return now;
        };
        let fits = |side: &Side| {
            (side.balance, side.limit) == (balance, limit)
                && offline.is_none_or(|o| o == side.offline)
        };
        // An amount of zero leaves the same balance: then the sequence decides, if it is visible.
        match (fits(&now), fits(&after)) {
            (true, _) => now,
            (false, true) => after,
            (false, false) => panic!("torn: {seen:?} is neither {now:?} nor {after:?}"),
        }
    }
}

fn ok(card: &mut VirtualCard, command: &[u8]) -> Option<Vec<u8>> {
    let reply = exchange(card, command).expect("a copy is not torn");
    (reply.sw == Sw::OK).then(|| reply.data.to_vec())
}

/// Balance and offline sequence of the purse; a locked card shows none, a blocked purse no sequence.
pub(super) fn purse_of(card: &mut VirtualCard) -> Option<Seen> {
    let selected = exchange(card, &apdu::select(aid::T_UNION)).expect("a copy is not torn");
    if !matches!(selected.sw, Sw::OK | Sw::SELECTED_BLOCKED) {
        return None;
    }
    let mut amount = |p1| {
        let bytes = ok(card, &apdu::read(0x80, 0x5C, p1, 0x02, Some(4)))?;
        Some(Fen::from_card(bytes.try_into().ok()?))
    };
    let (money, used, limit) = (amount(0x00)?, amount(0x02)?, amount(0x01)?);
    let request = InitRequest {
        kid: 1,
        amount: Fen::ZERO,
        terminal: super::TERMINAL.parse().expect("digits"),
    };
    let init = ok(card, &request.purchase().expect("zero"));
    let init = init.map(|data| PurchaseInit::from_bytes(&data).expect("INIT's fifteen bytes"));
    Some((money - used, limit, init.map(|init| init.seq)))
}

/// Balance and offline sequence of the medical purse; a blocked PIN hides the sequence.
pub(super) fn medical_of(card: &mut VirtualCard) -> Option<Seen> {
    ok(card, &apdu::select(aid::SSSE_MEDICAL))?;
    let balance: [u8; 4] = ok(card, &medical::get_balance(Balance::Personal))?
        .try_into()
        .ok()?;
    ok(card, &apdu::verify(0, &sample::PIN_BYTES));
    let terminal = super::TERMINAL.parse().expect("digits");
    let command = medical::init_purchase(1, medical::Split::default(), terminal).expect("zeros");
    let init = ok(card, &command);
    let init = init.map(|data| medical::PurchaseInit::from_bytes(&data).expect("22 bytes"));
    Some((
        Fen::from_card(balance),
        Fen::ZERO,
        init.map(|init| init.seq),
    ))
}
