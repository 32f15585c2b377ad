//! The hospital window's and the fund's side of the medical purse.

use super::{
    TERMINAL, World,
    account::{Account, medical_of},
};
use crate::{input::Input, start::copy};
use card_spec::{
    Fen, Sw,
    keys::{KeyType, class},
    medical::{self, Load, PurchaseInit, Split, Visit},
    purse::{Debited, LoadInit},
    time::CardTime,
};

/// The transaction that an INIT opened.
pub(super) enum Open {
    None,
    Load(Load),
    Visit(Split, PurchaseInit),
}

impl World {
    pub(super) fn medical_init_load(&mut self, input: &mut Input<'_>) {
        self.medical = Open::None;
        let amount = Fen(i64::from(input.u16()));
        let terminal = TERMINAL.parse().expect("digits");
        let command = medical::init_load(class::ONLY, amount, terminal).expect("a small amount");
        let Some((data, Sw::OK)) = self.send(&command) else {
            return;
        };
        let init = LoadInit::from_bytes(&data).expect("INIT's sixteen bytes");
        let load = Load {
            amount,
            terminal,
            seq: init.seq,
            rnd: init.rnd,
            balance_before: init.balance,
        };
        let key = self.key(KeyType::Mlk, class::ONLY);
        assert_eq!(
            init.mac1,
            load.mac1(self.suite, &key),
            "MAC1 of a medical load"
        );
        assert_eq!(
            init.seq, self.account.medical.online,
            "medical online sequence"
        );
        assert_eq!(
            init.balance, self.account.medical.balance,
            "account in INIT"
        );
        self.medical = Open::Load(load);
    }

    pub(super) fn medical_credit(&mut self, right: bool, time: CardTime) {
        let Open::Load(load) = core::mem::replace(&mut self.medical, Open::None) else {
            let answer = self.send(&medical::credit_for_load(time, [0; 4]));
            assert!(
                answer.is_none_or(|(_, sw)| sw != Sw::OK),
                "a load out of nothing"
            );
            return;
        };
        let mut mac2 = load.mac2(self.suite, &self.key(KeyType::Mlk, class::ONLY), time);
        mac2[3] ^= u8::from(!right);
        let (now, after) = (
            self.account.medical,
            self.account.medical.credited(load.amount),
        );
        match self.send(&medical::credit_for_load(time, mac2)) {
            Some((data, Sw::OK)) => {
                assert!(right, "a wrong MAC2 was accepted");
                let tac = load.tac(self.suite, &self.key(KeyType::Mtk, class::ONLY), time);
                assert_eq!(data, tac, "TAC of a medical load");
                self.account.medical = after;
            }
            Some(_) => {}
            None => {
                let after = if right { after } else { now };
                let seen = medical_of(&mut copy(self.card.image()));
                self.account.medical = Account::settle(now, after, seen);
            }
        }
        self.check_account();
    }

    pub(super) fn medical_init_visit(&mut self, input: &mut Input<'_>) {
        self.medical = Open::None;
        let mut amount = || Fen(i64::from(input.u16()));
        let split = Split {
            personal: amount(),
            self_paid: amount(),
            pooled: amount(),
        };
        let terminal = TERMINAL.parse().expect("digits");
        let command = medical::init_purchase(class::ONLY, split, terminal).expect("small amounts");
        let Some((data, Sw::OK)) = self.send(&command) else {
            return;
        };
        let init = PurchaseInit::from_bytes(&data).expect("INIT's 22 bytes");
        assert_eq!(init.seq, self.account.medical.offline, "medical sequence");
        assert_eq!(
            init.balance, self.account.medical.balance,
            "account in INIT"
        );
        assert!(split.personal <= init.balance, "more than there is");
        self.medical = Open::Visit(split, init);
    }

    pub(super) fn medical_debit(&mut self, right: bool, time: CardTime) {
        let terminal_seq = u32::from(self.account.medical.offline) + 100;
        let Open::Visit(split, init) = core::mem::replace(&mut self.medical, Open::None) else {
            let answer = self.send(&medical::debit(terminal_seq, time, [0; 4]));
            assert!(
                answer.is_none_or(|(_, sw)| sw != Sw::OK),
                "a debit out of nothing"
            );
            return;
        };
        let visit = Visit {
            split,
            terminal: TERMINAL.parse().expect("digits"),
            terminal_seq,
            time,
            seq: init.seq,
            rnd: init.rnd,
        };
        let mpk = self.key(KeyType::Mpk, class::ONLY);
        let mut mac1 = visit.mac1(self.suite, &mpk);
        mac1[0] ^= u8::from(!right);
        let (now, after) = (
            self.account.medical,
            self.account.medical.debited(split.personal),
        );
        match self.send(&medical::debit(terminal_seq, time, mac1)) {
            Some((data, Sw::OK)) => {
                assert!(right, "a wrong MAC1 was accepted");
                let debited = Debited::from_debit(&data).expect("eight bytes");
                assert_eq!(
                    debited.mac2,
                    visit.mac2(self.suite, &mpk),
                    "MAC2 of a visit"
                );
                let mtk = self.key(KeyType::Mtk, class::ONLY);
                assert_eq!(
                    debited.tac,
                    visit.tac(self.suite, &mtk, after.balance),
                    "TAC of a visit"
                );
                self.account.medical = after;
            }
            Some((_, sw)) => assert!(sw != Sw::MAC_WRONG || !right, "a right MAC1 was refused"),
            None => {
                let after = if right { after } else { now };
                let seen = medical_of(&mut copy(self.card.image()));
                self.account.medical = Account::settle(now, after, seen);
            }
        }
        self.check_account();
    }
}
