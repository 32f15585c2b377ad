//! Faces that every kind has.

use super::{
    Amount, Colour, Face, Mode, Row, Served, Task, Text, Tone,
    shift::{Flow, name},
};
use crate::code::{Code, Verdict};
use card_spec::purse::files::CardKind;

/// A card is being served.
pub(super) fn busy(task: &Task) -> Face {
    let headline = match task {
        Task::Bill(_) => ("结算中", "Settling"),
        Task::TopUp(_) => ("充值中", "Loading"),
        _ => ("处理中", "Please wait"),
    };
    Face::new(
        Colour::Busy,
        headline,
        ("请勿移开卡片", "Keep the card still"),
    )
}

/// A task waits for its card.
pub(super) fn present(task: &Task) -> Face {
    let mut face = Face::new(
        Colour::Ready,
        ("请刷卡", "Present your card"),
        ("请将卡片贴近读卡区", "Hold the card to the reader"),
    );
    match task {
        Task::TopUp(wish) => face.rows = vec![Row::new("充值金额", "To load", wish.amount_fen)],
        Task::Goods(goods) => face.amount = Some(Amount::Due(goods.sale_fen)),
        _ => {}
    }
    face
}

/// What a task came to.
pub(super) fn told(task: &Task, served: &Served) -> Face {
    let result = &served.result;
    let code = result.code;
    let mut face = Face::of(colour(code), code);
    face.amount = match task.flow() {
        Some(Flow::Paid) => result.amount.map(Amount::Paid),
        Some(Flow::Loaded) => result.amount.map(Amount::Loaded),
        None => None,
    };
    face.balance = result.balance;
    face.rows.clone_from(&served.rows);
    let kind = result.card_kind.filter(|kind| *kind != CardKind::Normal);
    face.rows.extend(kind.map(|kind| Row {
        what: Text::new("卡种", "Card"),
        value: format!("{} {}", name(kind).zh, name(kind).en),
    }));
    face.rows.extend(
        result
            .price
            .iter()
            .map(|line| Row::new(&line.zh, &line.en, line.delta)),
    );
    face
}

const fn colour(code: Code) -> Colour {
    match (code.verdict(), code) {
        (
            Verdict::Open,
            Code::PaidTransfer | Code::PaidConcession | Code::PaidPass | Code::PaidCapped,
        ) => Colour::GoConcession,
        (Verdict::Open, _) => Colour::Go,
        (Verdict::Refuse, _) => Colour::Stop,
        (Verdict::Again, _) => Colour::Again,
        (Verdict::OutOfService, _) => Colour::Out,
    }
}

/// How a result sounds.
pub(super) const fn tone(served: &Served) -> Tone {
    match (served.result.verdict, served.result.code) {
        (Verdict::Again, _) => Tone::Again,
        (Verdict::Refuse | Verdict::OutOfService, _) => Tone::Refused,
        (Verdict::Open, Code::PaidTransfer) => Tone::Transfer,
        (Verdict::Open, Code::PaidPass) => Tone::Pass,
        (Verdict::Open, _) => match served.result.card_kind {
            Some(CardKind::Student) => Tone::Student,
            Some(CardKind::Elderly) => Tone::Elderly,
            Some(CardKind::Disabled) => Tone::Disabled,
            Some(CardKind::Military) => Tone::Military,
            Some(CardKind::Normal | CardKind::Test) | None => Tone::Normal,
        },
    }
}

/// Modes in which nobody is served.
pub(super) fn of_mode(mode: Mode) -> Option<Face> {
    match mode {
        Mode::Closed => Some(Face::new(
            Colour::Out,
            ("暂停服务", "Closed"),
            ("请使用其他设备", "Use another device"),
        )),
        Mode::EmergencyRelease => Some(Face::new(
            Colour::Go,
            ("紧急放行", "Emergency: go through"),
            ("无需刷卡，请有序通行", "No card needed, please walk on"),
        )),
        Mode::Normal | Mode::Degraded | Mode::TrainFailure | Mode::Test => None,
    }
}
