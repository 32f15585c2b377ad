//! Self-service kiosk 自助终端.

use card_spec::{Fen, time::CardTime};

use super::{Behaviour, Step};
use crate::{
    card::Pin,
    machine::{
        Colour, Face, Key, LossReport, ProofOfLife, Row, Served, SoftKey, Task, TopUp, entry::Entry,
    },
};

/// Where the dialogue stands.
#[derive(Debug, Default)]
enum At {
    #[default]
    Menu,
    /// A top-up: how it is paid.
    Payment,
    Amount(Payment, Entry),
    /// A report of the card: asked once more.
    Sure,
    Pin(What, Entry),
}

/// How a top-up is paid. A kiosk has no cash box.
#[derive(Debug, Clone, Copy)]
enum Payment {
    /// 银行卡.
    Bank,
    /// 手机支付.
    Mobile,
}

impl Payment {
    const fn name(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Mobile => "mobile",
        }
    }
}

/// What the PIN is for.
#[derive(Debug, Clone, Copy)]
enum What {
    /// 养老资格认证.
    ProofOfLife,
    /// 挂失.
    LossReport,
    /// 充值.
    TopUp(Payment, Fen),
}

impl What {
    const fn asks(self) -> (&'static str, &'static str) {
        match self {
            Self::ProofOfLife | Self::LossReport => ("请输入社保密码", "Social-security PIN"),
            Self::TopUp(..) => ("请输入电子钱包密码", "PIN of the purse"),
        }
    }

    fn task(self, pin: Pin) -> Task {
        match self {
            Self::ProofOfLife => Task::ProofOfLife(ProofOfLife { pin }),
            Self::LossReport => Task::LossReport(LossReport { pin }),
            Self::TopUp(payment, amount_fen) => Task::TopUp(TopUp {
                amount_fen,
                paid_by: payment.name().to_owned(),
                pin,
            }),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct SelfService(At);

impl Behaviour for SelfService {
    fn home(&self, _now: CardTime) -> Face {
        let ready = |headline, action| Face::new(Colour::Ready, headline, action);
        match &self.0 {
            At::Menu => {
                let mut face = ready(
                    ("请选择业务", "Choose a service"),
                    ("插卡后按功能键", "Insert your card, press a key"),
                );
                face.keys = vec![
                    SoftKey::new("余额与行程", "Balance and trips"),
                    SoftKey::new("养老资格认证", "Proof of life"),
                    SoftKey::new("充值", "Top up"),
                    SoftKey::new("挂失", "Report this card"),
                ];
                face
            }
            At::Sure => {
                let mut face = ready(
                    ("挂失后本卡停用", "This card will be stopped"),
                    ("解除须到网点办理", "Only a counter undoes it"),
                );
                face.keys = vec![
                    SoftKey::new("确认挂失", "Stop the card"),
                    SoftKey::new("返回", "Back"),
                ];
                face
            }
            At::Payment => {
                let mut face = ready(
                    ("请选择支付方式", "How do you pay?"),
                    ("不收现金", "No cash here"),
                );
                face.keys = vec![
                    SoftKey::new("银行卡", "Bank card"),
                    SoftKey::new("手机支付", "Mobile"),
                ];
                face
            }
            At::Amount(_, entry) => {
                let mut face = ready(
                    ("充值", "Top up"),
                    ("输入金额后按确认", "Key in the amount, then Enter"),
                );
                face.field = Some(entry.field());
                face
            }
            At::Pin(what, entry) => {
                let mut face = ready(what.asks(), ("输入后按确认", "Then press Enter"));
                if let What::TopUp(_, amount) = what {
                    face.rows = vec![Row::new("充值金额", "To load", amount)];
                }
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
        let amount = |payment| At::Amount(payment, Entry::money(("金额", "Amount")));
        match (&mut self.0, key) {
            (At::Menu, Key::Soft(0)) => return Step::Do(Box::new(Task::Balance)),
            (At::Menu, Key::Soft(1)) => self.0 = At::Pin(What::ProofOfLife, Entry::pin()),
            (At::Menu, Key::Soft(2)) => self.0 = At::Payment,
            (At::Menu, Key::Soft(3)) => self.0 = At::Sure,
            (At::Sure, Key::Soft(0)) => self.0 = At::Pin(What::LossReport, Entry::pin()),
            (At::Sure, Key::Soft(1)) => self.leave(),
            (At::Payment, Key::Soft(0)) => self.0 = amount(Payment::Bank),
            (At::Payment, Key::Soft(1)) => self.0 = amount(Payment::Mobile),
            (At::Amount(payment, entry), Key::Enter) => {
                let Some(amount) = entry.amount() else {
                    return Step::Ignored;
                };
                self.0 = At::Pin(What::TopUp(*payment, amount), Entry::pin());
            }
            (At::Pin(what, entry), Key::Enter) => {
                let Some(pin) = entry.secret() else {
                    return Step::Ignored;
                };
                let task = what.task(pin);
                self.leave();
                return Step::Do(Box::new(task));
            }
            (At::Amount(_, entry) | At::Pin(_, entry), key) => {
                return Step::of_use(entry.key(key));
            }
            (At::Menu | At::Payment | At::Sure, _) => return Step::Ignored,
        }
        Step::Taken
    }

    fn accepts(&self, task: &Task) -> bool {
        matches!(
            (task, &self.0),
            (
                Task::ProofOfLife(_) | Task::TopUp(_) | Task::LossReport(_),
                At::Menu
            )
        )
    }

    fn served(&mut self, _task: &Task, _served: &Served, _now: CardTime) {
        self.leave();
    }

    fn leave(&mut self) {
        self.0 = At::Menu;
    }

    fn keeps_card(&self) -> bool {
        true
    }
}
