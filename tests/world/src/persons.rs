//! Synthetic persons: one seed gives one CSV, byte for byte.
//!
//! Nobody real can be hit. Identity numbers are valid under GB 11643 but their area code ends in
//! 99 (`35NN99`, Pingtan `350198`), which GB/T 2260 assigns to no county of Fujian; family names
//! are syllables that say "sample" (样 例 仿 拟 ...), followed by stems and branches. The header is
//! described in `data/samples/README.md`.
//!
//! Rows that are wrong on purpose carry the [`Fault`] that intake must report.

use card_spec::{id::CitizenId, time::CardDate};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

pub use issuance::intake::COLUMNS;

/// Seed of the committed `data/samples/persons.csv`.
pub const SAMPLE_SEED: u64 = 35;
/// Number of valid rows in the committed file.
pub const SAMPLE_COUNT: usize = 540;

/// The ten insuring regions 统筹区: division code, unassigned area code, share in percent.
const REGIONS: [(&str, &str, u32); 10] = [
    ("350100", "350199", 22), // 福州
    ("350200", "350299", 16), // 厦门
    ("350500", "350599", 16), // 泉州
    ("350600", "350699", 10), // 漳州
    ("350300", "350399", 8),  // 莆田
    ("350900", "350999", 7),  // 宁德
    ("350700", "350799", 6),  // 南平
    ("350400", "350499", 6),  // 三明
    ("350800", "350899", 6),  // 龙岩
    ("350128", "350198", 3),  // 平潭
];

const FAMILY: [&str; 12] = [
    "样", "例", "仿", "拟", "测", "虚", "演", "示", "模", "假", "设", "试",
];
const GIVEN: [&str; 24] = [
    "甲", "乙", "丙", "丁", "戊", "己", "庚", "辛", "壬", "癸", "子", "丑", "寅", "卯", "辰", "巳",
    "午", "未", "申", "酉", "戌", "亥", "春", "秋",
];
/// Characters outside the two-byte part of GB 18030: four bytes each on the card.
const RARE: [&str; 4] = ["\u{3447}", "\u{2A3ED}", "\u{2CC56}", "\u{20BB7}"];

const EMPLOYERS: [&str; 8] = [
    "示例造船有限公司",
    "样本茶业合作社",
    "虚拟软件园有限公司",
    "测试公交集团",
    "样例第一医院",
    "示范中学",
    "仿真食品厂",
    "演示物流有限公司",
];

/// What a row was made to be wrong in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The column that intake must name.
    pub field: &'static str,
    /// What was done to it, for people.
    pub what: &'static str,
}

/// One row of the CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Cells in the order of [`COLUMNS`] (a wrong row may have fewer).
    pub cells: Vec<String>,
    /// Set on rows that are wrong on purpose.
    pub fault: Option<Fault>,
}

/// Group a person belongs to; decides age, scheme and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Employee,
    CivilServant,
    Resident,
    RuralCooperative,
    Student,
    /// Retired, at the edges of concession rules (60, 65, 70) and above.
    Retiree,
    Veteran,
}

struct Draw(ChaCha8Rng);

impl Draw {
    fn below(&mut self, n: u32) -> u32 {
        self.0.next_u32() % n.max(1)
    }
    fn of<'a>(&mut self, table: &[&'a str]) -> &'a str {
        let at = self.below(table.len() as u32) as usize;
        table.get(at).copied().unwrap_or_default()
    }
    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }
}

/// `count` valid rows and the rows that are wrong on purpose, scattered among them. Ages are as of
/// `reference`. The same arguments give the same rows.
pub fn rows(seed: u64, count: usize, reference: CardDate) -> Vec<Row> {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
    let mut out: Vec<Row> = (0..count)
        .map(|n| Row {
            cells: person(&mut draw, n, reference),
            fault: None,
        })
        .collect();
    let wrong = wrong_rows(&out, &mut draw, count, reference);
    // Spread evenly, after the row a duplicate repeats.
    let total = wrong.len().max(1);
    for (i, row) in wrong.into_iter().enumerate().rev() {
        let at = (i + 1) * count / (total + 1);
        out.insert(at.min(out.len()), row);
    }
    out
}

/// The CSV file, UTF-8, `\n` line ends, header first.
pub fn csv(rows: &[Row]) -> String {
    let mut out = COLUMNS.join(",");
    out.push('\n');
    for row in rows {
        out.push_str(&row.cells.join(","));
        out.push('\n');
    }
    out
}

