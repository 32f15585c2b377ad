//! A hospital's ward: window, SAM, card, and a platform that answers with the published message
//! (bill 4.52, all from the personal account).

use card_spec::{
    Channel, Fen, SuiteId, aid, apdu,
    channel::exchange,
    medical::{self, Balance},
    ssse::Profile,
    time::CardTime,
};
use clearing_api::{
    ClientError,
    national::{Caller, Request, Response},
};
use serde_json::{Value, json};
use terminal::{
    HospitalWindow, SamUnit, TapResult,
    card::Pin,
    hospital::{Bill, BillLine, Quoted, Settlement},
    journal::MemoryStorage,
    online::National,
    person::Randoms,
};
use virtual_card::{
    VirtualCard,
    sample::{self, Sample},
};

use super::{acceptance, journal, region, social_sam, time};

pub const AT: &str = "2026-11-23T09:30:00";

pub fn pin(text: &str) -> Pin {
    Pin::from_digits(text).unwrap()
}

pub const fn randoms() -> Randoms {
    Randoms {
        terminal: [0x71; 8],
        challenge: [0x72; 8],
    }
}

/// The platform: answers what a visit asks, remembers what it was asked.
pub struct Platform {
    pub calls: Vec<(String, Value)>,
    pub msgids: Vec<String>,
    pub acct_pay: &'static str,
    pub certno: String,
    /// Calls whose first answer is lost.
    pub lose: Option<&'static str>,
}

impl Platform {
    pub fn new() -> Self {
        Self {
            calls: Vec::new(),
            msgids: Vec::new(),
            acct_pay: "4.52",
            certno: String::from_utf8(sample::SOCIAL_SECURITY_NO.to_vec()).unwrap(),
            lose: None,
        }
    }

    pub fn infnos(&self) -> Vec<&str> {
        self.calls.iter().map(|(infno, _)| infno.as_str()).collect()
    }

    fn settled(&self, setl_id: &str) -> Value {
        json!({
            "setlinfo": {
                "setl_id": setl_id, "mdtrt_id": "M1", "psn_no": "P1", "psn_name": "样卡",
                "insutype": "310", "psn_type": "11", "med_type": "11",
                "setl_time": "2026-11-23 09:30:00", "medfee_sumamt": 4.52,
                "fulamt_ownpay_amt": 0, "overlmt_selfpay": 0, "preselfpay_amt": 0.23,
                "inscp_scp_amt": 4.29, "act_pay_dedc": 4.29, "hifp_pay": 0,
                "pool_prop_selfpay": 0, "cvlserv_pay": 0, "hifes_pay": 0, "hifmi_pay": 0,
                "hifob_pay": 0, "maf_pay": 0, "oth_pay": 0, "fund_pay_sumamt": 0,
                "psn_part_amt": 4.52, "acct_pay": self.acct_pay, "psn_cash_pay": 0,
                "hosp_part_amt": 0, "balc": 1373.63, "acct_mulaid_pay": 0,
                "medins_setl_id": "X", "clr_optins": "350100", "clr_way": "1", "clr_type": "11"
            },
            "setldetail": []
        })
    }

    fn output(&self, infno: &str) -> Value {
        match infno {
            "9001" => json!({"signinoutb": {"sign_time": "2026-11-23 09:00:00", "sign_no": "S1"}}),
            "1101" => json!({
                "baseinfo": {"psn_no": "P1", "certno": self.certno, "psn_name": "样卡",
                             "gend": "1", "brdy": "1990-01-01", "age": 36},
                "insuinfo": [{"balc": 1378.15, "insutype": "310", "psn_type": "11",
                              "psn_insu_stas": "1", "cvlserv_flag": "0",
                              "insuplc_admdvs": "350100", "emp_name": ""}],
                "idetinfo": []
            }),
            "2201" => json!({"data": {"mdtrt_id": "M1", "psn_no": "P1", "ipt_otp_no": "V1"}}),
            "2204" => json!({"result": [{
                "feedetl_sn": "1", "det_item_fee_sumamt": 4.52, "cnt": 2, "pric": 2.26,
                "pric_uplmt_amt": 0, "selfpay_prop": 0.05, "fulamt_ownpay_amt": 0,
                "overlmt_amt": 0, "preselfpay_amt": 0.23, "inscp_scp_amt": 4.29,
                "chrgitm_lv": "02"
            }]}),
            "2206" => self.settled(""),
            "2207" => self.settled("SETL1"),
            "2208" => self.settled("SETL2"),
            other => panic!("unexpected {other}"),
        }
    }
}

impl National for Platform {
    fn call(&mut self, request: &Request, _: CardTime) -> Result<Response, ClientError> {
        let input: Value = serde_json::from_str(request.input.get()).unwrap();
        let infno = request.infno.clone();
        let repeat = self.msgids.contains(&request.msgid);
        self.msgids.push(request.msgid.clone());
        if !repeat {
            self.calls.push((infno.clone(), input));
        }
        if self.lose.is_some_and(|l| l == infno) && !repeat {
            return Err(ClientError::Unreachable {
                address: "test".into(),
                why: "lost".into(),
            });
        }
        let answer = json!({"infcode": 0, "output": self.output(&infno)}).to_string();
        Ok(serde_json::from_str(&answer).unwrap())
    }
}

pub struct Ward<C = VirtualCard> {
    pub window: HospitalWindow<MemoryStorage>,
    pub sam: SamUnit<C>,
    pub card: C,
    pub platform: Platform,
}

impl Ward {
    pub fn new(profile: Profile) -> Self {
        let card = Sample::new(SuiteId::Aes, profile).card([5; 32]).unwrap();
        Self::of(card, social_sam())
    }
}

impl<C: Channel> Ward<C> {
    pub fn of(card: C, sam: SamUnit<C>) -> Self {
        let caller = Caller {
            fixmedins_code: "H35010000001".into(),
            fixmedins_name: "测试医院".into(),
            mdtrtarea: region(),
            opter: "1".into(),
            opter_name: "甲".into(),
            sign_no: None,
        };
        Self {
            window: HospitalWindow::new(acceptance(), caller, journal()),
            sam,
            card,
            platform: Platform::new(),
        }
    }

    pub fn quote(&mut self) -> Result<Quoted, Box<TapResult>> {
        let bill = Bill {
            ipt_otp_no: "V1".into(),
            med_type: "11".into(),
            doctor: ("D1".into(), "乙".into()),
            department: ("01".into(), "内科".into()),
            caty: "A03".into(),
            lines: vec![BillLine {
                med_list_codg: "XA01".into(),
                cnt: clearing_api::national::Decimal(20_000),
                pric: clearing_api::national::Decimal(2_260_000),
                amount: Fen(452),
            }],
        };
        let (card, sam) = (&mut self.card, &mut self.sam);
        self.window
            .quote(card, sam, &bill, time(AT), randoms(), &mut self.platform)
    }

    pub fn settle(&mut self, quoted: &mut Quoted, digits: &str) -> Settlement {
        let (card, sam) = (&mut self.card, &mut self.sam);
        self.window
            .settle(card, sam, quoted, pin(digits), time(AT), &mut self.platform)
    }

    pub fn balance(&mut self) -> Fen {
        let card = &mut self.card;
        exchange(card, &apdu::select(aid::SSSE_MEDICAL)).unwrap();
        let reply = exchange(card, &medical::get_balance(Balance::Personal)).unwrap();
        assert!(reply.sw.is_ok());
        Fen::from_card(reply.data.as_slice().try_into().unwrap())
    }
}
