//! The national interface: a visit from registration to reversal.

use crate::world::*;
use card_spec::{Fen, id::RegionCode};
use clearing::{
    Clock, HospitalKey,
    medical::{CallHeaders, Reply},
};
use clearing_api::{Outcome, national::*, registry::Insured};

pub(crate) fn keys() -> Vec<HospitalKey> {
    vec![HospitalKey {
        institution: HOSPITAL.into(),
        credentials: Credentials {
            access_key: "AK1".into(),
            secret_key: "SK1".into(),
        },
    }]
}

pub(crate) fn caller() -> Caller {
    Caller {
        fixmedins_code: HOSPITAL.into(),
        fixmedins_name: "示范医院".into(),
        mdtrtarea: region(),
        opter: "001".into(),
        opter_name: "收费员".into(),
        sign_no: None,
    }
}

struct Window {
    world: World,
    seq: u16,
    insuplc: RegionCode,
}

impl Window {
    async fn new() -> Self {
        Self {
            world: World::new().await,
            seq: 0,
            insuplc: region(),
        }
    }

    fn request<I: Input>(&mut self, input: &I) -> Request {
        self.seq += 1;
        Request::new(
            &caller(),
            Some(self.insuplc),
            self.world.clock.now(),
            self.seq,
            input,
        )
        .unwrap()
    }

    async fn send(&self, request: &Request) -> Response {
        let ms = self.world.clock.now_ms() as u64;
        let keys = keys();
        let headers = CallHeaders {
            name: request.infno.clone(),
            version: VERSION.into(),
            timestamp: ms.to_string(),
            access_key: "AK1".into(),
            signature: keys[0].credentials.sign(&request.infno, VERSION, ms),
        };
        let body = serde_json::to_vec(request).unwrap();
        match self
            .world
            .house
            .national_call(&keys, &headers, &body)
            .await
            .unwrap()
        {
            Reply::Answer(text) => serde_json::from_str(&text).unwrap(),
            Reply::Unauthorised(why) => panic!("{why}"),
        }
    }

    async fn call<I: Input>(&mut self, input: &I) -> Result<I::Output, String> {
        let request = self.request(input);
        self.send(&request)
            .await
            .output()
            .map_err(|why: NationalError| why.to_string())
    }

    async fn register(&mut self, n: u32, number: &str) -> Result<String, String> {
        let register = Register {
            data: RegisterData {
                psn_no: psn(n),
                insutype: "310".into(),
                begntime: "2026-11-23 09:00:00".into(),
                mdtrt_cert_type: CERT_SOCIAL_CARD.into(),
                mdtrt_cert_no: pan(n).to_string(),
                ipt_otp_no: number.into(),
                atddr_no: "D1".into(),
                dr_name: "医生".into(),
                dept_code: "01".into(),
                dept_name: "内科".into(),
                caty: "A03".into(),
            },
        };
        Ok(self.call(&register).await?.data.mdtrt_id)
    }
}

/// 3,000 yuan of class A: 1,500 boxes at 2 yuan.
pub(crate) fn lines(mdtrt_id: &str, n: u32, batch: &str) -> Lines {
    Lines {
        feedetail: vec![FeeLine {
            feedetl_sn: format!("{batch}-1"),
            mdtrt_id: mdtrt_id.into(),
            psn_no: psn(n),
            chrg_bchno: batch.into(),
            fee_ocur_time: "2026-11-23 09:10:00".into(),
            med_list_codg: "SYND0001".into(),
            medins_list_codg: None,
            det_item_fee_sumamt: Decimal(300_000),
            cnt: Decimal(15_000_000),
            pric: Decimal(2_000_000),
        }],
    }
}

pub(crate) fn pre(mdtrt_id: &str, n: u32, batch: &str) -> PreSettleData {
    PreSettleData {
        psn_no: psn(n),
        mdtrt_cert_type: CERT_SOCIAL_CARD.into(),
        mdtrt_cert_no: pan(n).to_string(),
        med_type: MED_TYPE_OUTPATIENT.into(),
        medfee_sumamt: Decimal(300_000),
        psn_setlway: "01".into(),
        mdtrt_id: mdtrt_id.into(),
        chrg_bchno: batch.into(),
        acct_used_flag: "1".into(),
        insutype: "310".into(),
    }
}

