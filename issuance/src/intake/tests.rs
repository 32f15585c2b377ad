use super::*;

fn rules() -> Rules {
    Rules::fujian(CardDate::new(2026, 3, 16).expect("date"))
}

fn sample() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/samples/persons.csv");
    std::fs::read(path).expect("data/samples/persons.csv")
}

const GOOD: &str = "35010000000001,样甲乙,2,01,1990-01-01,ID,350100,310,11,0,0,0,0,示例,12.50,";

fn file(rows: &[&str]) -> String {
    let id = "35019919900101002";
    let check = CitizenId::check_character(id.as_bytes().try_into().expect("17")).expect("digits");
    let id = format!("{id}{}", check as char);
    let mut text = COLUMNS.join(",");
    for row in rows {
        text.push('\n');
        text.push_str(&row.replace("ID", &id));
    }
    text
}

fn only_fault(row: &str) -> (u64, &'static str, &'static str) {
    let intake = read(file(&[row]).as_bytes(), &rules()).expect("readable");
    assert!(intake.persons.is_empty(), "{row}");
    let [e] = intake.errors.as_slice() else {
        panic!("{:?}", intake.errors);
    };
    assert!(!e.zh.is_empty() && !e.en.is_empty());
    (e.line, e.field, e.code)
}

/// The sample file's rows that are wrong on purpose, exactly: field and code in file order.
#[test]
fn sample_file_reports_every_planted_fault_and_nothing_else() {
    let intake = read(&sample(), &rules()).expect("readable");
    assert_eq!((intake.rows, intake.persons.len()), (563, 540));
    assert_eq!(intake.refused(), 23);
    let found: Vec<(&str, &str)> = intake.errors.iter().map(|e| (e.field, e.code)).collect();
    assert_eq!(
        found,
        [
            ("certno", "check-digit"),
            ("certno", "date"),
            ("certno", "length"),
            ("certno", "digit"),
            ("certno", "missing"),
            ("certno", "duplicate"),
            ("psn_no", "duplicate"),
            ("psn_no", "format"),
            ("psn_name", "too-long"),
            ("psn_name", "missing"),
            ("psn_name", "control"),
            ("gend", "contradicts-certno"),
            ("gend", "code"),
            ("naty", "code"),
            ("brdy", "date"),
            ("brdy", "contradicts-certno"),
            ("insuplc_admdvs", "region"),
            ("insutype", "code"),
            ("psn_type", "scheme"),
            ("cvlserv_flag", "flag"),
            ("account_yuan", "negative"),
            ("pension_yuan", "not-retired"),
            ("row", "columns"),
        ]
    );
    // Lines are those of the file: the line named holds the fault.
    let text = String::from_utf8(sample()).expect("UTF-8");
    let line = |n: u64| text.lines().nth(n as usize - 1).expect("line");
    assert!(line(intake.errors[7].line).starts_with("3501-00 17,"));
    assert!(line(intake.errors[16].line).contains(",330100,"));
}

#[test]
fn several_faults_of_one_row_are_reported_together_in_column_order() {
    let row = "x y,,3,99,1990-13-01,ID,350100,311,11,2,0,0,0,,1.234,";
    let intake = read(file(&[row, GOOD]).as_bytes(), &rules()).expect("readable");
    let fields: Vec<_> = intake.errors.iter().map(|e| (e.line, e.field)).collect();
    let expected = [
        "psn_no",
        "psn_name",
        "gend",
        "naty",
        "brdy",
        "insutype",
        "cvlserv_flag",
        "account_yuan",
    ];
    assert_eq!(fields, expected.map(|f| (2, f)));
    assert_eq!(intake.persons.len(), 1, "the good row after it is kept");
}

#[test]
fn single_faults() {
    let swap = |from: &str, to: &str| only_fault(&GOOD.replace(from, to));
    assert_eq!(swap("1990-01-01", "2026-03-17").1, "brdy");
    let resident = GOOD.replace(",310,11,0", ",390,15,1").replace("12.50", "0");
    assert_eq!(only_fault(&resident), (2, "cvlserv_flag", "scheme"));
    assert_eq!(swap(",310,11", ",390,15"), (2, "account_yuan", "scheme"));
    assert_eq!(swap("350100,", "35010,"), (2, "insuplc_admdvs", "format"));
    assert_eq!(swap("12.50", "99999999.00"), (2, "account_yuan", "amount"));
    assert_eq!(only_fault(&format!("{GOOD},extra")), (2, "row", "columns"));
}

#[test]
fn a_row_that_was_refused_does_not_make_the_corrected_one_a_duplicate() {
    let bad = GOOD.replace(",01,", ",77,");
    let intake = read(file(&[&bad, GOOD, GOOD]).as_bytes(), &rules()).expect("readable");
    assert_eq!(intake.persons.len(), 1);
    let faults: Vec<_> = intake.errors.iter().map(|e| (e.line, e.code)).collect();
    assert_eq!(faults, [(2, "code"), (4, "duplicate"), (4, "duplicate")]);
    assert!(intake.errors[1].en.contains("line 3"));
}

#[test]
fn files_that_are_not_person_files() {
    let gbk = [0xD0, 0xD5, 0xC3, 0xFB]; // 姓名 in GBK
    assert_eq!(read(&gbk, &rules()), Err(IntakeError::Encoding { at: 0 }));
    assert_eq!(read(b"\n \n", &rules()), Err(IntakeError::Empty));
    let Err(IntakeError::Header { why, .. }) = read(b"psn_no,name\n1,x\n", &rules()) else {
        panic!("header accepted");
    };
    assert!(why.contains("column 2 is \"name\""), "{why}");
    let short = COLUMNS[..15].join(",");
    assert!(matches!(
        read(short.as_bytes(), &rules()),
        Err(IntakeError::Header { .. })
    ));
    let marked = format!("\u{FEFF}{}", file(&[GOOD]));
    assert_eq!(
        read(marked.as_bytes(), &rules())
            .expect("BOM")
            .persons
            .len(),
        1
    );
}

#[test]
fn quoted_cells_and_windows_line_ends_are_read() {
    let row = GOOD.replace("示例", "\"示例,二厂\"");
    let text = file(&[&row]).replace('\n', "\r\n");
    let intake = read(text.as_bytes(), &rules()).expect("readable");
    assert_eq!(intake.persons[0].employer, "示例,二厂");
}

proptest::proptest! {
    /// Nothing that a file can hold panics, and every row is either a person or has a fault.
    #[test]
    fn any_rows(rows in proptest::collection::vec("[ -~样\u{20BB7}\"]{0,60}", 0..8)) {
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        if let Ok(intake) = read(file(&rows).as_bytes(), &rules()) {
            proptest::prop_assert_eq!(intake.rows as usize, intake.persons.len() + intake.refused());
        }
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = read(&bytes, &rules());
    }
}
