//! Point of sale 销售与充值终端.

use card_spec::{Fen, time::CardTime};

use super::{Behaviour, Step};
use crate::machine::{Colour, Face, Goods, Key, Row, Served, SoftKey, Task, TopUp, entry::Entry};

/// Where the dialogue stands.
#[derive(Debug, Default)]
enum At {
    #[default]
    Menu,
    Amount(What, Entry),
    Pin(What, Fen, Entry),
}

/// What the amount is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// 消费.
    Sale,
    /// 充值.
    TopUp,
    /// 退款: a load that the shop pays.
    Refund,
}

impl What {
    const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Sale => ("消费", "Sale"),
            Self::TopUp => ("充值", "Top up"),
            Self::Refund => ("退款", "Refund"),
        }
    }
}

const MENU: [What; 3] = [What::Sale, What::TopUp, What::Refund];

#[derive(Debug, Default)]
pub(super) struct Counter(At);

impl Behaviour for Counter {
    fn home(&self, _now: CardTime) -> Face {
        match &self.0 {
            At::Menu => {
                let mut face = Face::new(
                    Colour::Ready,
                    ("请选择业务", "Choose a service"),
                    ("按功能键", "Press a key"),
                );
                let name = |what: What| SoftKey::new(what.name().0, what.name().1);
                face.keys = MENU.map(name).to_vec();
                face.keys.push(SoftKey::new("余额", "Balance"));
                face
            }
            At::Amount(what, entry) => {
                let mut face = Face::new(
                    Colour::Ready,
                    what.name(),
                    ("输入金额后按确认", "Key in the amount, then Enter"),
                );
                face.field = Some(entry.field());
                face
            }
            At::Pin(what, amount, entry) => {
                let mut face = Face::new(
                    Colour::Ready,
                    ("请持卡人输入密码", "Cardholder: your PIN"),
                    ("输入后按确认", "Then press Enter"),
                );
                face.rows = vec![Row::new(what.name().0, what.name().1, amount)];
                face.field = Some(entry.field());
                face
            }
        }
    }

    fn card(&mut self, _now: CardTime) -> Option<Task> {
        None
    }

    fn key(&mut self, key: Key, now: CardTime) -> Step {
        if key == Key::Cancel {
            let was_away = !matches!(self.0, At::Menu);
            self.leave();
            return if was_away { Step::Taken } else { Step::Ignored };
        }
        match (&mut self.0, key) {
            (At::Menu, Key::Soft(place)) => match MENU.get(usize::from(place)) {
                Some(what) => self.0 = At::Amount(*what, Entry::money(("金额", "Amount"))),
                None if usize::from(place) == MENU.len() => {
                    return Step::Do(Box::new(Task::Balance));
                }
                None => return Step::Ignored,
            },
            (At::Amount(what, entry), Key::Enter) => match (*what, entry.amount()) {
                (What::Sale, Some(sale_fen)) => {
                    self.leave();
                    // The till's own number; the journal's sequence names the sale to the house.
                    let receipt = now.seconds().to_string();
                    return Step::Do(Box::new(Task::Goods(Goods { sale_fen, receipt })));
                }
                (what, Some(amount)) => self.0 = At::Pin(what, amount, Entry::pin()),
                (_, None) => return Step::Ignored,
            },
            (At::Pin(what, amount, entry), Key::Enter) => {
                let Some(pin) = entry.secret() else {
                    return Step::Ignored;
                };
                let paid_by = if *what == What::Refund {
                    "refund"
                } else {
                    "cash"
                };
                let wish = TopUp {
                    amount_fen: *amount,
                    paid_by: paid_by.to_owned(),
                    pin,
                };
                self.leave();
                return Step::Do(Box::new(Task::TopUp(wish)));
            }
            (At::Amount(_, entry) | At::Pin(_, _, entry), key) => {
                return Step::of_use(entry.key(key));
            }
            (At::Menu, _) => return Step::Ignored,
        }
        Step::Taken
    }

    fn accepts(&self, task: &Task) -> bool {
        matches!(
            (task, &self.0),
            (Task::TopUp(_) | Task::Goods(_) | Task::Pass(_), At::Menu)
        )
    }

    fn served(&mut self, _task: &Task, _served: &Served, _now: CardTime) {
        self.leave();
    }

    fn leave(&mut self) {
        self.0 = At::Menu;
    }

    fn is_attended(&self) -> bool {
        true
    }

    fn keeps_card(&self) -> bool {
        true
    }
}
