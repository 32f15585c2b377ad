//! Each rule of the algorithm by itself, with figures worked out by hand.

use crate::common::*;
use benefit::*;
use card_spec::Fen;

fn get(city: &str, insutype: InsuType) -> Policy {
    shipped()
        .get(city.parse().unwrap(), insutype)
        .unwrap()
        .clone()
}

fn inpatient(psn_type: PsnType, yuan: i64) -> Claim {
    claim(
        psn_type,
        MedType::Inpatient,
        HospitalLevel::Three,
        in_scope(Fen::yuan(yuan)),
    )
}

fn settled(policy: &Policy, claim: &Claim) -> Settlement {
    let s = settle(policy, claim).unwrap();
    check(&s).unwrap();
    s
}

#[test]
fn a_line_above_its_price_limit() {
    // 3 x (12.345678 - 10.00) = 7.037034 above; the rest of 37.04 at 10 % is 3.00 paid first.
    let item = item(ChargeClass::B, "0.10", Some(1_000));
    let line = price_line(&item, &fee("12.345678", "3", Fen(3_704))).unwrap();
    assert_eq!(line.overlmt, Fen(704));
    assert_eq!(line.preselfpay, Fen(300));
    assert_eq!(line.inscp_scp, Fen(2_700));
    assert_eq!(line.pric_uplmt, Some(Fen(1_000)));
    assert_eq!(line.chrgitm_lv.code(), "02");
}

#[test]
fn no_more_than_the_line_is_above_the_limit() {
    // 1.005 rounds to 1.01 above a limit of nothing; the sender rounded the line down to 1.00.
    let item = item(ChargeClass::A, "0", Some(0));
    let line = price_line(&item, &fee("1.005", "1", Fen(100))).unwrap();
    assert_eq!((line.overlmt, line.inscp_scp), (Fen(100), Fen::ZERO));
}

#[test]
fn class_c_is_wholly_own_whatever_the_limit() {
    let line = price_line(
        &item(ChargeClass::C, "1", Some(100)),
        &fee("5", "2", Fen(1_000)),
    );
    let line = line.unwrap();
    assert_eq!((line.fulamt_ownpay, line.overlmt), (Fen(1_000), Fen::ZERO));
    assert_eq!(line.inscp_scp, Fen::ZERO);
}

#[test]
fn an_amount_that_is_not_price_times_quantity_is_refused() {
    let item = item(ChargeClass::A, "0", None);
    assert!(
        price_line(&item, &fee("1.005", "1", Fen(100))).is_ok(),
        "one fen of grace"
    );
    assert_eq!(
        price_line(&item, &fee("1.005", "1", Fen(99))),
        Err(BenefitError::AmountMismatch {
            amount: Fen(99),
            expected: Fen(101)
        })
    );
    let huge = fee("9999999999.999999", "999999999999.9999", Fen(i64::MAX));
    assert!(matches!(
        price_line(&item, &huge),
        Err(BenefitError::OutOfRange { .. })
    ));
    assert!(matches!(
        price_line(&item, &fee("1", "1", Fen(-100))),
        Err(BenefitError::OutOfRange { .. })
    ));
}

#[test]
fn a_bill_needs_lines_that_add_up() {
    assert_eq!(ClaimTotals::of(&[]), Err(BenefitError::NoLines));
    let mut line = one(&item(ChargeClass::A, "0", None), Fen(100));
    line.inscp_scp = Fen(99);
    assert_eq!(
        ClaimTotals::of(&[line]),
        Err(BenefitError::LineDoesNotAddUp { amount: Fen(100) })
    );
}

