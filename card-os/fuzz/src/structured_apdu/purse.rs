//! The terminal's and the issuer's side of the transit purse.

use super::{
    TERMINAL, World,
    account::{Account, purse_of},
};
use crate::{input::Input, start::copy};
use card_spec::{
    Fen, SuiteId, Sw, apdu,
    keys::{KeyType, class},
    purse::{
        self, Debited, InitRequest, LoadInit, PurchaseInit, TxType,
        files::{Journey, Metro},
        mac::{Context, ContextBuilder, Load, Purchase},
        sfi,
    },
    time::CardTime,
};

/// The transaction that an INIT opened.
pub(super) enum Open {
    None,
    /// Raw bytes may have opened, kept or ended one.
    Unknown,
    Load(Load),
    Purchase(Box<Started>),
}

pub(super) struct Started {
    kid: u8,
    request: InitRequest,
    init: PurchaseInit,
    tx: TxType,
    /// Of a compound purchase: the journey context so far, and whether a record was cached.
    context: Option<(ContextBuilder, bool)>,
}

fn request(kid: u8, amount: u16) -> InitRequest {
    InitRequest {
        kid,
        amount: Fen(i64::from(amount)),
        terminal: TERMINAL.parse().expect("digits"),
    }
}

impl World {
    pub(super) fn init_load(&mut self, input: &mut Input<'_>) {
        // Any INIT ends what was open, whether it succeeds or not.
        self.purse = Open::None;
        let request = request(class::ONLY, input.u16());
        let command = request.load().expect("a small amount");
        let Some((data, Sw::OK)) = self.send(&command) else {
            return;
        };
        // The same bytes mean nothing to other applications: 16 of them are the purse's.
        let Ok(init) = LoadInit::from_bytes(&data) else {
            return;
        };
        let load = Load {
            amount: request.amount,
            tx: TxType::Load,
            terminal: request.terminal,
            seq: init.seq,
            rnd: init.rnd,
            balance_before: init.balance,
        };
        let key = self.key(KeyType::Dlk, class::ONLY);
        assert_eq!(init.mac1, load.mac1(self.suite, &key), "MAC1 of a load");
        assert_eq!(init.seq, self.account.purse.online, "online sequence");
        assert_eq!(
            init.balance,
            self.account.purse.available(),
            "balance in INIT"
        );
        self.purse = Open::Load(load);
    }

    pub(super) fn credit(&mut self, right: bool, time: CardTime) {
        let Open::Load(load) = core::mem::replace(&mut self.purse, Open::None) else {
            let answer = self.send(&purse::credit_for_load(time, [0; 4]));
            assert!(
                answer.is_none_or(|(_, sw)| sw != Sw::OK),
                "a load out of nothing"
            );
            return;
        };
        let mut mac2 = load.mac2(self.suite, &self.key(KeyType::Dlk, class::ONLY), time);
        mac2[3] ^= u8::from(!right);
        let (now, after) = (self.account.purse, self.account.purse.credited(load.amount));
        match self.send(&purse::credit_for_load(time, mac2)) {
            Some((data, Sw::OK)) => {
                assert!(right, "a wrong MAC2 was accepted");
                let tac = load.tac(self.suite, &self.key(KeyType::Dtk, class::ONLY), time);
                assert_eq!(data, tac, "TAC of a load");
                self.account.purse = after;
            }
            Some(_) => {}
            None => {
                let after = if right { after } else { now };
                let seen = purse_of(&mut copy(self.card.image()));
                self.account.purse = Account::settle(now, after, seen);
            }
        }
        self.check_account();
    }

    pub(super) fn init_purchase(&mut self, capp: bool, input: &mut Input<'_>) {
        self.purse = Open::None;
        let kid = input.pick(&[
            class::TRANSIT,
            class::RETAIL,
            class::TRANSIT | class::SPARE,
            0x09,
        ]);
        let request = request(kid, input.u16());
        let command = if capp {
            request.capp_purchase()
        } else {
            request.purchase()
        };
        let Some((data, Sw::OK)) = self.send(&command.expect("a small amount")) else {
            return;
        };
        let Ok(init) = PurchaseInit::from_bytes(&data) else {
            return;
        };
        assert_eq!(init.seq, self.account.purse.offline, "offline sequence");
        assert_eq!(
            init.balance,
            self.account.purse.available(),
            "balance in INIT"
        );
        assert!(request.amount <= init.balance, "more than there is");
        let context = capp.then(|| {
            // The FCI as any terminal read it; a copy is asked, the transaction stays open.
            let mut copy = copy(self.card.image());
            let fci =
                card_spec::channel::exchange(&mut copy, &apdu::select(card_spec::aid::T_UNION));
            (
                ContextBuilder::new(&fci.expect("a copy is not torn").data),
                false,
            )
        });
        let tx = if capp { TxType::Capp } else { TxType::Purchase };
        self.purse = Open::Purchase(Box::new(Started {
            kid,
            request,
            init,
            tx,
            context,
        }));
    }

