//! Published and derived figures of the fact sheet (medical and social-insurance facts).

use crate::common::*;
use benefit::*;
use card_spec::Fen;

fn region(text: &str) -> card_spec::id::RegionCode {
    text.parse().unwrap()
}

/// Published 2207 message: medfee 4.52, one class-B line, selfpay_prop 0.05.
#[test]
fn published_message_of_one_class_b_line() {
    let line = one(&item(ChargeClass::B, "0.05", None), Fen(452));
    assert_eq!(line.preselfpay, Fen(23), "0.226 rounds half up");
    assert_eq!(line.inscp_scp, Fen(429));
    let set = shipped();
    let policy = set.get(region("350100"), InsuType::Employee).unwrap();
    let mut claim = claim(
        PsnType::Active,
        MedType::Outpatient,
        HospitalLevel::Two,
        ClaimTotals::of(&[line]).unwrap(),
    );
    claim.account = Account {
        used: AcctUsed::Own,
        own_balance: Fen(137_815),
        family_balance: Fen::ZERO,
    };
    let s = settle(policy, &claim).unwrap();
    check(&s).unwrap();
    assert_eq!(s.act_pay_dedc, Fen(429));
    assert_eq!(s.fund_pay_sumamt, Fen::ZERO);
    assert_eq!(s.acct_pay, Fen(452));
    assert_eq!(s.psn_cash_pay, Fen::ZERO);
    assert_eq!(s.balc, Fen(137_363));
}

/// Published inpatient settlement (Chongqing, retiree): the invariants accept it, and refuse it
/// when any single amount is one fen off.
#[test]
fn published_inpatient_settlement_keeps_the_invariants() {
    let row = |fund_pay_type, fund_payamt| DetailRow {
        fund_pay_type,
        inscp_scp_amt: Fen::ZERO,
        crt_payb_lmt_amt: None,
        fund_payamt,
        setl_proc_info: String::new(),
    };
    let fund = Fen(1_878_539);
    let published = Settlement {
        kind: Kind::Settlement,
        medfee_sumamt: Fen(2_344_246),
        fulamt_ownpay_amt: Fen(253_397),
        overlmt_selfpay: Fen(139_689),
        preselfpay_amt: Fen(70_344),
        inscp_scp_amt: Fen(1_880_816),
        act_pay_dedc: Fen::ZERO,
        hifp_pay: fund,
        pool_prop_selfpay: Ratio::ONE,
        cvlserv_pay: Fen::ZERO,
        hifes_pay: Fen::ZERO,
        hifmi_pay: Fen::ZERO,
        hifob_pay: Fen::ZERO,
        maf_pay: Fen::ZERO,
        oth_pay: Fen::ZERO,
        hifdm_pay: Fen::ZERO,
        fund_pay_sumamt: fund,
        psn_part_amt: Fen(415_206),
        acct_pay: Fen(17_004),
        psn_cash_pay: Fen(398_202),
        hosp_part_amt: Fen(50_501),
        balc: Fen::ZERO,
        acct_mulaid_pay: Fen::ZERO,
        details: vec![
            row(FundPayType::EmployeePool, fund),
            row(FundPayType::PersonalAccount, Fen(17_004)),
            row(FundPayType::Hospital, Fen(50_501)),
        ],
        year_change: Accumulators::default(),
        steps: Vec::new(),
    };
    check(&published).unwrap();
    let reversal = reverse(&published, Fen::ZERO).unwrap();
    check_reversal(&published, &reversal).unwrap();
    assert_eq!(reversal.hosp_part_amt, Fen(-50_501));
    assert_eq!(reversal.balc, Fen(17_004));

    let damage: [fn(&mut Settlement); 9] = [
        |s| s.medfee_sumamt += Fen(1),
        |s| s.inscp_scp_amt += Fen(1),
        |s| s.hifp_pay += Fen(1),
        |s| s.fund_pay_sumamt += Fen(1),
        |s| s.psn_part_amt += Fen(1),
        |s| s.psn_cash_pay += Fen(1),
        |s| s.hosp_part_amt += Fen(1),
        |s| s.details[1].fund_payamt += Fen(1),
        |s| s.balc = Fen(-1),
    ];
    for (index, hurt) in damage.iter().enumerate() {
        let mut broken = published.clone();
        hurt(&mut broken);
        assert!(check(&broken).is_err(), "damage {index} went unseen");
        assert!(matches!(
            reverse(&broken, Fen::ZERO),
            Err(BenefitError::Damaged(_))
        ));
        assert!(check_reversal(&published, &broken).is_err());
    }
}