/// Fuzhou outpatient: 600 a year, not a visit.
#[test]
fn an_outpatient_deductible_is_used_up_over_the_year() {
    let policy = get("350100", InsuType::Employee);
    let mut claim = claim(
        PsnType::Active,
        MedType::Outpatient,
        HospitalLevel::Three,
        in_scope(Fen::yuan(400)),
    );
    let first = settled(&policy, &claim);
    assert_eq!(
        (first.act_pay_dedc, first.hifp_pay),
        (Fen::yuan(400), Fen::ZERO)
    );
    claim.year = claim.year.plus(&first.year_change).unwrap();
    let second = settled(&policy, &claim);
    // 200 left; (400 - 200) x 78 %.
    assert_eq!(
        (second.act_pay_dedc, second.hifp_pay),
        (Fen::yuan(200), Fen::yuan(156))
    );
    claim.year = claim.year.plus(&second.year_change).unwrap();
    assert_eq!(settled(&policy, &claim).act_pay_dedc, Fen::ZERO);
}

/// Xiamen inpatient: 1,000 (retiree 500), halved from the second stay of the year.
#[test]
fn a_stay_deductible_is_halved_from_the_second_stay() {
    let policy = get("350200", InsuType::Employee);
    for (psn_type, first, later) in [(PsnType::Active, 1_000, 500), (PsnType::Retired, 500, 250)] {
        let mut claim = inpatient(psn_type, 5_000);
        let dedc: Vec<Fen> = (0..3)
            .map(|_| {
                let s = settled(&policy, &claim);
                claim.year = claim.year.plus(&s.year_change).unwrap();
                s.act_pay_dedc
            })
            .collect();
        assert_eq!(dedc, [Fen::yuan(first), Fen::yuan(later), Fen::yuan(later)]);
    }
}

/// The factor multiplies the pool's ratio: employees 1.0 / 0.90 / 0.70, residents 1.0 / 0.85 / 0.60.
#[test]
fn cross_city_multiplies_the_ratio() {
    let employee = get("350100", InsuType::Employee);
    let resident = get("350200", InsuType::Resident);
    let cases = [
        // (10,000 - 800) x 0.85 x factor
        (
            &employee,
            PsnType::Active,
            CrossCity::Local,
            782_000,
            "0.8500",
        ),
        (
            &employee,
            PsnType::Active,
            CrossCity::Filed,
            782_000,
            "0.8500",
        ),
        (
            &employee,
            PsnType::Active,
            CrossCity::Referral,
            703_800,
            "0.7650",
        ),
        (
            &employee,
            PsnType::Active,
            CrossCity::Unfiled,
            547_400,
            "0.5950",
        ),
        // (10,000 - 1,000) x 0.70 x factor
        (
            &resident,
            PsnType::Resident,
            CrossCity::Referral,
            535_500,
            "0.5950",
        ),
        (
            &resident,
            PsnType::Resident,
            CrossCity::Unfiled,
            378_000,
            "0.4200",
        ),
    ];
    for (policy, psn_type, kind, fen, ratio) in cases {
        let mut claim = inpatient(psn_type, 10_000);
        claim.cross_city = kind;
        let s = settled(policy, &claim);
        assert_eq!(
            (s.hifp_pay, s.pool_prop_selfpay.to_string().as_str()),
            (Fen(fen), ratio)
        );
    }
}

/// Residents have no ordinary outpatient benefit at levels 2 and 3; at level 1 half, to 800 a year.
#[test]
fn resident_outpatient_by_level_and_limit() {
    let policy = get("350100", InsuType::Resident);
    let at = |level, yuan| {
        let totals = in_scope(Fen::yuan(yuan));
        settled(
            &policy,
            &claim(PsnType::Resident, MedType::Outpatient, level, totals),
        )
    };
    assert_eq!(at(HospitalLevel::Three, 1_000).fund_pay_sumamt, Fen::ZERO);
    assert_eq!(at(HospitalLevel::One, 1_000).hifp_pay, Fen::yuan(500));
    assert_eq!(at(HospitalLevel::Primary, 2_000).hifp_pay, Fen::yuan(800));
}