    /// UPDATE CAPP DATA CACHE of a journey or of the metro record.
    pub(super) fn cache(&mut self, input: &mut Input<'_>) {
        let (number, fill) = (input.byte() % 4, input.byte());
        let command = match number {
            0 => purse::update_capp_cache(sfi::JOURNEY, 0, &[fill; Journey::LEN]),
            n => purse::update_capp_cache(sfi::METRO, n, &[fill; Metro::LEN]),
        };
        let before = (number > 0).then(|| self.metro(number)).flatten();
        let Some((_, Sw::OK)) = self.send(&command) else {
            return;
        };
        let started = match &mut self.purse {
            Open::Purchase(started) => started,
            Open::Unknown => return,
            Open::None | Open::Load(_) => panic!("a record cached without a compound purchase"),
        };
        let (context, cached) = started.context.as_mut().expect("a compound purchase");
        if let Some(before) = before {
            context.read_1a(&before);
        }
        context.update(command[2], command[3], &command[5..]);
        *cached = true;
    }

    /// A metro record, read from a copy.
    fn metro(&self, number: u8) -> Option<Vec<u8>> {
        let mut copy = copy(self.card.image());
        let select = apdu::select(card_spec::aid::T_UNION);
        let read = apdu::read_record(sfi::METRO, number, 128);
        card_spec::channel::exchange(&mut copy, &select).ok()?;
        let reply = card_spec::channel::exchange(&mut copy, &read).ok()?;
        (reply.sw == Sw::OK).then(|| reply.data.to_vec())
    }

    pub(super) fn debit(&mut self, right: bool, time: CardTime) {
        let terminal_seq = u32::from(self.account.purse.offline) + 100;
        let Open::Purchase(started) = core::mem::replace(&mut self.purse, Open::None) else {
            let answer = self.send(&purse::debit(terminal_seq, time, [0; 4]));
            assert!(
                answer.is_none_or(|(_, sw)| sw != Sw::OK),
                "a debit out of nothing"
            );
            return;
        };
        let Started {
            kid,
            request,
            init,
            tx,
            context,
        } = *started;
        let empty = context.as_ref().is_some_and(|(_, cached)| !cached);
        let context = match context {
            Some((builder, _)) if self.suite == SuiteId::Aes => builder.finish(),
            _ => Context::default(),
        };
        let purchase = Purchase {
            amount: request.amount,
            tx,
            terminal: request.terminal,
            terminal_seq,
            time,
            seq: init.seq,
            rnd: init.rnd,
            context,
        };
        let dpk = self.key(KeyType::Dpk, kid);
        let mut mac1 = purchase.mac1(self.suite, &dpk);
        mac1[0] ^= u8::from(!right);
        let (now, after) = (
            self.account.purse,
            self.account.purse.debited(request.amount),
        );
        match self.send(&purse::debit(terminal_seq, time, mac1)) {
            Some((data, Sw::OK)) => {
                assert!(right, "a wrong MAC1 was accepted");
                assert!(!empty, "a compound purchase without a record");
                let debited = Debited::from_debit(&data).expect("eight bytes");
                assert_eq!(debited.mac2, purchase.mac2(self.suite, &dpk), "MAC2");
                let dtk = self.key(KeyType::Dtk, class::ONLY);
                assert_eq!(
                    debited.tac,
                    purchase.tac(self.suite, &dtk, after.available()),
                    "TAC"
                );
                self.account.purse = after;
            }
            Some((_, sw)) => assert!(sw != Sw::MAC_WRONG || !right, "a right MAC1 was refused"),
            None => {
                let after = if right { after } else { now };
                let seen = purse_of(&mut copy(self.card.image()));
                self.account.purse = Account::settle(now, after, seen);
            }
        }
        self.check_account();
    }

    /// What is proved of the last transaction is answered again as often as asked.
    pub(super) fn prove(&mut self) {
        let seq = self.account.purse.offline;
        for tx in [TxType::Purchase, TxType::Capp] {
            let first = self.send(&purse::prove(tx, seq));
            let second = self.send(&purse::prove(tx, seq));
            if let (Some(first), Some(second)) = (first, second) {
                assert_eq!(first, second);
            }
        }
    }
}