/// 20,000 at level 3, class C 1,000, class B 3,000 at 10 %: in scope 18,700.
fn derived_stay() -> ClaimTotals {
    let lines = [
        one(&item(ChargeClass::A, "0", None), Fen::yuan(16_000)),
        one(&item(ChargeClass::B, "0.10", None), Fen::yuan(3_000)),
        one(&item(ChargeClass::C, "1", None), Fen::yuan(1_000)),
    ];
    let totals = ClaimTotals::of(&lines).unwrap();
    assert_eq!(totals.inscp_scp(), Fen::yuan(18_700));
    totals
}

#[test]
fn derived_inpatient_figures() {
    use InsuType::{Employee, Resident};
    let set = shipped();
    let cases = [
        ("350100", Employee, PsnType::Active, 15_215),
        ("350100", Employee, PsnType::Retired, 15_752),
        ("350100", Resident, PsnType::Resident, 10_740),
        ("350200", Employee, PsnType::Active, 15_930),
        ("350200", Employee, PsnType::Retired, 17_290),
    ];
    for (city, insutype, psn_type, yuan) in cases {
        let policy = set.get(region(city), insutype).unwrap();
        let claim = claim(
            psn_type,
            MedType::Inpatient,
            HospitalLevel::Three,
            derived_stay(),
        );
        let s = settle(policy, &claim).unwrap();
        check(&s).unwrap();
        assert_eq!(
            s.hifp_pay,
            Fen::yuan(yuan),
            "{city} {insutype:?} {psn_type:?}"
        );
        assert_eq!(s.fund_pay_sumamt, s.hifp_pay);
    }
}

#[test]
fn derived_outpatient_figures() {
    let set = shipped();
    let cases = [
        ("350100", PsnType::Active, 1_872),
        ("350100", PsnType::Retired, 1_992),
        ("350200", PsnType::Active, 1_350),
    ];
    for (city, psn_type, yuan) in cases {
        let policy = set.get(region(city), InsuType::Employee).unwrap();
        let totals = in_scope(Fen::yuan(3_000));
        let claim = claim(psn_type, MedType::Outpatient, HospitalLevel::Three, totals);
        let s = settle(policy, &claim).unwrap();
        check(&s).unwrap();
        assert_eq!(s.hifp_pay, Fen::yuan(yuan), "{city} {psn_type:?}");
    }
}

/// Published segment table: to 10,000 at 80 %, to 30,000 at 85 %, then 90 % until the fund has paid
/// 60,000; deductibles 400, 280, 200.
#[test]
fn published_segment_table() {
    let policy = fixture();
    let pool = |yuan, stays| {
        let mut claim = claim(
            PsnType::Resident,
            MedType::Inpatient,
            HospitalLevel::Three,
            in_scope(Fen::yuan(yuan)),
        );
        claim.year.stays = stays;
        let s = settle(&policy, &claim).unwrap();
        check(&s).unwrap();
        s
    };
    assert_eq!(pool(10_000, 0).hifp_pay, Fen::yuan(7_680));
    assert_eq!(pool(10_000, 1).hifp_pay, Fen::yuan(7_776));
    assert_eq!(pool(10_000, 2).hifp_pay, Fen::yuan(7_840));
    assert_eq!(
        pool(10_000, 9).hifp_pay,
        Fen::yuan(7_840),
        "the last repeats"
    );
    assert_eq!(pool(30_000, 0).hifp_pay, Fen::yuan(24_680));
    assert_eq!(pool(30_001, 0).hifp_pay, Fen(2_468_090));
    // (60,000 - 24,680) / 0.9 = 39,244.44: the limit is reached at 69,244.44.
    assert_eq!(pool(69_244, 0).hifp_pay, Fen(5_999_960));
    assert_eq!(pool(69_245, 0).hifp_pay, Fen::yuan(60_000));
    assert_eq!(pool(200_000, 0).hifp_pay, Fen::yuan(60_000));
    assert_eq!(pool(300, 0).act_pay_dedc, Fen::yuan(300));
    // One segment shows its own ratio, several their mean: 24,680 / 29,600.
    assert_eq!(pool(10_000, 0).pool_prop_selfpay.to_string(), "0.8000");
    assert_eq!(pool(30_000, 0).pool_prop_selfpay.to_string(), "0.8338");
}