/// Facts, derived table: Fuzhou active employee, outpatient 3,000 at a level-3 hospital: pool 1,872
/// (deductible 600, 78 %).
#[tokio::test]
async fn a_visit_from_registration_to_reversal() {
    let mut window = Window::new().await;
    let sign = SignIn {
        sign_in: SignInData {
            opter_no: "001".into(),
            mac: "m".into(),
            ip: "i".into(),
        },
    };
    assert!(
        !window
            .call(&sign)
            .await
            .unwrap()
            .signinoutb
            .sign_no
            .is_empty()
    );
    let card = Person {
        data: PersonData {
            mdtrt_cert_type: CERT_SOCIAL_CARD.into(),
            mdtrt_cert_no: pan(1).to_string(),
            card_sn: Some("1".into()),
            ..PersonData::default()
        },
    };
    let person = window.call(&card).await.unwrap();
    assert_eq!(person.baseinfo.psn_no, psn(1));
    assert_eq!(
        (person.baseinfo.age, person.insuinfo[0].balc.0),
        (36, 100_000)
    );

    let mdtrt_id = window.register(1, "OP1").await.unwrap();
    let split = window
        .call(&lines(&mdtrt_id, 1, "B1"))
        .await
        .unwrap()
        .result;
    assert_eq!(split[0].inscp_scp_amt.0, 300_000);
    let data = pre(&mdtrt_id, 1, "B1");
    let announced = window
        .call(&PreSettle { data: data.clone() })
        .await
        .unwrap();
    let info = &announced.setlinfo;
    assert_eq!((info.hifp_pay.0, info.act_pay_dedc.0), (187_200, 60_000));
    assert_eq!((info.acct_pay.0, info.psn_cash_pay.0), (100_000, 12_800));
    // Nothing happened yet.
    assert_eq!(window.world.balance("hospital:HSYN35010001").await, 0);

    let settle = Settle {
        data: SettleData::after(&data, info, Some("INV1".into())),
    };
    let request = window.request(&settle);
    let settled: Settled = window.send(&request).await.output().unwrap();
    assert_eq!(settled.setlinfo.hifp_pay, info.hifp_pay);
    assert_eq!(settled.setlinfo.medins_setl_id, request.msgid);
    // The personal account is spent; 1101 says so.
    assert_eq!(window.call(&card).await.unwrap().insuinfo[0].balc.0, 0);
    // A double click: the same message, the same answer, one settlement.
    let again: Settled = window.send(&request).await.output().unwrap();
    assert_eq!(again, settled);
    let world = &window.world;
    assert_eq!(world.balance("hospital:HSYN35010001").await, 300_000);
    assert_eq!(world.balance("cash:HSYN35010001").await, -12_800);
    assert_eq!(world.balance("fund:310100:350100").await, -187_200);
    assert_eq!(world.balance("medical:350100").await, 9 * 100_000 - 100_000);
    let report = world.report().await;
    assert_eq!(
        (
            report.modes["medical"].events,
            report.modes["medical"].amount.0
        ),
        (1, 300_000)
    );
    assert_eq!(report.medical_split["310100"].0, 187_200);
    assert_eq!(
        (
            report.medical_split["acct"].0,
            report.medical_split["cash"].0
        ),
        (100_000, 12_800)
    );
    let hospital = report
        .positions
        .iter()
        .find(|p| p.party == "hospital:HSYN35010001")
        .unwrap();
    assert_eq!(hospital.net.0, 287_200);
    let accounts = report
        .positions
        .iter()
        .find(|p| p.party == "medical:350100")
        .unwrap();
    assert_eq!(accounts.net.0, -100_000);

    // The card's medical purse was debited by exactly this.
    let split = settled.setlinfo.card_split();
    let setl_id = settled.setlinfo.setl_id.clone();
    let good = visit(1, 1, 0, split, Fen(100_000), &setl_id);
    assert_eq!(world.outcome(30, good).await, Outcome::Accepted);
    let mut less = split;
    less.personal = Fen(1);
    assert_eq!(
        world
            .outcome(30, visit(2, 1, 1, less, Fen(100_000), &setl_id))
            .await,
        Outcome::SettlementMismatch
    );
    assert_eq!(
        world
            .outcome(30, visit(3, 2, 0, split, Fen(100_000), &setl_id))
            .await,
        Outcome::SettlementMismatch
    );
    assert_eq!(
        world
            .outcome(30, visit(4, 1, 2, split, Fen(100_000), "777"))
            .await,
        Outcome::SettlementMismatch
    );

    // One settlement is paid by one debit, however it is spelled.
    for (n, setl_id) in [(5, setl_id.clone()), (6, format!("0{setl_id}"))] {
        let again = visit(n, 1, n as u16, split, Fen(100_000), &setl_id);
        assert_eq!(world.outcome(30, again).await, Outcome::SettlementMismatch);
    }

    // A second bill of the year pays no deductible again; reversing the first gives it back.
    let reverse = Reverse {
        data: ReverseData {
            setl_id: setl_id.clone(),
            mdtrt_id: mdtrt_id.clone(),
            psn_no: psn(1),
        },
    };
    let reversed = window.call(&reverse).await.unwrap();
    assert_eq!(reversed.setlinfo.medfee_sumamt.0, -300_000);
    assert_eq!(reversed.setlinfo.act_pay_dedc.0, -60_000);
    assert!(window.call(&reverse).await.unwrap_err().contains("已冲销"));
    assert_eq!(
        window.call(&card).await.unwrap().insuinfo[0].balc.0,
        100_000
    );
    let world = &window.world;
    for account in [
        "hospital:HSYN35010001",
        "cash:HSYN35010001",
        "fund:310100:350100",
    ] {
        assert_eq!(world.balance(account).await, 0, "{account}");
    }
    let late = visit(7, 1, 7, split, Fen(100_000), &setl_id);
    let answer = world.upload(30, vec![late]).await;
    assert_eq!(answer.items[0].outcome, Outcome::SettlementMismatch);
    assert!(answer.items[0].detail.contains("reversed"));
    // The lines are open again, and the deductible is due again.
    let after = window.call(&PreSettle { data }).await.unwrap();
    assert_eq!(
        (after.setlinfo.act_pay_dedc.0, after.setlinfo.acct_pay.0),
        (60_000, 100_000)
    );
    let audit = clearing::audit::audit(window.world.house.store())
        .await
        .unwrap();
    assert!(audit.ok(), "{audit:#?}");
}

