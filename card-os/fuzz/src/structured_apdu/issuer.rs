//! The issuer's side: the overdraft limit online, and sessions on a card in use. An issuer renews
//! keys, PINs, limits and files, locks and unlocks; none of it moves money.

use super::{
    TERMINAL, World,
    account::{Account, purse_of},
    medical, purse,
};
use crate::{input::Input, start::copy};
use card_spec::{
    ChannelError, Fen, Sw, aid, apdu,
    keys::{KeyType, class, ssse_kid},
    perso::{self, CardState, Dgi},
    purse::{
        files::Limits,
        overdraft::{self, OverdraftInit, OverdraftUpdate},
    },
    scp03::level,
    time::CardTime,
};
use virtual_card::{
    host::{HostError, Scp03},
    sample,
};

impl World {
    /// INIT and UPDATE OVERDRAFT LIMIT in one step.
    pub(super) fn overdraft(&mut self, right: bool, time: CardTime, input: &mut Input<'_>) {
        self.purse = purse::Open::None;
        // Another limit than before: after a tear it tells which side of the command the card is on.
        let limit = match Fen(i64::from(input.u16())) {
            same if same == self.account.purse.limit => same + Fen(1),
            other => other,
        };
        let terminal = TERMINAL.parse().expect("digits");
        let Some((data, Sw::OK)) = self.send(&overdraft::init(class::ONLY, terminal)) else {
            return;
        };
        let Ok(init) = OverdraftInit::from_bytes(&data) else {
            return;
        };
        let now = self.account.purse;
        assert_eq!(init.balance, now.available(), "balance in INIT");
        assert_eq!(
            (init.seq, init.limit),
            (now.online, now.limit),
            "sequence and limit in INIT"
        );
        let update = OverdraftUpdate {
            old_limit: init.limit,
            terminal,
            seq: init.seq,
            rnd: init.rnd,
            balance_before: init.balance,
        };
        let duk = self.key(KeyType::Duk, class::ONLY);
        assert_eq!(init.mac1, update.mac1(self.suite, &duk), "MAC1 of a limit");
        let mut mac2 = update.mac2(self.suite, &duk, limit, time);
        mac2[0] ^= u8::from(!right);
        let mut after = now;
        if right && now.balance + limit >= Fen::ZERO {
            (after.limit, after.online) = (limit, now.online + 1);
        }
        let command = overdraft::update(limit, time, mac2).expect("a small limit");
        match self.send(&command) {
            Some((data, Sw::OK)) => {
                assert!(after != now, "a wrong MAC2, or more owed than allowed");
                let dtk = self.key(KeyType::Dtk, class::ONLY);
                assert_eq!(data, update.tac(self.suite, &dtk, limit, time), "TAC");
                self.account.purse = after;
            }
            Some((_, sw)) => assert!(sw != Sw::MAC_WRONG || !right, "a right MAC2 was refused"),
            None => {
                let seen = purse_of(&mut copy(self.card.image()));
                self.account.purse = Account::settle(now, after, seen);
            }
        }
        self.check_account();
    }

    /// A session with right keys, and one act in it.
    pub(super) fn issue(&mut self, input: &mut Input<'_>) {
        (self.purse, self.medical) = (purse::Open::None, medical::Open::None);
        let (level, act) = (input.pick(&level::ALL), input.byte() % 6);
        let keys = sample::issuer_keys();
        let Ok(mut host) = Scp03::open(&mut self.card, &keys, perso::KVN_ISSUER, level, [5; 8])
        else {
            return;
        };
        let now = self.account.purse;
        let mut after = now;
        let done = match act {
            0 => {
                let limits = Limits {
                    max_balance: Fen::yuan(1000),
                    per_tap: Fen(i64::from(input.u16())),
                    per_day: Fen(i64::from(input.u16())),
                    overdraft: input.pick(&[Fen::ZERO, Fen(10), Fen(500)]),
                };
                after.limit = limits.overdraft;
                let data = limits.to_bytes().expect("small amounts").to_vec();
                host.personalise(&mut self.card, aid::T_UNION, &[(Dgi::LIMITS, data)])
            }
            1 => {
                let pin = host.pin_group(&sample::PIN_BYTES).expect("a PIN");
                let side = input.pick(&[aid::T_UNION, aid::SSSE]);
                host.personalise(&mut self.card, side, &[pin])
            }
            2 => {
                let (side, key_type, index) = input.pick(&[
                    (aid::T_UNION, KeyType::Dlk, class::ONLY),
                    (aid::T_UNION, KeyType::Dpk, class::TRANSIT),
                    (aid::T_UNION, KeyType::Damk, class::ONLY),
                    (aid::SSSE, KeyType::Uk, ssse_kid::WRITE_BASIC),
                    (aid::SSSE_MEDICAL, KeyType::Mpk, class::ONLY),
                ]);
                let header = sample::header(key_type, index, self.suite);
                let group = host.key_group(header, &self.key(key_type, index));
                host.personalise(&mut self.card, side, &[group])
            }
            3 => {
                let photo = vec![input.byte(); usize::from(input.u16() % 1000)];
                let group = (Dgi::file(8), photo);
                host.personalise(&mut self.card, aid::SSSE, &[group])
            }
            4 => {
                let (app, locked) = (input.pick(&[aid::T_UNION, aid::SSSE]), input.byte() & 1);
                let command = apdu::build(0x80, 0xF0, 0x40, locked << 7, app, None);
                let done = host.send(&mut self.card, "SET STATUS", &command);
                let state = input.pick(&[CardState::Secured, CardState::CardLocked]);
                done.and_then(|_| host.set_status(&mut self.card, state))
            }
            _ => {
                let group = (Dgi::MEDICAL_BALANCE, vec![0, 0xFF, 0xFF, 0xFF]);
                let done = host.personalise(&mut self.card, aid::SSSE_MEDICAL, &[group]);
                assert!(done.is_err(), "an opening balance on a card in use");
                done
            }
        };
        self.account.purse = match done {
            Ok(()) => after,
            Err(HostError::Channel(ChannelError::CardRemoved)) => {
                Account::settle(now, after, purse_of(&mut copy(self.card.image())))
            }
            Err(HostError::Status { .. }) => now,
            Err(other) => panic!("the session broke: {other}"),
        };
        self.check_account();
    }
}
