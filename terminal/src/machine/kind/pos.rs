//! Point of sale 销售与充值终端.

use card_spec::{Fen, time::CardTime};

use super::{Behaviour, Step};
use crate::machine::{Colour, Face, Key, Row, Served, SoftKey, Task, TopUp, entry::Entry};

/// Where the dialogue stands.
#[derive(Debug, Default)]
enum At {
    #[default]
    Menu,
    Amount(Entry),
    Pin(Fen, Entry),
}

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
                face.keys = vec![SoftKey::new("充值", "Top up")];
                face
            }
            At::Amount(entry) => {
                let mut face = Face::new(
                    Colour::Ready,
                    ("充值", "Top up"),
                    ("输入金额后按确认", "Key in the amount, then Enter"),
                );
                face.field = Some(entry.field());
                face
            }
            At::Pin(amount, entry) => {
                let mut face = Face::new(
                    Colour::Ready,
                    ("请持卡人输入密码", "Cardholder: your PIN"),
                    ("输入后按确认", "Then press Enter"),
                );
                face.rows = vec![Row::new("金额", "Amount", amount)];
                face.field = Some(entry.field());
                face
            }
        }
    }

    fn card(&mut self, _now: CardTime) -> Option<Task> {
        None
    }

    fn key(&mut self, key: Key, _now: CardTime) -> Step {
        if key == Key::Cancel {
            let was_away = !matches!(self.0, At::Menu);
            self.leave();
            return if was_away { Step::Taken } else { Step::Ignored };
        }
        match (&mut self.0, key) {
            (At::Menu, Key::Soft(0)) => {
                self.0 = At::Amount(Entry::money(("充值金额", "Amount")));
            }
            (At::Amount(entry), Key::Enter) => match entry.amount() {
                Some(amount) => self.0 = At::Pin(amount, Entry::pin()),
                None => return Step::Ignored,
            },
            (At::Pin(amount, entry), Key::Enter) => {
                let Some(pin) = entry.secret() else {
                    return Step::Ignored;
                };
                let wish = TopUp {
                    amount_fen: *amount,
                    paid_by: "cash".to_owned(),
                    pin,
                };
                self.leave();
                return Step::Do(Box::new(Task::TopUp(wish)));
            }
            (At::Amount(entry) | At::Pin(_, entry), key) => {
                return Step::of_use(entry.key(key));
            }
            (At::Menu, _) => return Step::Ignored,
        }
        Step::Taken
    }

    fn accepts(&self, task: &Task) -> bool {
        matches!((task, &self.0), (Task::TopUp(_), At::Menu))
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