fn group(n: usize, draw: &mut Draw) -> Group {
    match n % 20 {
        0..=5 => Group::Employee,
        6 => Group::CivilServant,
        7..=9 => Group::Resident,
        10..=11 => Group::RuralCooperative,
        12..=14 => Group::Student,
        19 if draw.one_in(9) => Group::Veteran,
        _ => Group::Retiree,
    }
}

fn person(draw: &mut Draw, n: usize, reference: CardDate) -> Vec<String> {
    // Every region occurs among the first ten; afterwards by share.
    let mut pick = draw.below(100);
    let by_share = REGIONS.iter().find(|(_, _, share)| {
        let hit = pick < *share;
        pick = pick.saturating_sub(*share);
        hit
    });
    let (region, area, _) = REGIONS
        .get(n)
        .or(by_share)
        .copied()
        .unwrap_or(("350100", "350199", 0));
    let group = group(n, draw);
    let age = age(group, n, draw);
    let birth = birth(age, n, reference, draw);
    let male = draw.one_in(2);
    let certno = identity_number(area, birth, n as u32, male);
    let (scheme, status) = match group {
        Group::Employee | Group::CivilServant => ("310", "11"),
        Group::Retiree => ("310", "12"),
        Group::Veteran => ("310", "13"),
        Group::Resident | Group::Student => ("390", "15"),
        Group::RuralCooperative => ("380", "15"),
    };
    let employer = match group {
        Group::Employee => draw.of(&EMPLOYERS),
        Group::CivilServant => "示例县人民政府办公室",
        _ => "",
    };
    let account = match group {
        Group::Employee | Group::CivilServant => 20_000 + draw.below(380_000),
        Group::Retiree | Group::Veteran => 50_000 + draw.below(650_000),
        _ => 0,
    };
    let pension = match group {
        Group::Retiree | Group::Veteran => yuan(180_000 + draw.below(420_000)),
        _ => String::new(),
    };
    let flag = |on: bool| if on { "1" } else { "0" }.to_owned();
    let assistance = matches!(group, Group::Resident | Group::RuralCooperative) && draw.one_in(6);
    let disabled = !matches!(group, Group::Student | Group::CivilServant) && draw.one_in(18);
    vec![
        person_number(region, n as u32),
        name(draw, n),
        if male { "1" } else { "2" }.to_owned(),
        // GB/T 3304: 01 Han, 22 She (Ningde), 10 Korean, 11 Manchu.
        match (region, draw.below(12)) {
            ("350900", 0..=2) => "22",
            (_, 0) => "11",
            _ => "01",
        }
        .to_owned(),
        birth.to_string(),
        certno,
        region.to_owned(),
        scheme.to_owned(),
        status.to_owned(),
        flag(group == Group::CivilServant),
        flag(assistance),
        flag(disabled),
        flag(group == Group::Student),
        employer.to_owned(),
        yuan(account),
        pension,
    ]
}

fn age(group: Group, n: usize, draw: &mut Draw) -> u16 {
    let spread =
        |draw: &mut Draw, from: u16, to: u16| from + draw.below(u32::from(to - from)) as u16;
    match group {
        Group::Employee => spread(draw, 20, 60),
        Group::CivilServant => spread(draw, 24, 60),
        // Residents of every age; one in five stands at a concession's edge.
        Group::Resident if n.is_multiple_of(5) => 60 + 5 * (n % 3) as u16,
        Group::Resident => spread(draw, 23, 80),
        Group::RuralCooperative => spread(draw, 23, 85),
        Group::Student => spread(draw, 7, 22),
        Group::Retiree => match n % 4 {
            0 => 60 + 5 * (n % 3) as u16,
            _ => spread(draw, 60, 90),
        },
        Group::Veteran => spread(draw, 92, 99),
    }
}

/// A birth date that makes the person exactly `age` on the reference date. Every seventh person
/// has the birthday on that very day, and every eleventh on the day after (a year younger).
fn birth(age: u16, n: usize, reference: CardDate, draw: &mut Draw) -> CardDate {
    let (month, day) = (reference.month(), reference.day().min(28));
    let year = reference.year().saturating_sub(age);
    let date = match n {
        n if n % 7 == 3 => CardDate::new(year, month, day),
        n if n % 11 == 5 => CardDate::new(year, month, (day + 1).min(28)),
        _ => {
            let (m, d) = (1 + draw.below(12) as u8, 1 + draw.below(28) as u8);
            // Later in the year than the reference: the birthday of this age was last year.
            let year = if (m, d) > (month, day) {
                year - 1
            } else {
                year
            };
            CardDate::new(year, m, d)
        }
    };
    date.unwrap_or(reference)
}

