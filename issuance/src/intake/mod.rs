//! CSV of persons -> checked [`Person`]s and a report of what is wrong, by row and field.
//!
//! One bad row never stops the others. Only a file that cannot be understood at all (not UTF-8,
//! another header) is an error of the whole.

mod fields;

use crate::person::{Person, PersonNo, Scheme};
use card_spec::{
    FormatError,
    id::{CitizenId, RegionCode},
    time::CardDate,
};
use fields::Row;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Columns of the file, in order; also the names of fields in reports.
pub const COLUMNS: [&str; 16] = [
    "psn_no",
    "psn_name",
    "gend",
    "naty",
    "brdy",
    "certno",
    "insuplc_admdvs",
    "insutype",
    "psn_type",
    "cvlserv_flag",
    "assistance_flag",
    "disabled_flag",
    "student_flag",
    "emp_name",
    "account_yuan",
    "pension_yuan",
];

/// The field name of a fault that concerns the whole row.
pub const ROW: &str = "row";

/// Most bytes read of one file: a province is sent in parts.
pub const MAX_BYTES: usize = 64 << 20;

/// What a file is checked against.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Regions that may insure a person here.
    pub regions: BTreeSet<RegionCode>,
    /// Today: nobody is born later.
    pub today: CardDate,
}

impl Rules {
    /// Fujian's nine cities and Pingtan.
    pub fn fujian(today: CardDate) -> Self {
        let codes: [[u8; 3]; 10] = [
            [0x35, 0x01, 0x00],
            [0x35, 0x01, 0x28],
            [0x35, 0x02, 0x00],
            [0x35, 0x03, 0x00],
            [0x35, 0x04, 0x00],
            [0x35, 0x05, 0x00],
            [0x35, 0x06, 0x00],
            [0x35, 0x07, 0x00],
            [0x35, 0x08, 0x00],
            [0x35, 0x09, 0x00],
        ];
        Self {
            regions: codes
                .into_iter()
                .filter_map(|c| RegionCode::from_bytes(c).ok())
                .collect(),
            today,
        }
    }
}

/// One fault in one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// Line of the file, counted from 1; the header is line 1.
    pub line: u64,
    /// Column name, or [`ROW`].
    pub field: &'static str,
    /// Stable code, for programs.
    pub code: &'static str,
    /// What is wrong and what to do, Chinese.
    pub zh: String,
    /// The same in English.
    pub en: String,
}

/// What a file gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Intake {
    /// Rows without fault, in file order.
    pub persons: Vec<Person>,
    /// Faults in file order, within a row in column order. A row may have several.
    pub errors: Vec<RowError>,
    /// Data rows read.
    pub rows: u64,
}

impl Intake {
    /// Number of rows refused.
    pub fn refused(&self) -> usize {
        self.errors
            .iter()
            .map(|e| e.line)
            .collect::<BTreeSet<_>>()
            .len()
    }
}

/// Why a file was not read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// Not UTF-8.
    #[error(
        "the file is not UTF-8 (first bad byte at {at}): in a spreadsheet choose \"CSV UTF-8\" when saving 文件不是 UTF-8，请另存为“CSV UTF-8”"
    )]
    Encoding {
        /// Offset of the first byte that is not UTF-8.
        at: usize,
    },
    /// Empty.
    #[error("the file is empty: its first line must be the header 文件为空，首行须为表头")]
    Empty,
    /// Another header.
    #[error("the header is not that of a person file: {why}. Expected: {expected} 表头不符")]
    Header {
        /// The first difference.
        why: String,
        /// The header line that is expected.
        expected: String,
    },
    /// Too long.
    #[error(
        "the file has {bytes} bytes; at most {max} are read at once: split it 文件过大，请拆分"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
}

/// Reads a file.
pub fn read(bytes: &[u8], rules: &Rules) -> Result<Intake, IntakeError> {
    if bytes.len() > MAX_BYTES {
        return Err(IntakeError::TooLong {
            bytes: bytes.len(),
            max: MAX_BYTES,
        });
    }
    let text = core::str::from_utf8(bytes).map_err(|e| IntakeError::Encoding {
        at: e.valid_up_to(),
    })?;
    // Spreadsheets put a byte-order mark in front.
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(IntakeError::Empty);
    }
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    check_header(&mut reader)?;
    let mut file = File {
        rules,
        seen_no: BTreeMap::new(),
        seen_id: BTreeMap::new(),
        intake: Intake {
            persons: Vec::new(),
            errors: Vec::new(),
            rows: 0,
        },
    };
    for record in reader.records() {
        file.intake.rows += 1;
        match record {
            Ok(record) => file.row(&record),
            // The bytes are UTF-8 and the reader is flexible: what is left is the CSV itself.
            Err(e) => {
                let line = e.position().map_or(0, csv::Position::line);
                let mut row = Row::new(line);
                row.fault(ROW, "unreadable", "此行无法解析", &e.to_string());
                file.intake.errors.append(&mut row.errors);
            }
        }
    }
    Ok(file.intake)
}

