//! Hospital window 医院窗口: the bill comes from the hospital's own system.

use card_spec::time::CardTime;

use super::Behaviour;
use crate::machine::{Colour, Face, Row, Task, face};

#[derive(Debug)]
pub(super) struct Window;

impl Behaviour for Window {
    fn home(&self, _now: CardTime) -> Face {
        Face::new(
            Colour::Ready,
            ("请稍候", "Please wait"),
            ("等待账单", "Waiting for a bill"),
        )
    }

    fn card(&mut self, _now: CardTime) -> Option<Task> {
        None
    }

    fn prompt(&self, task: &Task, _now: CardTime) -> Face {
        let mut face = face::present(task);
        face.headline.zh = "请插入社保卡".to_owned();
        face.headline.en = "Insert your card".to_owned();
        if let Task::Bill(order) = task {
            let total = order
                .bill
                .lines
                .iter()
                .map(|line| line.amount)
                .sum::<card_spec::Fen>();
            face.rows = vec![
                Row::new("就诊号", "Visit", &order.bill.ipt_otp_no),
                Row::new("项目数", "Items", order.bill.lines.len()),
                Row::new("费用总额", "Total before insurance", total),
            ];
        }
        face
    }

    fn accepts(&self, task: &Task) -> bool {
        matches!(task, Task::Bill(_))
    }

    fn is_attended(&self) -> bool {
        true
    }

    fn keeps_card(&self) -> bool {
        true
    }
}
