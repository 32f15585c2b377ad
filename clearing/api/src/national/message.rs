//! Codes of the messages, and which answer belongs to which call.

use super::{
    Input, Lines, LinesOutput, Person, PersonOutput, PreSettle, Register, RegisterOutput, Reverse,
    Settle, Settled, SignIn, SignInOutput,
};

/// Scheme 310: employee basic medical insurance.
pub const INSUTYPE_EMPLOYEE: &str = "310";
/// Scheme 390: resident basic medical insurance.
pub const INSUTYPE_RESIDENT: &str = "390";
/// Scheme 380: new rural cooperative.
pub const INSUTYPE_RURAL: &str = "380";
/// Certificate 01: e-certificate.
pub const CERT_E_CERTIFICATE: &str = "01";
/// Certificate 02: identity card.
pub const CERT_ID_CARD: &str = "02";
/// Certificate 03: social-security card; needs card_sn.
pub const CERT_SOCIAL_CARD: &str = "03";
/// Medical type 11: ordinary outpatient.
pub const MED_TYPE_OUTPATIENT: &str = "11";
/// Medical type 21: ordinary inpatient.
pub const MED_TYPE_INPATIENT: &str = "21";
/// Fund pay type of the personal account.
pub const FUND_PERSONAL_ACCOUNT: &str = "310200";

macro_rules! calls {
    ($($input:ty => $infno:literal, $output:ty;)+) => {$(
        impl Input for $input {
            const INFNO: &'static str = $infno;
            type Output = $output;
        }
    )+};
}

calls! {
    SignIn => "9001", SignInOutput;
    Person => "1101", PersonOutput;
    Register => "2201", RegisterOutput;
    Lines => "2204", LinesOutput;
    PreSettle => "2206", Settled;
    Settle => "2207", Settled;
    Reverse => "2208", Settled;
}

#[cfg(test)]
mod tests {
    use crate::national::{Lines, PersonOutput};

    #[test]
    fn senders_quirks_are_read() {
        let json = r#"{"baseinfo":{"psn_no":"P1","certno":"C","psn_name":"N","gend":"1","brdy":"2000-01-01","age":26},
            "insuinfo":{"balc":"1378.15","insutype":310,"psn_type":"11","psn_insu_stas":1,"cvlserv_flag":"0","insuplc_admdvs":"350100","emp_name":"NULL"},
            "idetinfo":null}"#;
        let person: PersonOutput = serde_json::from_str(json).unwrap();
        assert_eq!(person.insuinfo.len(), 1);
        assert_eq!(person.insuinfo[0].balc.fen().0, 137_815);
        assert_eq!(person.insuinfo[0].emp_name, None);
        assert!(person.idetinfo.is_empty());

        let line = r#"{"feedetail":[{"feedetl_sn":7,"mdtrt_id":"M","psn_no":"P","chrg_bchno":"1","fee_ocur_time":"t",
            "med_list_codg":"X","det_item_fee_sumamt":4.52,"cnt":"2","pric":2.260000}]}"#;
        let lines: Lines = serde_json::from_str(line).unwrap();
        assert_eq!(lines.feedetail[0].feedetl_sn, "7");
        assert_eq!(lines.feedetail[0].cnt.0, 20_000);
        assert_eq!(lines.feedetail[0].pric.0, 2_260_000);
    }
}