#[tokio::test]
async fn accumulators_carry_the_deductible_through_the_year() {
    let mut window = Window::new().await;
    let mdtrt_id = window.register(1, "OP1").await.unwrap();
    for (batch, deductible) in [("B1", 60_000), ("B2", 0)] {
        window.call(&lines(&mdtrt_id, 1, batch)).await.unwrap();
        let data = pre(&mdtrt_id, 1, batch);
        let info = window
            .call(&PreSettle { data: data.clone() })
            .await
            .unwrap()
            .setlinfo;
        assert_eq!(info.act_pay_dedc.0, deductible);
        window
            .call(&Settle {
                data: SettleData::after(&data, &info, None),
            })
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn cross_city_comes_from_the_two_regions() {
    let mut window = Window::new().await;
    let xiamen: RegionCode = "350200".parse().unwrap();
    let insured = Insured {
        psn_no: psn(50),
        certno: certno(50, "19900501"),
        name: "异地".into(),
        insuplc_admdvs: xiamen,
        insutype: "310".into(),
        psn_type: "11".into(),
        civil_servant: false,
        assistance: false,
        employer: String::new(),
        account: Fen(0),
        pension: None,
    };
    let item = clearing::store::Registered::Insured(Box::new(insured));
    window.world.house.register(&item).await.unwrap();
    let certificate = certno(50, "19900501").to_string();
    let mut register = Register {
        data: RegisterData {
            psn_no: psn(50),
            insutype: "310".into(),
            begntime: "2026-11-23 09:00:00".into(),
            mdtrt_cert_type: CERT_ID_CARD.into(),
            mdtrt_cert_no: certificate,
            ipt_otp_no: "X1".into(),
            atddr_no: "D1".into(),
            dr_name: "医生".into(),
            dept_code: "01".into(),
            dept_name: "内科".into(),
            caty: "A03".into(),
        },
    };
    let error = window.call(&register).await.unwrap_err();
    assert!(error.contains("350200"), "{error}");
    window.insuplc = xiamen;
    register.data.ipt_otp_no = "X2".into();
    let mdtrt_id = window.call(&register).await.unwrap().data.mdtrt_id;
    window.call(&lines(&mdtrt_id, 50, "B1")).await.unwrap();
    let info = window
        .call(&PreSettle {
            data: pre(&mdtrt_id, 50, "B1"),
        })
        .await
        .unwrap()
        .setlinfo;
    // Xiamen active, level 3, 3,000: (3,000 - 1,200) x 75 % x 0.70 unfiled = 945.
    assert_eq!(info.hifp_pay.0, 94_500);
    assert_eq!(info.clr_optins, "350200");
}

#[tokio::test]
async fn refusals_say_what_to_do_and_change_nothing() {
    let mut window = Window::new().await;
    let mdtrt_id = window.register(1, "OP1").await.unwrap();
    let wrong = |error: Result<Settled, String>, part: &str| {
        let error = error.unwrap_err();
        assert!(error.contains(part), "{error}");
    };
    let data = pre(&mdtrt_id, 1, "B1");
    wrong(window.call(&PreSettle { data: data.clone() }).await, "2204");
    window.call(&lines(&mdtrt_id, 1, "B1")).await.unwrap();
    let mut less = data.clone();
    less.medfee_sumamt = Decimal(299_999);
    wrong(
        window.call(&PreSettle { data: less }).await,
        "medfee_sumamt",
    );
    let info = window
        .call(&PreSettle { data: data.clone() })
        .await
        .unwrap()
        .setlinfo;
    let mut echo = SettleData::after(&data, &info, None);
    echo.inscp_scp_amt = Decimal(1);
    wrong(window.call(&Settle { data: echo }).await, "inscp_scp_amt");
    let mut unknown = lines(&mdtrt_id, 1, "B2");
    unknown.feedetail[0].med_list_codg = "NOPE".into();
    assert!(window.call(&unknown).await.unwrap_err().contains("NOPE"));
    let mut changed = lines(&mdtrt_id, 1, "B1");
    changed.feedetail[0].cnt = Decimal(7_500_000);
    changed.feedetail[0].pric = Decimal(4_000_000);
    assert!(
        window
            .call(&changed)
            .await
            .unwrap_err()
            .contains("feedetl_sn")
    );
    // One msgid, two messages.
    let request = window.request(&Settle {
        data: SettleData::after(&data, &info, None),
    });
    window.send(&request).await.output::<Settled>().unwrap();
    let mut other = window.request(&Reverse {
        data: ReverseData {
            setl_id: "1".into(),
            mdtrt_id,
            psn_no: psn(1),
        },
    });
    other.msgid.clone_from(&request.msgid);
    let refused = window.send(&other).await;
    assert_eq!(refused.infcode, -1);
    assert!(refused.err_msg.unwrap().contains("msgid"));
}

#[tokio::test]
async fn signatures_and_the_half_hour_window() {
    let mut window = Window::new().await;
    let sign = SignIn {
        sign_in: SignInData {
            opter_no: "1".into(),
            mac: "m".into(),
            ip: "i".into(),
        },
    };
    let request = window.request(&sign);
    let body = serde_json::to_vec(&request).unwrap();
    let keys = keys();
    let now = window.world.clock.now_ms() as u64;
    let headers = |timestamp: u64| CallHeaders {
        name: "9001".into(),
        version: VERSION.into(),
        timestamp: timestamp.to_string(),
        access_key: "AK1".into(),
        signature: keys[0].credentials.sign("9001", VERSION, timestamp),
    };
    let house = &window.world.house;
    let half_hour = 30 * 60 * 1000;
    for (headers, good) in [
        (headers(now - half_hour), true),
        (headers(now - half_hour - 1), false),
        (headers(now + half_hour + 1), false),
        (
            CallHeaders {
                signature: "x".into(),
                ..headers(now)
            },
            false,
        ),
        (
            CallHeaders {
                access_key: "AK2".into(),
                ..headers(now)
            },
            false,
        ),
        (
            CallHeaders {
                name: "2207".into(),
                ..headers(now)
            },
            false,
        ),
    ] {
        let reply = house.national_call(&keys, &headers, &body).await.unwrap();
        assert_eq!(matches!(reply, Reply::Answer(_)), good, "{reply:?}");
    }
}
