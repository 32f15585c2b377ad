//! Shared by the integration tests: the shipped data and small makers.

use std::path::PathBuf;

use benefit::{
    Account, AcctUsed, Accumulators, Catalogue, CatalogueItem, ChargeClass, Claim, ClaimTotals,
    CrossCity, Fee, HospitalLevel, MedType, Policy, PolicySet, PricedLine, PsnType, price_line,
};
use card_spec::Fen;

pub(crate) fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../data/fujian")
        .join(name)
}

pub(crate) fn shipped() -> PolicySet {
    PolicySet::load_dir(&data("benefits")).unwrap()
}

pub(crate) fn fixture() -> Policy {
    Policy::parse(include_str!("fixtures/segments.toml"), "segments.toml").unwrap()
}

/// A catalogue item made for a test.
pub(crate) fn item(
    class: ChargeClass,
    selfpay_prop: &str,
    price_limit: Option<i64>,
) -> CatalogueItem {
    let class = match class {
        ChargeClass::A => "A",
        ChargeClass::B => "B",
        ChargeClass::C => "C",
    };
    let limit = price_limit.map_or(String::new(), |fen| fen.to_string());
    let csv = format!(
        "list_code,name_zh,name_en,class,selfpay_prop,price_limit_fen\nT1,试,test,{class},{selfpay_prop},{limit}\n"
    );
    Catalogue::parse(&csv, "test")
        .unwrap()
        .get("T1")
        .unwrap()
        .clone()
}

pub(crate) fn fee(price: &str, count: &str, amount: Fen) -> Fee {
    Fee {
        price: price.parse().unwrap(),
        count: count.parse().unwrap(),
        amount,
    }
}

/// One unit at `amount`.
pub(crate) fn one(item: &CatalogueItem, amount: Fen) -> PricedLine {
    price_line(item, &fee(&amount.to_string(), "1", amount)).unwrap()
}

/// A bill wholly in scope.
pub(crate) fn in_scope(amount: Fen) -> ClaimTotals {
    ClaimTotals::of(&[one(&item(ChargeClass::A, "0", None), amount)]).unwrap()
}

pub(crate) fn claim(
    psn_type: PsnType,
    med_type: MedType,
    level: HospitalLevel,
    totals: ClaimTotals,
) -> Claim {
    Claim {
        psn_type,
        med_type,
        level,
        totals,
        year: Accumulators::default(),
        cross_city: CrossCity::Local,
        account: Account {
            used: AcctUsed::None,
            own_balance: Fen::ZERO,
            family_balance: Fen::ZERO,
        },
        civil_servant: false,
        assistance: None,
    }
}
