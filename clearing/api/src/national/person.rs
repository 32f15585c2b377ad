//! Messages about the person and the visit: 9001 sign-in, 1101 person, 2201 registration.

use super::{Yuan, number};
use card_spec::id::RegionCode;
use serde::{Deserialize, Serialize};

/// 9001 签到.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIn {
    /// Node of the message.
    #[serde(rename = "signIn")]
    pub sign_in: SignInData,
}

/// Content of 9001.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInData {
    /// Operator's number.
    #[serde(deserialize_with = "number::text")]
    pub opter_no: String,
    /// Address of the network card.
    pub mac: String,
    /// IP address.
    pub ip: String,
}

/// Answer to 9001.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInOutput {
    /// Node of the message.
    pub signinoutb: SignInResult,
}

/// Content of the answer to 9001.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInResult {
    /// Time.
    pub sign_time: String,
    /// Number to send in every later envelope.
    pub sign_no: String,
}

/// 1101 人员信息获取.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Node of the message.
    pub data: PersonData,
}

/// Content of 1101.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PersonData {
    /// 01 e-certificate, 02 identity card, 03 social-security card.
    #[serde(deserialize_with = "number::text")]
    pub mdtrt_cert_type: String,
    /// Number: identity number for 01 and 02, card number (20-digit PAN) for 03.
    #[serde(deserialize_with = "number::text")]
    pub mdtrt_cert_no: String,
    /// Card serial, required for 03: the card's generation in decimal, so that a replaced card
    /// is told from its successor.
    #[serde(
        default,
        deserialize_with = "number::optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub card_sn: Option<String>,
    /// Name, compared when sent.
    #[serde(
        default,
        deserialize_with = "number::optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub psn_name: Option<String>,
    /// Identity number, compared when sent.
    #[serde(
        default,
        deserialize_with = "number::optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub certno: Option<String>,
}

/// Answer to 1101.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonOutput {
    /// Who it is.
    pub baseinfo: BaseInfo,
    /// Insurances; some platforms send one object instead of an array.
    #[serde(deserialize_with = "number::one_or_many")]
    pub insuinfo: Vec<InsuInfo>,
    /// Identities (assistance and others).
    #[serde(default, deserialize_with = "number::one_or_many")]
    pub idetinfo: Vec<IdetInfo>,
}

/// Person of 1101.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseInfo {
    /// Person number.
    pub psn_no: String,
    /// Identity number.
    pub certno: String,
    /// Name.
    pub psn_name: String,
    /// 1 male, 2 female.
    pub gend: String,
    /// Date of birth, `yyyy-MM-dd`.
    pub brdy: String,
    /// Age in years.
    pub age: u16,
}

/// Insurance of 1101.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsuInfo {
    /// Personal account balance.
    pub balc: Yuan,
    /// Scheme.
    #[serde(deserialize_with = "number::text")]
    pub insutype: String,
    /// 11 active, 12 retired, 13 veteran, 15 resident.
    #[serde(deserialize_with = "number::text")]
    pub psn_type: String,
    /// 1 insured.
    #[serde(deserialize_with = "number::text")]
    pub psn_insu_stas: String,
    /// Civil servant: 1 yes, 0 no.
    #[serde(deserialize_with = "number::text")]
    pub cvlserv_flag: String,
    /// Region that insures. The spelling here is `admdvs`.
    pub insuplc_admdvs: RegionCode,
    /// Employer.
    #[serde(
        default,
        deserialize_with = "number::optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub emp_name: Option<String>,
}

/// Identity of 1101.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdetInfo {
    /// Type of identity.
    pub psn_idet_type: String,
    /// Level.
    pub psn_type_lv: String,
}

/// 2201 门诊挂号.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// Node of the message.
    pub data: RegisterData,
}

/// Content of 2201.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterData {
    /// Person number.
    pub psn_no: String,
    /// Scheme.
    #[serde(deserialize_with = "number::text")]
    pub insutype: String,
    /// Begin, `yyyy-MM-dd HH:mm:ss`.
    pub begntime: String,
    /// Certificate type.
    #[serde(deserialize_with = "number::text")]
    pub mdtrt_cert_type: String,
    /// Certificate number.
    #[serde(deserialize_with = "number::text")]
    pub mdtrt_cert_no: String,
    /// The institution's own number of this visit.
    #[serde(deserialize_with = "number::text")]
    pub ipt_otp_no: String,
    /// Doctor's code.
    #[serde(deserialize_with = "number::text")]
    pub atddr_no: String,
    /// Doctor's name.
    pub dr_name: String,
    /// Department code.
    #[serde(deserialize_with = "number::text")]
    pub dept_code: String,
    /// Department name.
    pub dept_name: String,
    /// Department category.
    #[serde(deserialize_with = "number::text")]
    pub caty: String,
}

/// Answer to 2201.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterOutput {
    /// Node of the message.
    pub data: Registered,
}

/// Content of the answer to 2201.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// Visit id, for every later call.
    pub mdtrt_id: String,
    /// Person number.
    pub psn_no: String,
    /// The institution's own number.
    pub ipt_otp_no: String,
}
