//! National codes the engine speaks (insutype, psn_type, med_type, fund_pay_type and others).

use serde::{Deserialize, Serialize};

/// An enum whose variants are code-table entries: wire code and names.
macro_rules! code_table {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $zh:literal, $en:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $code)] $variant,)+
        }

        impl $name {
            /// Every entry, in code-table order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as messages and files carry it.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The entry with this code; `None` for a code outside the table.
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// Chinese name.
            pub const fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh,)+ }
            }

            /// English name.
            pub const fn en(self) -> &'static str {
                match self { $(Self::$variant => $en,)+ }
            }
        }
    };
}

code_table!(
    /// Scheme 险种 `insutype`: the two whose bills this engine settles.
    InsuType {
        /// Employee basic medical insurance.
        Employee = "310", "职工基本医疗保险", "employee basic medical insurance";
        /// Urban and rural resident basic medical insurance.
        Resident = "390", "城乡居民基本医疗保险", "resident basic medical insurance";
    }
);

code_table!(
    /// Person type 人员类别 `psn_type`.
    PsnType {
        /// In work.
        Active = "11", "在职", "active";
        /// Retired.
        Retired = "12", "退休", "retired";
        /// Veteran.
        Veteran = "13", "离休", "veteran";
        /// Resident scheme member.
        Resident = "15", "居民", "resident";
    }
);

code_table!(
    /// Kind of visit 医疗类别 `med_type`.
    MedType {
        /// Ordinary outpatient.
        Outpatient = "11", "普通门诊", "outpatient";
        /// Ordinary inpatient; one claim is one stay.
        Inpatient = "21", "普通住院", "inpatient";
    }
);

code_table!(
    /// Hospital level 医院等级, as the policy and institution files write it.
    HospitalLevel {
        /// Below level one: village clinic, community health centre.
        Primary = "primary", "基层", "primary";
        /// Level one.
        One = "1", "一级", "level 1";
        /// Level two.
        Two = "2", "二级", "level 2";
        /// Level three.
        Three = "3", "三级", "level 3";
    }
);

code_table!(
    /// Charge-item class 收费项目等级 `chrgitm_lv`.
    ChargeClass {
        /// Class A: paid in full within the price limit.
        A = "01", "甲类", "class A";
        /// Class B: a share is paid by the person first.
        B = "02", "乙类", "class B";
        /// Class C: outside the scheme, wholly the person's own.
        C = "03", "丙类", "class C";
    }
);

code_table!(
    /// Where the visit happens, seen from the insured person's region.
    CrossCity {
        /// In the insured region.
        Local = "local", "参保地", "local";
        /// Elsewhere, long-term residence filed (异地长期备案).
        Filed = "filed", "异地长期备案", "filed long-term";
        /// Elsewhere, by referral (转诊).
        Referral = "referral", "异地转诊", "referral";
        /// Elsewhere, neither filed nor referred.
        Unfiled = "unfiled", "异地未备案", "unfiled";
    }
);

code_table!(
    /// Use of the personal account 个人账户使用标志 `acct_used_flag`.
    AcctUsed {
        /// Not used.
        None = "0", "不使用", "not used";
        /// The person's own account.
        Own = "1", "本人账户", "own account";
        /// The own account first, then the family's (共济).
        Family = "2", "家庭共济", "own, then family account";
    }
);

code_table!(
    /// Status for medical assistance 医疗救助身份.
    AssistanceStatus {
        /// Destitute person in state support.
        Destitute = "destitute", "特困人员", "destitute";
        /// Minimum-living-standard household.
        MinimumLiving = "minimum_living", "最低生活保障对象", "minimum living standard";
        /// Household just above the minimum.
        LowIncome = "low_income", "低收入", "low income";
    }
);

code_table!(
    /// Who paid a `setldetail` row: leaf codes of `fund_pay_type`.
    FundPayType {
        /// Employee pool.
        EmployeePool = "310100", "职工基本医疗保险统筹基金", "employee pool";
        /// Personal account, the family's included.
        PersonalAccount = "310200", "职工基本医疗保险个人账户", "personal account";
        /// Civil-servant subsidy.
        CivilServant = "320100", "公务员医疗补助基金", "civil-servant subsidy";
        /// Large amount (supplementary) of employees.
        LargeAmount = "330100", "职工大额医疗费用补助基金", "large amount";
        /// Resident pool.
        ResidentPool = "390100", "城乡居民基本医疗保险基金", "resident pool";
        /// Serious illness of residents.
        SeriousIllness = "390200", "城乡居民大病保险资金", "serious illness";
        /// Medical assistance.
        Assistance = "610100", "医疗救助基金", "medical assistance";
        /// Borne by the hospital.
        Hospital = "999996", "医院负担", "hospital";
    }
);

impl InsuType {
    /// The pool (统筹基金) that pays for this scheme.
    pub const fn pool(self) -> FundPayType {
        match self {
            Self::Employee => FundPayType::EmployeePool,
            Self::Resident => FundPayType::ResidentPool,
        }
    }
}

impl FundPayType {
    /// Whether the row is a fund's money; account and hospital rows are not.
    pub const fn is_fund(self) -> bool {
        !matches!(self, Self::PersonalAccount | Self::Hospital)
    }
}
