//! The national designated-institution interface 定点医药机构接口规范: envelope, signature, messages.
//!
//! One HTTP POST a call. Field names are the published ones, letter by letter: the envelope writes
//! `mdtrtarea_admvs` but `insuplc_admdvs`. Source: a complete provincial edition (V1.1.27, 2024)
//! derived from the national baseline, and public hospital clients.

mod bill;
mod message;
mod number;
mod person;
mod sign;

pub use bill::*;
pub use message::*;
pub use number::{Decimal, DecimalError, Proportion, Quantity, UnitPrice, Yuan};
pub use person::*;
pub use sign::{
    API_ACCESS_KEY, API_NAME, API_SIGNATURE, API_TIMESTAMP, API_VERSION, Credentials, VERSION,
    WINDOW_MS,
};

use card_spec::{id::RegionCode, time::CardTime};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Why a message could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum NationalError {
    /// The platform refused the call (infcode -1).
    #[error("the medical insurance platform refused the call: {0}")]
    Refused(String),
    /// The content does not have the published shape.
    #[error("the message does not have the shape of {what}: {why}")]
    Shape {
        /// Which message.
        what: &'static str,
        /// What was wrong.
        why: serde_json::Error,
    },
    /// A success without output.
    #[error("the answer says success and holds no output: query by msgid before sending it again")]
    NoOutput,
}

/// Who calls: constant part of every envelope of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Institution code, 12 characters.
    pub fixmedins_code: String,
    /// Institution name.
    pub fixmedins_name: String,
    /// Where care is given (就医地).
    pub mdtrtarea: RegionCode,
    /// Operator's number.
    pub opter: String,
    /// Operator's name.
    pub opter_name: String,
    /// Sign-in number of 9001, once there is one.
    pub sign_no: Option<String>,
}

/// Request envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Number of the call, e.g. `2207`.
    pub infno: String,
    /// Sender's message id ([`msgid`]), 30 characters: the idempotency key.
    pub msgid: String,
    /// Where care is given. The envelope's spelling is `admvs`.
    pub mdtrtarea_admvs: RegionCode,
    /// Where the person is insured; required across cities and whenever psn_no is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insuplc_admdvs: Option<RegionCode>,
    /// Receiving system.
    pub recer_sys_code: String,
    /// Device number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev_no: Option<String>,
    /// Device safety information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev_safe_info: Option<String>,
    /// Digital signature of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cainfo: Option<String>,
    /// Its algorithm, SM2 or SM3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signtype: Option<String>,
    /// Version of the interface, e.g. `V1.0`.
    pub infver: String,
    /// 1 clerk, 2 kiosk, 3 mobile.
    #[serde(deserialize_with = "number::text")]
    pub opter_type: String,
    /// Operator's number.
    #[serde(deserialize_with = "number::text")]
    pub opter: String,
    /// Operator's name.
    pub opter_name: String,
    /// Time of the call, `yyyy-MM-dd HH:mm:ss`.
    pub inf_time: String,
    /// Institution code.
    pub fixmedins_code: String,
    /// Institution name.
    pub fixmedins_name: String,
    /// Sign-in number of 9001.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_no: Option<String>,
    /// Content.
    pub input: Box<RawValue>,
}

impl Request {
    /// An envelope around `input`. `seq` counts the caller's messages within one second.
    pub fn new<I: Input>(
        caller: &Caller,
        insuplc: Option<RegionCode>,
        at: CardTime,
        seq: u16,
        input: &I,
    ) -> Result<Self, NationalError> {
        let shape = |why| NationalError::Shape {
            what: I::INFNO,
            why,
        };
        let input = serde_json::value::to_raw_value(input).map_err(shape)?;
        Ok(Self {
            infno: I::INFNO.to_owned(),
            msgid: msgid(&caller.fixmedins_code, at, seq),
            mdtrtarea_admvs: caller.mdtrtarea,
            insuplc_admdvs: insuplc,
            recer_sys_code: "ONECARD".to_owned(),
            dev_no: None,
            dev_safe_info: None,
            cainfo: None,
            signtype: None,
            infver: "V1.0".to_owned(),
            opter_type: "1".to_owned(),
            opter: caller.opter.clone(),
            opter_name: caller.opter_name.clone(),
            inf_time: inf_time(at),
            fixmedins_code: caller.fixmedins_code.clone(),
            fixmedins_name: caller.fixmedins_name.clone(),
            sign_no: caller.sign_no.clone(),
            input,
        })
    }

    /// The content as the message of this call.
    pub fn input<I: Input>(&self) -> Result<I, NationalError> {
        serde_json::from_str(self.input.get()).map_err(|why| NationalError::Shape {
            what: I::INFNO,
            why,
        })
    }
}