fn check_header(reader: &mut csv::Reader<&[u8]>) -> Result<(), IntakeError> {
    let wrong = |why: String| IntakeError::Header {
        why,
        expected: COLUMNS.join(","),
    };
    let header = reader.headers().map_err(|e| wrong(e.to_string()))?;
    for (at, expected) in COLUMNS.iter().enumerate() {
        match header.get(at) {
            Some(found) if found == *expected => {}
            Some(found) => {
                let found: String = found.chars().take(40).collect();
                return Err(wrong(format!(
                    "column {} is \"{found}\" and should be \"{expected}\"",
                    at + 1
                )));
            }
            None => {
                return Err(wrong(format!(
                    "column {} \"{expected}\" is missing",
                    at + 1
                )));
            }
        }
    }
    if header.len() > COLUMNS.len() {
        return Err(wrong(format!(
            "{} columns instead of {}",
            header.len(),
            COLUMNS.len()
        )));
    }
    Ok(())
}

struct File<'a> {
    rules: &'a Rules,
    seen_no: BTreeMap<PersonNo, u64>,
    seen_id: BTreeMap<CitizenId, u64>,
    intake: Intake,
}

impl File<'_> {
    fn row(&mut self, record: &csv::StringRecord) {
        let line = record.position().map_or(0, csv::Position::line);
        let mut row = Row::new(line);
        if record.len() != COLUMNS.len() {
            row.fault(
                ROW,
                "columns",
                &format!(
                    "应有 {} 列，实有 {} 列：检查是否缺少单元格或多出逗号",
                    COLUMNS.len(),
                    record.len()
                ),
                &format!(
                    "{} cells instead of {}: look for a missing cell or a comma too many",
                    record.len(),
                    COLUMNS.len()
                ),
            );
        } else if let Some(person) = self.person(record, &mut row)
            && row.errors.is_empty()
        {
            self.seen_no.insert(person.psn_no.clone(), line);
            self.seen_id.insert(person.certno, line);
            self.intake.persons.push(person);
        }
        row.errors
            .sort_by_key(|e| COLUMNS.iter().position(|c| *c == e.field));
        self.intake.errors.append(&mut row.errors);
    }

    /// Checks every field, so that all faults of a row are reported at once.
    fn person(&self, record: &csv::StringRecord, row: &mut Row) -> Option<Person> {
        let cell = |name: &str| {
            COLUMNS
                .iter()
                .position(|c| *c == name)
                .and_then(|at| record.get(at))
                .unwrap_or_default()
        };
        let psn_no = self.person_no(cell("psn_no"), row);
        let name = fields::name(cell("psn_name"), row);
        let certno = self.certno(cell("certno"), row);
        let birth = self.birth(cell("brdy"), certno, row);
        let sex = fields::sex(cell("gend"), certno, row);
        let ethnicity = fields::ethnicity(cell("naty"), row);
        let region = self.region(cell("insuplc_admdvs"), row);
        let (scheme, person_type) = fields::enrolment(cell("insutype"), cell("psn_type"), row);
        let civil_servant = row.flag("cvlserv_flag", cell("cvlserv_flag"));
        if civil_servant && scheme.is_some_and(|s| s != Scheme::Employee) {
            row.fault(
                "cvlserv_flag",
                "scheme",
                "公务员应参加职工医保（310）",
                "a civil servant is insured as an employee (310): correct this flag or insutype",
            );
        }
        let assistance = row.flag("assistance_flag", cell("assistance_flag"));
        let disabled = row.flag("disabled_flag", cell("disabled_flag"));
        let student = row.flag("student_flag", cell("student_flag"));
        let employer = fields::employer(cell("emp_name"), row);
        let account = row.money("account_yuan", cell("account_yuan"));
        if account.is_some_and(|a| a.0 > 0) && scheme.is_some_and(|s| s != Scheme::Employee) {
            row.fault(
                "account_yuan",
                "scheme",
                "居民医保无个人账户，应为 0",
                "only the employee scheme has a personal account: write 0.00",
            );
        }
        let pension = fields::pension(cell("pension_yuan"), person_type, row);
        Some(Person {
            psn_no: psn_no?,
            name: name?,
            sex: sex?,
            ethnicity: ethnicity?,
            birth: birth?,
            certno: certno?,
            region: region?,
            scheme: scheme?,
            person_type: person_type?,
            civil_servant,
            assistance,
            disabled,
            student,
            employer,
            account: account?,
            pension,
        })
    }

    fn person_no(&self, text: &str, row: &mut Row) -> Option<PersonNo> {
        const F: &str = "psn_no";
        match PersonNo::try_from(text.to_owned()) {
            Ok(no) => {
                if let Some(line) = self.seen_no.get(&no) {
                    row.fault(
                        F,
                        "duplicate",
                        &format!("与第 {line} 行的人员编号重复"),
                        &format!("line {line} has the same person number: keep one of the two"),
                    );
                }
                Some(no)
            }
            Err(_) if text.is_empty() => {
                row.fault(F, "missing", "缺少人员编号", "missing");
                None
            }
            Err(_) => {
                row.fault(
                    F,
                    "format",
                    "应为 1 至 30 位数字或大写字母",
                    "must be 1 to 30 digits or capital letters",
                );
                None
            }
        }
    }

    fn certno(&self, text: &str, row: &mut Row) -> Option<CitizenId> {
        const F: &str = "certno";
        let (code, zh, en) = match text.parse::<CitizenId>() {
            Ok(id) => {
                if let Some(line) = self.seen_id.get(&id) {
                    row.fault(
                        F,
                        "duplicate",
                        &format!("与第 {line} 行的身份号码重复"),
                        &format!("line {line} is the same person: keep one of the two"),
                    );
                }
                return Some(id);
            }
            Err(_) if text.is_empty() => ("missing", "缺少公民身份号码", "missing"),
            Err(FormatError::Length) => {
                ("length", "应为 18 位", "must have 18 characters (GB 11643)")
            }
            Err(FormatError::Digit) => (
                "digit",
                "前 17 位应全为数字（注意字母 O 与数字 0）",
                "the first 17 must be digits (look for a letter O)",
            ),
            Err(FormatError::CheckDigit) => (
                "check-digit",
                "校验码不符：请对照证件逐位核对",
                "the check character does not match: compare every digit with the document",
            ),
            Err(FormatError::Range) => (
                "date",
                "其中的出生日期不存在",
                "the date of birth inside does not exist",
            ),
        };
        row.fault(F, code, zh, en);
        None
    }

    fn birth(&self, text: &str, certno: Option<CitizenId>, row: &mut Row) -> Option<CardDate> {
        const F: &str = "brdy";
        let Ok(date) = text.parse::<CardDate>() else {
            let (code, zh, en) = if text.is_empty() {
                ("missing", "缺少出生日期", "missing")
            } else {
                (
                    "date",
                    "日期不存在或格式不符，应为 YYYY-MM-DD",
                    "no such date, or not written YYYY-MM-DD",
                )
            };
            row.fault(F, code, zh, en);
            return None;
        };
        if date > self.rules.today {
            row.fault(F, "future", "出生日期晚于今天", "lies in the future");
        } else if certno.is_some_and(|id| id.birth() != Ok(date)) {
            row.fault(
                F,
                "contradicts-certno",
                "与身份号码中的出生日期不一致",
                "the identity number holds another date of birth: compare both with the document",
            );
        }
        Some(date)
    }

    fn region(&self, text: &str, row: &mut Row) -> Option<RegionCode> {
        const F: &str = "insuplc_admdvs";
        let (code, zh, en) = match text.parse::<RegionCode>() {
            Ok(region) if self.rules.regions.contains(&region) => return Some(region),
            Ok(_) => (
                "region",
                "不是本省统筹区代码",
                "not an insuring region of this issuer: check the code (350100 is Fuzhou)",
            ),
            Err(_) if text.is_empty() => ("missing", "缺少参保地", "missing"),
            Err(_) => (
                "format",
                "应为 6 位行政区划代码",
                "must be a six-digit division code",
            ),
        };
        row.fault(F, code, zh, en);
        None
    }
}

#[cfg(test)]
mod tests;