/// Fuzhou employees: the pool to 120,000, then 90 % until both have paid 500,000.
#[test]
fn large_amount_begins_where_the_pool_ends() {
    let policy = get("350100", InsuType::Employee);
    let s = settled(&policy, &inpatient(PsnType::Active, 200_000));
    assert_eq!(s.hifp_pay, Fen::yuan(120_000));
    // 120,000 / 0.85 = 141,176.47 covered; 199,200 - 141,176.47 = 58,023.53 beyond, at 90 %.
    assert_eq!(s.hifob_pay, Fen(5_222_118));
    let s = settled(&policy, &inpatient(PsnType::Active, 1_000_000));
    assert_eq!(s.hifp_pay + s.hifob_pay, Fen::yuan(500_000));

    let mut later = inpatient(PsnType::Active, 10_000);
    later.year = later.year.plus(&s.year_change).unwrap();
    assert_eq!(settled(&policy, &later).fund_pay_sumamt, Fen::ZERO);
}

/// Xiamen's outpatient and inpatient bills share the pool's limit; Fuzhou's do not.
#[test]
fn what_counts_towards_the_pools_limit() {
    for (city, expected) in [("350100", 8_500), ("350200", 0)] {
        let policy = get(city, InsuType::Employee);
        let mut claim = inpatient(PsnType::Active, 10_800);
        claim.year.outpatient_pool = Fen::yuan(100_000);
        let s = settled(&policy, &claim);
        assert_eq!(s.hifp_pay, Fen::yuan(expected), "{city}");
    }
}

/// Fuzhou residents: 70 % of the year's burden from 23,200 to 100,000, 80 % above.
#[test]
fn serious_illness_follows_the_burden_of_the_year() {
    let policy = get("350100", InsuType::Resident);
    // Pool (50,800 - 800) x 60 % = 30,000; burden 20,800: below 23,200.
    let mut claim = inpatient(PsnType::Resident, 50_800);
    let first = settled(&policy, &claim);
    assert_eq!(
        (first.hifp_pay, first.hifmi_pay),
        (Fen::yuan(30_000), Fen::ZERO)
    );
    // Pool 50,800 x 60 % = 30,480; burden 20,800 -> 41,120: (41,120 - 23,200) x 70 %.
    claim.year = claim.year.plus(&first.year_change).unwrap();
    let second = settled(&policy, &claim);
    assert_eq!(second.hifmi_pay, Fen::yuan(12_544));
    // What serious illness pays stays part of the burden it is measured on.
    assert_eq!(second.year_change.serious_burden, Fen::yuan(20_320));
    // Across the boundary: 90,000 -> 110,320 pays 10,000 x 70 % + 10,320 x 80 %.
    claim.year.serious_burden = Fen::yuan(90_000);
    let s = settled(&policy, &claim);
    assert_eq!(s.hifmi_pay, Fen::yuan(7_000 + 8_256));
}

/// Civil servant and assistance follow in this order, on the in-scope rest only.
#[test]
fn subsidy_and_assistance_take_shares_of_the_rest() {
    let policy = fixture();
    let mut claim = inpatient(PsnType::Resident, 10_000);
    claim.civil_servant = true;
    claim.assistance = Some(AssistanceStatus::LowIncome);
    let s = settled(&policy, &claim);
    // 10,000 - 7,680 = 2,320; x 40 % = 928; the rest 1,392 x 50 % = 696.
    assert_eq!((s.cvlserv_pay, s.maf_pay), (Fen::yuan(928), Fen::yuan(696)));
    assert_eq!(s.psn_cash_pay, Fen::yuan(696));
    // Without the status the subsidy is not paid: 2,320 x 50 %.
    claim.civil_servant = false;
    let s = settled(&policy, &claim);
    assert_eq!((s.cvlserv_pay, s.maf_pay), (Fen::ZERO, Fen::yuan(1_160)));
    // The yearly limit of assistance is 3,000.
    claim.year.assistance = Fen::yuan(2_900);
    assert_eq!(settled(&policy, &claim).maf_pay, Fen::yuan(100));
    claim.assistance = Some(AssistanceStatus::MinimumLiving);
    assert_eq!(
        settled(&policy, &claim).maf_pay,
        Fen::ZERO,
        "no share named"
    );
}