fn identity_number(area: &str, birth: CardDate, n: u32, male: bool) -> String {
    // Three digits of order: unique per area and birthday is all that is needed; odd is male.
    let order = (n * 2 % 998) + u32::from(male);
    let digits = format!(
        "{area}{:04}{:02}{:02}{order:03}",
        birth.year(),
        birth.month(),
        birth.day()
    );
    with_check(&digits)
}

fn with_check(digits: &str) -> String {
    let check = digits
        .as_bytes()
        .try_into()
        .ok()
        .and_then(|d: &[u8; 17]| CitizenId::check_character(d).ok())
        .unwrap_or(b'?');
    format!("{digits}{}", char::from(check))
}

fn person_number(region: &str, n: u32) -> String {
    format!("{region}{:08}", n + 1)
}

fn name(draw: &mut Draw, n: usize) -> String {
    let family = draw.of(&FAMILY);
    let (first, second) = (draw.of(&GIVEN), draw.of(&GIVEN));
    match n {
        // A long name with the middle dot, as some ethnic groups write it: 36 bytes on the card.
        n if n % 97 == 41 => {
            format!("{family}{first}{second}\u{B7}甲乙丙丁戊\u{B7}己庚辛壬癸{family}{first}")
        }
        n if n % 53 == 17 => format!("{family}{}{second}", draw.of(&RARE)),
        n if n.is_multiple_of(9) => format!("{family}{first}"),
        _ => format!("{family}{first}{second}"),
    }
}

fn yuan(fen: u32) -> String {
    format!("{}.{:02}", fen / 100, fen % 100)
}

