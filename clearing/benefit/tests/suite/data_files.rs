//! The shipped files are complete; wrong ones are refused by file and field.

use crate::common::*;
use benefit::*;

const GOOD: &str = include_str!("fixtures/segments.toml");

#[test]
fn shipped_policies_are_labelled_and_cover_two_cities() {
    let set = shipped();
    let keys: Vec<String> = set
        .iter()
        .map(|p| format!("{}-{}", p.head.region, p.head.insutype.code()))
        .collect();
    assert_eq!(
        keys,
        ["350100-310", "350100-390", "350200-310", "350200-390"]
    );
    for policy in set.iter() {
        assert_eq!(policy.head.dated, "2026-03");
        assert!(!policy.head.verified && !policy.head.source.is_empty());
    }
}

#[test]
fn shipped_institutions_have_every_level_in_both_cities() {
    let institutions = Institutions::load(&data("institutions.toml")).unwrap();
    for city in ["350100", "350200"] {
        for level in HospitalLevel::ALL {
            assert!(
                institutions
                    .iter()
                    .any(|i| i.level == *level && i.city.to_string() == city),
                "{city} {level:?}"
            );
        }
    }
    let clinic = institutions.get("HSYN35010005").unwrap();
    assert_eq!(clinic.level, HospitalLevel::Primary);
    assert!(clinic.name_zh.contains("村卫生室"));
}

#[test]
fn shipped_catalogue_has_every_class() {
    let catalogue = Catalogue::load(&data("catalogue.csv")).unwrap();
    assert!(catalogue.len() >= 20);
    for class in ChargeClass::ALL {
        assert!(catalogue.iter().any(|item| item.class == *class));
    }
    assert!(catalogue.get("SYNT0001").is_some());
    assert!(catalogue.get("absent").is_none());
}

#[test]
fn a_wrong_policy_names_file_and_field() {
    let cases = [
        (
            "cap_fen = 60_000_00",
            "cap_fen = 60_000_00\ncapp = 1",
            "capp",
        ),
        ("cap_fen = 60_000_00", "cap_fen = -1", "pool.cap_fen"),
        ("cap_fen = 60_000_00", "cap_fen = 0.5", "cap_fen"),
        ("dated = \"2026-03\"", "dated = \"2026-13\"", "policy.dated"),
        ("region = \"999900\"", "region = \"99\"", "region"),
        (
            "source = \"published segment table of the fact sheet\"",
            "",
            "source",
        ),
        ("insutype = \"390\"", "insutype = \"391\"", "391"),
        (
            "insutype = \"390\"",
            "insutype = \"310\"",
            "serious_illness",
        ),
        (
            "filed_bp = 100_00",
            "filed_bp = 100_01",
            "cross_city.filed_bp",
        ),
        (
            "{ to_fen = 30_000_00,",
            "{ to_fen = 9_000_00,",
            "inpatient.rule[0].segments[1].to_fen",
        ),
        (
            "{ ratio_bp = 90_00 }",
            "{ to_fen = 99_000_00, ratio_bp = 90_00 }",
            "segments[2].to_fen",
        ),
        (
            "[400_00, 280_00, 200_00]",
            "[]",
            "inpatient.rule[0].deductible_fen",
        ),
        (
            "deductible_basis = \"stay\"",
            "deductible_basis = \"year\"",
            "inpatient.rule",
        ),
        (
            "levels = [\"3\"]",
            "levels = [\"3\", \"3\"]",
            "inpatient.rule[0]",
        ),
        ("levels = [\"3\"]", "levels = []", "inpatient.rule"),
        ("levels = [\"3\"]", "levels = [\"4\"]", "4"),
        (
            "deductible_fen = [0]",
            "deductible_fen = [0, 1]",
            "outpatient.rule",
        ),
        (
            "cap_fen = 500_00\nwithin_pool_cap = true",
            "within_pool_cap = false",
            "outpatient.cap_fen",
        ),
        ("low_income = 50_00", "poor = 50_00", "poor"),
        (
            "low_income = 50_00",
            "low_income = 200_00",
            "assistance.ratio_bp.low_income",
        ),
        (
            "applies_to = [\"inpatient\"]\ncap",
            "applies_to = []\ncap",
            "assistance.applies_to",
        ),
    ];
    for (from, to, field) in cases {
        assert!(GOOD.contains(from), "fixture lost `{from}`");
        let error = Policy::parse(&GOOD.replacen(from, to, 1), "wrong.toml").unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("wrong.toml"), "{text}");
        assert!(text.contains(field), "`{field}` is not named: {text}");
    }
}

#[test]
fn a_folder_without_policies_or_with_none_at_all() {
    assert!(matches!(
        PolicySet::load_dir(&data("absent")),
        Err(DataError::Read { .. })
    ));
    let source_folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert!(matches!(
        PolicySet::load_dir(&source_folder),
        Err(DataError::NoPolicies { .. })
    ));
}

#[test]
fn a_wrong_catalogue_names_row_and_field() {
    let head = "list_code,name_zh,name_en,class,selfpay_prop,price_limit_fen\nA1,甲,a,A,0,\n";
    let cases = [
        ("B1,乙,b,D,0,", "row 2, class"),
        ("B1,乙,b,A,0.1,", "row 2, selfpay_prop"),
        ("B1,乙,b,C,0.1,", "row 2, selfpay_prop"),
        ("B1,乙,b,B,1.1,", "row 2, selfpay_prop"),
        ("B1,乙,b,B,0.1,-1", "row 2, price_limit_fen"),
        ("B 1,乙,b,B,0.1,", "row 2, list_code"),
        ("A1,乙,b,B,0.1,", "row 2, list_code"),
        ("B1,,b,B,0.1,", "row 2, name_zh"),
        ("B1,乙,b,B,0.1", "line: 3"),
        ("B1,乙,b,B,0.1,x", "line: 3"),
    ];
    for (row, place) in cases {
        let error = Catalogue::parse(&format!("{head}{row}\n"), "c.csv").unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("c.csv") && text.contains(place),
            "{row}: {text}"
        );
    }
}

#[test]
fn a_wrong_institution_names_its_field() {
    let good = std::fs::read_to_string(data("institutions.toml")).unwrap();
    let cases = [
        (
            "HSYN35010002",
            "HSYN35010001",
            "institution[1].fixmedins_code",
        ),
        ("HSYN35010002", "HSYN350100", "12 letters"),
        ("level = \"2\"", "level = \"9\"", "9"),
        ("level = \"2\"", "level = \"2\"\nbeds = 3", "beds"),
        ("虚拟福州第二示范医院", "", "institution[1].name_zh"),
    ];
    for (from, to, field) in cases {
        let text = Institutions::parse(&good.replacen(from, to, 1), "i.toml")
            .unwrap_err()
            .to_string();
        assert!(text.starts_with("i.toml") && text.contains(field), "{text}");
    }
}