#[test]
fn own_account_then_family_then_cash() {
    let policy = get("350100", InsuType::Employee);
    let mut claim = claim(
        PsnType::Active,
        MedType::Outpatient,
        HospitalLevel::Three,
        in_scope(Fen::yuan(500)),
    );
    claim.account = Account {
        used: AcctUsed::Family,
        own_balance: Fen::yuan(200),
        family_balance: Fen::yuan(120),
    };
    let s = settled(&policy, &claim);
    assert_eq!(
        (s.acct_pay, s.acct_mulaid_pay),
        (Fen::yuan(320), Fen::yuan(120))
    );
    assert_eq!((s.psn_cash_pay, s.balc), (Fen::yuan(180), Fen::ZERO));
    // A reversal gives the own account back its own money only.
    let back = reverse(&s, Fen::yuan(30)).unwrap();
    assert_eq!(
        (back.acct_pay, back.balc),
        (Fen::yuan(-320), Fen::yuan(230))
    );
    claim.account.used = AcctUsed::Own;
    assert_eq!(settled(&policy, &claim).acct_pay, Fen::yuan(200));
    claim.account.used = AcctUsed::None;
    let s = settled(&policy, &claim);
    assert_eq!((s.acct_pay, s.balc), (Fen::ZERO, Fen::yuan(200)));
}

#[test]
fn a_reversal_out_of_order_takes_back_what_its_bill_added() {
    let policy = get("350100", InsuType::Employee);
    let mut claim = inpatient(PsnType::Active, 5_000);
    let first = settled(&policy, &claim);
    claim.year = claim.year.plus(&first.year_change).unwrap();
    let second = settled(&policy, &claim);
    let year = claim.year.plus(&second.year_change).unwrap();
    assert_eq!(year.stays, 2);

    let reversal = reverse(&first, Fen::ZERO).unwrap();
    check_reversal(&first, &reversal).unwrap();
    assert_eq!(reversal.act_pay_dedc, Fen::yuan(-800));
    let year = year.plus(&reversal.year_change).unwrap();
    assert_eq!(year, second.year_change);
    assert_eq!(
        reverse(&reversal, Fen::ZERO),
        Err(BenefitError::AlreadyReversed)
    );
    assert!(year.plus(&reversal.year_change).is_err(), "not twice");
}

#[test]
fn who_is_not_covered_is_told_so() {
    let set = shipped();
    let region: card_spec::id::RegionCode = "350302".parse().unwrap();
    assert_eq!(
        set.get(region, InsuType::Employee).unwrap_err(),
        BenefitError::NoPolicy {
            region,
            insutype: InsuType::Employee
        }
    );
    // A district pools with its city.
    let district = "350203".parse().unwrap();
    assert_eq!(
        set.get(district, InsuType::Resident).unwrap().head.region,
        "350200".parse().unwrap()
    );
    let claim = inpatient(PsnType::Veteran, 100);
    assert!(matches!(
        settle(&get("350100", InsuType::Employee), &claim),
        Err(BenefitError::PersonNotCovered { .. })
    ));
    let mut claim = inpatient(PsnType::Active, 100);
    claim.year.inpatient_pool = Fen(-1);
    assert!(matches!(
        settle(&get("350100", InsuType::Employee), &claim),
        Err(BenefitError::OutOfRange {
            field: "year.inpatient_pool",
            ..
        })
    ));
}

#[test]
fn a_settlement_survives_storage() {
    let policy = get("350100", InsuType::Employee);
    let s = settled(&policy, &inpatient(PsnType::Retired, 12_345));
    let text = serde_json::to_string(&s).unwrap();
    assert!(text.contains(r#""fund_pay_type":"310100""#), "{text}");
    assert_eq!(serde_json::from_str::<Settlement>(&text).unwrap(), s);
}