/// One row for every kind of mistake that people make in such files.
fn wrong_rows(good: &[Row], draw: &mut Draw, count: usize, reference: CardDate) -> Vec<Row> {
    let mut next = count;
    let mut wrong = Vec::new();
    let mut add =
        |field: &'static str, what: &'static str, spoil: &mut dyn FnMut(&mut Vec<String>)| {
            // Group 0 of the cycle: an employee, whom every rule applies to.
            next += 20 - next % 20;
            let mut cells = person(draw, next, reference);
            spoil(&mut cells);
            wrong.push(Row {
                cells,
                fault: Some(Fault { field, what }),
            });
        };
    let set = |cells: &mut Vec<String>, column: &str, value: &str| {
        if let Some(cell) = COLUMNS
            .iter()
            .position(|c| *c == column)
            .and_then(|at| cells.get_mut(at))
        {
            value.clone_into(cell);
        }
    };
    let get = |cells: &[String], column: &str| -> String {
        COLUMNS
            .iter()
            .position(|c| *c == column)
            .and_then(|at| cells.get(at).cloned())
            .unwrap_or_default()
    };
    let earlier = |column: &str| {
        let first = good.first().map(|r| r.cells.as_slice()).unwrap_or_default();
        get(first, column)
    };

    add("certno", "check character wrong", &mut |c| {
        let id = get(c, "certno");
        let bad = if id.ends_with('1') { "2" } else { "1" };
        set(c, "certno", &format!("{}{bad}", &id[..17]));
    });
    add("certno", "30 February inside the number", &mut |c| {
        let id = get(c, "certno");
        set(
            c,
            "certno",
            &with_check(&format!("{}19900230{}", &id[..6], &id[14..17])),
        );
    });
    add("certno", "17 characters", &mut |c| {
        let id = get(c, "certno");
        set(c, "certno", &id[..17]);
    });
    add("certno", "a letter inside", &mut |c| {
        let id = get(c, "certno");
        set(c, "certno", &format!("{}O{}", &id[..7], &id[8..]));
    });
    add("certno", "missing", &mut |c| set(c, "certno", ""));
    add("certno", "repeats an earlier row", &mut |c| {
        for column in ["certno", "brdy", "gend"] {
            set(c, column, &earlier(column));
        }
    });
    add("psn_no", "repeats an earlier row", &mut |c| {
        set(c, "psn_no", &earlier("psn_no"))
    });
    add("psn_no", "has a space and a dash", &mut |c| {
        set(c, "psn_no", "3501-00 17")
    });
    add(
        "psn_name",
        "28 characters: 56 bytes of GB 18030, the card holds 50",
        &mut |c| {
            set(c, "psn_name", &"样例甲乙丙丁戊".repeat(4));
        },
    );
    add("psn_name", "missing", &mut |c| set(c, "psn_name", ""));
    add("psn_name", "a control character", &mut |c| {
        set(c, "psn_name", "样\u{7}甲")
    });
    add("gend", "contradicts the identity number", &mut |c| {
        let other = if get(c, "gend") == "1" { "2" } else { "1" };
        set(c, "gend", other);
    });
    add("gend", "a word instead of the code", &mut |c| {
        set(c, "gend", "男")
    });
    add("naty", "no such code in GB/T 3304", &mut |c| {
        set(c, "naty", "77")
    });
    add("brdy", "a date that does not exist", &mut |c| {
        set(c, "brdy", "2025-02-29")
    });
    add("brdy", "contradicts the identity number", &mut |c| {
        set(c, "brdy", "1971-01-01")
    });
    add("insuplc_admdvs", "a region of another province", &mut |c| {
        set(c, "insuplc_admdvs", "330100")
    });
    add("insutype", "unknown scheme", &mut |c| {
        set(c, "insutype", "999")
    });
    add("psn_type", "resident under the employee scheme", &mut |c| {
        set(c, "psn_type", "15")
    });
    add("cvlserv_flag", "neither 0 nor 1", &mut |c| {
        set(c, "cvlserv_flag", "是")
    });
    add("account_yuan", "negative", &mut |c| {
        set(c, "account_yuan", "-12.50")
    });
    add(
        "pension_yuan",
        "a pension for somebody still at work",
        &mut |c| set(c, "pension_yuan", "3200.00"),
    );
    add("row", "cells missing at the end", &mut |c| c.truncate(9));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn reference() -> CardDate {
        CardDate::new(2026, 3, 16).expect("date")
    }

    #[test]
    fn committed_file_is_the_generators_output() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../data/samples/persons.csv"
        );
        let committed = std::fs::read_to_string(path).expect("data/samples/persons.csv");
        let made = csv(&rows(SAMPLE_SEED, SAMPLE_COUNT, reference()));
        assert!(
            committed == made,
            "run: cargo run -p world --example persons -- data/samples/persons.csv"
        );
    }

    #[test]
    fn another_seed_gives_other_persons() {
        assert_ne!(rows(1, 40, reference()), rows(2, 40, reference()));
        assert_eq!(rows(1, 40, reference()), rows(1, 40, reference()));
    }

    #[test]
    fn good_rows_are_valid_unique_and_nobody_real() {
        let rows = rows(SAMPLE_SEED, SAMPLE_COUNT, reference());
        let mut seen = BTreeSet::new();
        let good: Vec<&Row> = rows.iter().filter(|r| r.fault.is_none()).collect();
        assert!(good.len() >= 520);
        for row in &good {
            let [_, name, gend, _, brdy, certno, region, ..] = row.cells.as_slice() else {
                panic!("cells");
            };
            assert_eq!(row.cells.len(), COLUMNS.len());
            assert!(row.cells.iter().all(|c| !c.contains([',', '"', '\n'])));
            let id: CitizenId = certno.parse().unwrap_or_else(|e| panic!("{certno}: {e}"));
            assert!(
                id.area() == "350198" || id.area().ends_with("99"),
                "{certno}"
            );
            assert!(region == "350128" || id.area()[..4] == region[..4]);
            assert_eq!(id.birth().expect("birth").to_string(), *brdy);
            assert_eq!(id.is_male(), gend == "1");
            assert!(FAMILY.iter().any(|f| name.starts_with(f)));
            assert!(seen.insert(certno.clone()), "{certno} twice");
            assert!(seen.insert(row.cells[0].clone()));
        }
        assert!(rows.len() - good.len() >= 20);
    }

    #[test]
    fn every_region_group_and_edge_age_occurs() {
        let rows = rows(SAMPLE_SEED, SAMPLE_COUNT, reference());
        let good = || rows.iter().filter(|r| r.fault.is_none());
        let mut regions = BTreeMap::<&str, usize>::new();
        let mut groups = BTreeMap::<(&str, &str), usize>::new();
        let mut edges = BTreeSet::new();
        for row in good() {
            *regions.entry(&row.cells[6]).or_default() += 1;
            *groups.entry((&row.cells[7], &row.cells[8])).or_default() += 1;
            let birth: CardDate = row.cells[4].parse().expect("date");
            if (birth.month(), birth.day()) == (3, 16) {
                edges.insert(2026 - birth.year());
            }
        }
        assert_eq!(regions.len(), 10);
        assert!(regions.values().all(|n| *n >= 5), "{regions:?}");
        for group in [
            ("310", "11"),
            ("310", "12"),
            ("310", "13"),
            ("390", "15"),
            ("380", "15"),
        ] {
            assert!(groups.contains_key(&group), "{groups:?}");
        }
        assert!(
            [60, 65, 70].iter().all(|age| edges.contains(age)),
            "{edges:?}"
        );
        for flag in 9..=12 {
            assert!(
                good().filter(|r| r.cells[flag] == "1").count() >= 5,
                "column {flag}"
            );
        }
    }
}
