//! The five invariants over random bills, every shipped policy and the fixture.

use crate::common::*;
use benefit::*;
use card_spec::Fen;
use proptest::prelude::*;

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(all)
}

fn line() -> impl Strategy<Value = PricedLine> {
    let price = prop_oneof![0u64..100_000_000, 0u64..1_000_000_000_000];
    let count = prop_oneof![Just(10_000u64), 1u64..2_000_000];
    let limit = proptest::option::of(0i64..50_000);
    (one_of(ChargeClass::ALL), 0u32..=10_000, limit, price, count).prop_map(
        |(class, prop, limit, price, count)| {
            let prop = match class {
                ChargeClass::A => Ratio::ZERO,
                ChargeClass::B => Ratio::from_units(prop).unwrap(),
                ChargeClass::C => Ratio::ONE,
            };
            let item = item(class, &prop.to_string(), limit);
            let product = u128::from(price) * u128::from(count);
            let amount = i64::try_from((product + 50_000_000) / 100_000_000).unwrap();
            let fee = Fee {
                price: UnitPrice::from_units(price).unwrap(),
                count: Quantity::from_units(count).unwrap(),
                amount: Fen(amount),
            };
            price_line(&item, &fee).unwrap()
        },
    )
}

fn claims() -> impl Strategy<Value = Claim> {
    let money = || prop_oneof![Just(0i64), 0i64..100_000, 0i64..200_000_000].prop_map(Fen);
    (
        one_of(MedType::ALL),
        one_of(HospitalLevel::ALL),
        proptest::collection::vec(line(), 1..6),
        one_of(CrossCity::ALL),
        (one_of(AcctUsed::ALL), money(), money()),
        any::<bool>(),
        proptest::option::of(one_of(AssistanceStatus::ALL)),
    )
        .prop_map(
            |(med_type, level, lines, cross_city, account, civil, relief)| {
                let totals = ClaimTotals::of(&lines).unwrap();
                let mut claim = claim(PsnType::Active, med_type, level, totals);
                claim.cross_city = cross_city;
                claim.account = Account {
                    used: account.0,
                    own_balance: account.1,
                    family_balance: account.2,
                };
                claim.civil_servant = civil;
                claim.assistance = relief;
                claim
            },
        )
}

fn policies() -> Vec<Policy> {
    let mut all: Vec<Policy> = shipped().iter().cloned().collect();
    all.push(fixture());
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A year of bills, then all of them reversed in any order: every settlement and reversal
    /// keeps the invariants, no limit is passed, and the year ends where it began.
    #[test]
    fn a_year_of_bills_and_its_reversal(
        claims in proptest::collection::vec(claims(), 1..8),
        policy_index in 0usize..5,
        retired in any::<bool>(),
        order in any::<prop::sample::Index>(),
    ) {
        let policy = &policies()[policy_index];
        let psn_type = match (policy.head.insutype, retired) {
            (InsuType::Resident, _) => PsnType::Resident,
            (InsuType::Employee, true) => PsnType::Retired,
            (InsuType::Employee, false) => PsnType::Active,
        };
        let mut year = Accumulators::default();
        let mut settled = Vec::new();
        for claim in claims {
            let claim = Claim { psn_type, year, ..claim };
            let s = settle(policy, &claim).unwrap();
            prop_assert_eq!(check(&s), Ok(()));
            prop_assert_eq!(s.balc, claim.account.own_balance - (s.acct_pay - s.acct_mulaid_pay));
            // No fund pays for what is out of scope, and none of the deductible comes from the pool.
            prop_assert!(s.fund_pay_sumamt <= s.inscp_scp_amt);
            prop_assert!(s.hifp_pay <= s.inscp_scp_amt - s.act_pay_dedc);
            for row in &s.details {
                if let Some(limit) = row.crt_payb_lmt_amt {
                    prop_assert!(row.fund_payamt <= limit);
                }
            }
            // The same inputs give the same bytes.
            prop_assert_eq!(&settle(policy, &claim).unwrap(), &s);
            year = year.plus(&s.year_change).unwrap();
            settled.push(s);
        }
        let pool_cap = Fen::yuan(120_000);
        prop_assert!(year.inpatient_pool <= pool_cap);
        prop_assert!(year.large_amount <= Fen::yuan(1_100_000));

        let start = order.index(settled.len());
        settled.rotate_left(start);
        for s in &settled {
            let back = reverse(s, Fen::ZERO).unwrap();
            prop_assert_eq!(check_reversal(s, &back), Ok(()));
            year = year.plus(&back.year_change).unwrap();
        }
        prop_assert_eq!(year, Accumulators::default());
    }

    /// More cost in scope never means less from the funds, nor less from the person.
    #[test]
    fn funds_and_person_grow_with_the_bill(
        low in 1i64..40_000_000,
        more in 0i64..40_000_000,
        policy_index in 0usize..4,
        med_type in one_of(MedType::ALL),
        level in one_of(HospitalLevel::ALL),
    ) {
        let policy = &policies()[policy_index];
        let psn_type = match policy.head.insutype {
            InsuType::Employee => PsnType::Active,
            InsuType::Resident => PsnType::Resident,
        };
        let bill = |fen| {
            settle(policy, &claim(psn_type, med_type, level, in_scope(Fen(fen)))).unwrap()
        };
        let (small, large) = (bill(low), bill(low + more));
        prop_assert!(large.fund_pay_sumamt >= small.fund_pay_sumamt);
        // Half-up rounding of several payments may move the person's part by a fen each.
        prop_assert!(large.psn_part_amt + Fen(3) >= small.psn_part_amt);
    }

    /// Damage to any stored amount is seen or stays out of every sum.
    #[test]
    fn arbitrary_stored_amounts_never_panic(amounts in proptest::collection::vec(any::<i64>(), 4)) {
        let policy = fixture();
        let claim = claim(
            PsnType::Resident, MedType::Inpatient, HospitalLevel::Three, in_scope(Fen::yuan(5_000)),
        );
        let mut s = settle(&policy, &claim).unwrap();
        s.medfee_sumamt = Fen(amounts[0]);
        s.hifp_pay = Fen(amounts[1]);
        s.details[0].fund_payamt = Fen(amounts[2]);
        s.year_change.serious_burden = Fen(amounts[3]);
        prop_assert!(check(&s).is_err());
        prop_assert!(reverse(&s, Fen::ZERO).is_err());
    }
}