/// Response envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Response {
    /// `0` or `-1`; some platforms send a number, some a string. Written as a number.
    #[serde(deserialize_with = "infcode")]
    pub infcode: i32,
    /// The receiver's message id.
    #[serde(default, deserialize_with = "number::optional_text")]
    pub inf_refmsgid: Option<String>,
    /// When the request was received, `yyyyMMddHHmmssSSS`.
    #[serde(default, deserialize_with = "number::optional_text")]
    pub refmsg_time: Option<String>,
    /// When it was answered.
    #[serde(default, deserialize_with = "number::optional_text")]
    pub respond_time: Option<String>,
    /// What went wrong and what to do, at most 200 characters.
    #[serde(default, deserialize_with = "number::optional_text")]
    pub err_msg: Option<String>,
    /// Content.
    #[serde(default)]
    pub output: Option<Box<RawValue>>,
}

fn infcode<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    use serde::de::Error;
    number::text(deserializer)?
        .parse()
        .map_err(D::Error::custom)
}

impl Response {
    /// Whether the call succeeded.
    pub const fn is_ok(&self) -> bool {
        self.infcode == 0
    }

    /// The content of a success, or why there is none.
    pub fn output<O: DeserializeOwned>(&self) -> Result<O, NationalError> {
        if !self.is_ok() {
            let why = self.err_msg.clone().unwrap_or_default();
            return Err(NationalError::Refused(why));
        }
        let raw = self.output.as_ref().ok_or(NationalError::NoOutput)?;
        serde_json::from_str(raw.get()).map_err(|why| NationalError::Shape {
            what: "output",
            why,
        })
    }
}

/// A message id: institution (12, padded with 0) | yyyyMMddHHmmss | sequence (4).
pub fn msgid(institution: &str, at: CardTime, seq: u16) -> String {
    let (h, m, s) = at.clock();
    let d = at.date();
    format!(
        "{institution:0<12.12}{:04}{:02}{:02}{h:02}{m:02}{s:02}{:04}",
        d.year(),
        d.month(),
        d.day(),
        seq % 10_000
    )
}

/// `yyyy-MM-dd HH:mm:ss`.
pub fn inf_time(at: CardTime) -> String {
    at.to_string().replace('T', " ")
}

/// A request content: knows its number and its answer.
pub trait Input: Serialize + DeserializeOwned {
    /// Number of the call.
    const INFNO: &'static str;
    /// Content of the answer.
    type Output: Serialize + DeserializeOwned;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_have_thirty_characters() {
        let at = "2026-11-23T08:15:09".parse().unwrap();
        let id = msgid("H35010000001", at, 7);
        assert_eq!(id, "H35010000001202611230815090007");
        assert_eq!(id.len(), 30);
        assert_eq!(msgid("H1", at, 12_345).len(), 30);
    }

    #[test]
    fn envelope_spells_the_two_regions_as_published() {
        let caller = Caller {
            fixmedins_code: "H35010000001".into(),
            fixmedins_name: "医院".into(),
            mdtrtarea: "350100".parse().unwrap(),
            opter: "1".into(),
            opter_name: "甲".into(),
            sign_no: None,
        };
        let input = SignIn {
            sign_in: SignInData {
                opter_no: "1".into(),
                mac: "00-00-00-00-00-00".into(),
                ip: "127.0.0.1".into(),
            },
        };
        let at = "2026-11-23T08:15:09".parse().unwrap();
        let insured = Some("350200".parse().unwrap());
        let request = Request::new(&caller, insured, at, 1, &input).unwrap();
        let json = serde_json::to_string(&request).unwrap();
        assert!(json.contains(r#""mdtrtarea_admvs":"350100""#), "{json}");
        assert!(json.contains(r#""insuplc_admdvs":"350200""#), "{json}");
        assert!(
            json.contains(r#""inf_time":"2026-11-23 08:15:09""#),
            "{json}"
        );
        assert!(json.contains(r#""input":{"signIn":{"opter_no""#), "{json}");
        let back: Request = serde_json::from_str(&json).unwrap();
        assert_eq!(back.input::<SignIn>().unwrap(), input);
    }

    #[test]
    fn infcode_comes_as_number_or_text() {
        for json in [
            r#"{"infcode":-1,"err_msg":"x"}"#,
            r#"{"infcode":"-1","err_msg":"x"}"#,
        ] {
            let response: Response = serde_json::from_str(json).unwrap();
            assert!(matches!(
                response.output::<PersonOutput>(),
                Err(NationalError::Refused(why)) if why == "x"
            ));
        }
    }
}
