//! The faults of one row, and the checks of single fields.

use super::RowError;
use crate::person::{Name, NameError, PersonType, Scheme, Sex};
use card_spec::{Fen, id::CitizenId};

/// Faults of one row so far.
pub(super) struct Row {
    line: u64,
    pub(super) errors: Vec<RowError>,
}

impl Row {
    pub(super) const fn new(line: u64) -> Self {
        Self {
            line,
            errors: Vec::new(),
        }
    }

    pub(super) fn fault(&mut self, field: &'static str, code: &'static str, zh: &str, en: &str) {
        self.errors.push(RowError {
            line: self.line,
            field,
            code,
            zh: zh.to_owned(),
            en: en.to_owned(),
        });
    }

    pub(super) fn flag(&mut self, field: &'static str, text: &str) -> bool {
        if !matches!(text, "0" | "1") {
            self.fault(field, "flag", "应为 0 或 1", "must be 0 (no) or 1 (yes)");
        }
        text == "1"
    }

    pub(super) fn money(&mut self, field: &'static str, text: &str) -> Option<Fen> {
        // Four bytes on the card.
        match text.parse::<Fen>() {
            Ok(fen) if fen.to_card().is_ok() => Some(fen),
            Ok(fen) if fen.0 < 0 => {
                self.fault(
                    field,
                    "negative",
                    "金额不能为负",
                    "an amount cannot be negative",
                );
                None
            }
            _ => {
                self.fault(
                    field,
                    "amount",
                    "应为以元计、至多两位小数的金额，如 1378.15",
                    "must be yuan with at most two decimals, such as 1378.15",
                );
                None
            }
        }
    }
}

pub(super) fn name(text: &str, row: &mut Row) -> Option<Name> {
    match Name::new(text) {
        Ok(name) => Some(name),
        Err(e) => {
            let (code, zh) = match &e {
                NameError::Missing => ("missing", "缺少姓名".to_owned()),
                NameError::Control => ("control", "姓名含控制字符，请重新录入".to_owned()),
                NameError::PrivateUse(c) => (
                    "private-use",
                    format!("姓名含自造字 U+{c:04X}，请改用标准码位"),
                ),
                NameError::TooLong { bytes, room } => (
                    "too-long",
                    format!("姓名占 {bytes} 字节，卡上至多 {room} 字节，请与本人商定简写"),
                ),
                NameError::NoCode(c) => ("no-code", format!("U+{c:04X} 在 GB 18030 中没有编码")),
            };
            row.fault("psn_name", code, &zh, &e.to_string());
            None
        }
    }
}

pub(super) fn sex(text: &str, certno: Option<CitizenId>, row: &mut Row) -> Option<Sex> {
    const F: &str = "gend";
    let sex = match text {
        "1" => Sex::Male,
        "2" => Sex::Female,
        _ => {
            row.fault(
                F,
                "code",
                "应为 1（男）或 2（女）",
                "must be 1 (male) or 2 (female)",
            );
            return None;
        }
    };
    if certno.is_some_and(|id| id.is_male() != (sex == Sex::Male)) {
        row.fault(
            F,
            "contradicts-certno",
            "与身份号码第 17 位不一致",
            "the identity number's 17th digit says otherwise: compare both with the document",
        );
    }
    Some(sex)
}

pub(super) fn ethnicity(text: &str, row: &mut Row) -> Option<u8> {
    match text.parse::<u8>() {
        Ok(code @ 1..=56) if text.len() == 2 => Some(code),
        _ => {
            row.fault(
                "naty",
                "code",
                "应为 GB/T 3304 的两位民族代码（01 至 56）",
                "must be a two-digit code of GB/T 3304, 01 to 56",
            );
            None
        }
    }
}

pub(super) fn enrolment(
    scheme: &str,
    kind: &str,
    row: &mut Row,
) -> (Option<Scheme>, Option<PersonType>) {
    let scheme = Scheme::from_code(scheme);
    if scheme.is_none() {
        row.fault(
            "insutype",
            "code",
            "应为 310（职工）、390（居民）或 380（新农合）",
            "must be 310 (employee), 390 (resident) or 380 (rural cooperative)",
        );
    }
    let kind = PersonType::from_code(kind);
    match (scheme, kind) {
        (_, None) => row.fault(
            "psn_type",
            "code",
            "应为 11（在职）、12（退休）、13（离休）或 15（居民）",
            "must be 11 (in work), 12 (retired), 13 (veteran) or 15 (resident)",
        ),
        (Some(s), Some(k)) if !k.belongs_to(s) => row.fault(
            "psn_type",
            "scheme",
            "与险种不符：310 用 11、12、13，390 与 380 用 15",
            "does not go with insutype: 310 has 11, 12, 13; 390 and 380 have 15",
        ),
        _ => {}
    }
    (scheme, kind)
}

/// Longest employer name kept, in characters.
const EMPLOYER_MAX: usize = 60;

pub(super) fn employer(text: &str, row: &mut Row) -> String {
    if text.chars().count() > EMPLOYER_MAX || text.chars().any(char::is_control) {
        row.fault(
            "emp_name",
            "format",
            "单位名称至多 60 字，不含控制字符",
            "at most 60 characters, none of them control characters",
        );
    }
    text.to_owned()
}

pub(super) fn pension(text: &str, kind: Option<PersonType>, row: &mut Row) -> Option<Fen> {
    if text.is_empty() {
        return None;
    }
    let pension = row.money("pension_yuan", text)?;
    if kind == Some(PersonType::Active) {
        row.fault(
            "pension_yuan",
            "not-retired",
            "在职人员不应有养老金：留空，或更正人员类别",
            "somebody in work draws no pension: leave it empty or correct psn_type",
        );
    }
    Some(pension)
}
