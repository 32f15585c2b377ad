//! Self-service kiosk 自助终端.

use card_spec::time::CardTime;

use super::{Behaviour, Step};
use crate::machine::{Colour, Face, Key, ProofOfLife, Served, SoftKey, Task, entry::Entry};

/// Where the dialogue stands.
#[derive(Debug, Default)]
enum At {
    #[default]
    Menu,
    Pin(Entry),
}

#[derive(Debug, Default)]
pub(super) struct SelfService(At);

impl Behaviour for SelfService {
    fn home(&self, _now: CardTime) -> Face {
        match &self.0 {
            At::Menu => {
                let mut face = Face::new(
                    Colour::Ready,
                    ("请选择业务", "Choose a service"),
                    ("插卡后按功能键", "Insert your card, press a key"),
                );
                face.keys = vec![
                    SoftKey::new("余额与行程", "Balance and trips"),
                    SoftKey::new("养老资格认证", "Proof of life"),
                ];
                face
            }
            At::Pin(entry) => {
                let mut face = Face::new(
                    Colour::Ready,
                    ("请输入社保密码", "Social-security PIN"),
                    ("输入后按确认", "Then press Enter"),
                );
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
            (At::Menu, Key::Soft(0)) => return Step::Do(Box::new(Task::Balance)),
            (At::Menu, Key::Soft(1)) => self.0 = At::Pin(Entry::pin()),
            (At::Pin(entry), Key::Enter) => {
                let Some(pin) = entry.secret() else {
                    return Step::Ignored;
                };
                self.leave();
                return Step::Do(Box::new(Task::ProofOfLife(ProofOfLife { pin })));
            }
            (At::Pin(entry), key) => return Step::of_use(entry.key(key)),
            (At::Menu, _) => return Step::Ignored,
        }
        Step::Taken
    }

    fn accepts(&self, task: &Task) -> bool {
        matches!((task, &self.0), (Task::ProofOfLife(_), At::Menu))
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
