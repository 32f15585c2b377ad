//! Numbered outcomes. The numbers are part of the protocol: never reused, never renumbered.

use serde::{Deserialize, Serialize};

macro_rules! outcomes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal, $text:literal, $zh:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u16)]
        pub enum $name { $($(#[$vdoc])* $variant = $number,)+ }

        impl $name {
            /// Every outcome.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// The stable number.
            pub const fn number(self) -> u16 { self as u16 }
            /// From the stable number.
            pub fn from_number(number: u16) -> Option<Self> {
                Self::ALL.iter().copied().find(|o| o.number() == number)
            }
            /// For people, English.
            pub const fn text(self) -> &'static str { match self { $(Self::$variant => $text,)+ } }
            /// For people, Chinese.
            pub const fn zh(self) -> &'static str { match self { $(Self::$variant => $zh,)+ } }
        }
    };
}

outcomes! {
    /// What became of one record. Checks run in this order: format, operator, terminal and SAM
    /// known, proof (TAC), duplicate, sequence, hotlist, price plausibility.
    Outcome {
        /// Posted.
        Accepted = 0, "accepted", "已入账";
        /// Identical bytes came before: nothing was done again.
        Duplicate = 1, "duplicate of an accepted record", "重复记录";
        /// A torn record kept until the card or a later record tells what happened.
        HeldUnknown = 2, "held: torn debit, outcome unknown", "挂起（断卡未知）";
        /// A later record told what became of a torn one; posted now.
        CompletedTorn = 3, "torn debit completed", "断卡补全入账";
        /// A later record told that a torn debit never happened; closed without money.
        ClosedTorn = 4, "torn debit did not happen", "断卡未扣款";
        /// A field is missing or impossible.
        Malformed = 10, "malformed record", "格式错误";
        /// Operator not registered or not active.
        UnknownOperator = 11, "unknown operator", "未知运营商";
        /// Device not registered to this operator.
        UnknownDevice = 12, "unknown device", "未知终端";
        /// SAM not registered, or not this device's class.
        UnknownSam = 13, "unknown SAM", "未知PSAM";
        /// SAM revoked.
        RevokedSam = 14, "revoked SAM", "已吊销PSAM";
        /// Card not registered.
        UnknownCard = 15, "unknown card", "未知卡";
        /// A sample or test card.
        SampleCard = 16, "sample card", "样卡";
        /// The TAC does not verify.
        WrongTac = 20, "TAC does not verify", "TAC错误";
        /// Same device and journal sequence, other bytes.
        Conflict = 30, "conflicts with an earlier record", "与已收记录冲突";
        /// Same SAM and terminal sequence used for two records.
        SamSequenceConflict = 31, "SAM sequence used twice", "PSAM序号重复";
        /// Two valid TACs for one (card, application, sequence): a clone; both are kept.
        Clone = 32, "second valid TAC for one card sequence", "疑似克隆卡";
        /// The card was on the hotlist version that the device had to have.
        Hotlisted = 40, "card was hotlisted", "黑名单卡";
        /// The price differs from the re-rated fare beyond the tolerance: paid, and queried.
        PriceQueried = 50, "accepted, price queried", "入账（票价存疑）";
        /// The price is impossible (above the maximum): quarantined.
        PriceImplausible = 51, "price implausible, quarantined", "票价异常（隔离）";
        /// The settlement that a medical debit names does not exist or differs.
        SettlementMismatch = 60, "medical settlement not found or different", "医保结算不符";
        /// A top-up was refused (MAC1, limits, hotlist).
        TopUpRefused = 70, "top-up refused", "充值拒绝";
    }
}

outcomes! {
    /// What became of a batch as a whole.
    BatchOutcome {
        /// Durable; each item has its own outcome.
        Admitted = 0, "admitted", "已接收";
        /// The same bytes were admitted before: the first answer again.
        Repeated = 1, "repeated upload", "重复上传";
        /// The range overlaps an admitted one with other bytes.
        RangeConflict = 2, "range conflicts with an admitted batch", "序号区间冲突";
        /// The signature does not verify.
        BadSignature = 3, "batch signature does not verify", "批次签名错误";
        /// The device is not registered.
        UnknownDevice = 4, "unknown device", "未知终端";
        /// Not a batch.
        Malformed = 5, "malformed batch", "批次格式错误";
    }
}

impl Outcome {
    /// Whether the record is paid to its operator. Other proved debits wait in suspense.
    pub const fn is_posted(self) -> bool {
        matches!(
            self,
            Self::Accepted | Self::CompletedTorn | Self::PriceQueried
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hotlisted debit waits in suspense: counting it as posted would pay it in the day's totals.
    #[test]
    fn what_waits_in_suspense_is_not_posted() {
        assert!(Outcome::PriceQueried.is_posted());
        assert!(!Outcome::Hotlisted.is_posted());
    }

    #[test]
    fn numbers_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        assert!(Outcome::ALL.iter().all(|o| seen.insert(o.number())));
        assert_eq!(Outcome::from_number(20), Some(Outcome::WrongTac));
        assert_eq!(Outcome::from_number(999), None);
    }
}
