//! What a cardholder is told: one table of numbered codes with Chinese and English texts.

use serde::Serialize;

/// What the device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The gate opens, the service is given.
    Open,
    /// It does not.
    Refuse,
    /// The same card is asked for again; nothing is decided yet.
    Again,
    /// The device itself cannot serve anybody until staff acted.
    OutOfService,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $verdict:ident, $zh:literal, $en:literal, $do_zh:literal, $do_en:literal;)+) => {
        /// A result code. The numbers are stable: staff look them up, logs are searched by them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Code { $($(#[$doc])* $name = $number,)+ }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
            /// What the device does.
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$name => Verdict::$verdict,)+ }
            }
            /// Short text, Chinese.
            pub const fn zh(self) -> &'static str { match self { $(Self::$name => $zh,)+ } }
            /// Short text, English.
            pub const fn en(self) -> &'static str { match self { $(Self::$name => $en,)+ } }
            /// What the cardholder does next, Chinese.
            pub const fn action_zh(self) -> &'static str { match self { $(Self::$name => $do_zh,)+ } }
            /// What the cardholder does next, English.
            pub const fn action_en(self) -> &'static str { match self { $(Self::$name => $do_en,)+ } }
        }
    };
}

codes! {
    /// Paid at the ordinary price.
    Paid = 1, Open, "扣款成功", "Paid", "请上车", "Go ahead";
    /// Paid with a transfer discount.
    PaidTransfer = 2, Open, "换乘优惠", "Paid with transfer discount", "请上车", "Go ahead";
    /// Paid at a concession price.
    PaidConcession = 3, Open, "优惠扣款", "Paid at concession price", "请上车", "Go ahead";
    /// Metro entry written.
    Entered = 4, Open, "进站成功", "Entered", "请进站", "Please enter";
    /// Metro exit paid.
    Exited = 5, Open, "出站成功", "Exited", "请出站", "Please exit";
    /// Taxi or parking paid.
    ServicePaid = 6, Open, "支付成功", "Paid", "谢谢", "Thank you";
    /// Car park entry written.
    ParkEntered = 7, Open, "入场成功", "Car park entry recorded", "请入场", "Please drive in";
    /// Top-up written to the card.
    ToppedUp = 8, Open, "充值成功", "Topped up", "请取卡", "Take your card";
    /// Hospital bill settled.
    Settled = 9, Open, "结算成功", "Settled", "请取结算单", "Take your slip";
    /// Proof of life done.
    PresenceProved = 10, Open, "资格认证成功", "Proof of life accepted", "请取卡", "Take your card";
    /// A torn debit turned out to have happened: it counts.
    TornCompleted = 11, Open, "已扣款，补全成功", "Already paid; completed", "请通行", "Go ahead";
    /// Identity read and proved at a window.
    Identified = 12, Open, "身份已核验", "Identified", "请继续", "Continue";
    /// A card was read in test mode.
    TestPassed = 13, Open, "测试通过", "Test passed", "未扣款", "Nothing was charged";
    /// A desk wrote the missing entry or closed the journey.
    JourneyCorrected = 14, Open, "补票成功", "Journey corrected", "请过闸", "Go to the gate";
    /// What a card holds was read.
    ReadOut = 15, Open, "查询成功", "Card read", "请取卡", "Take your card";
    /// An inspector found the ride paid.
    RidePaid = 16, Open, "本次已付费", "This ride is paid", "谢谢配合", "Thank you";
    /// A pass or a multi-ride ticket paid.
    PaidPass = 17, Open, "月票乘车", "Paid by pass", "请上车", "Go ahead";
    /// A cap took off what was above it.
    PaidCapped = 18, Open, "封顶优惠", "Fare cap reached", "请上车", "Go ahead";
    /// A pass was sold and written.
    PassSold = 19, Open, "月票已写入", "Pass written to the card", "请取卡", "Take your card";
    /// The holder reported the card: it is stopped as soon as the clearing house knows.
    Reported = 20, Open, "挂失已受理", "Card reported", "请到网点补卡", "Have it replaced at a counter";

    /// Not a card of this system.
    UnknownCard = 101, Refuse, "无法识别的卡", "Unknown card", "请使用一卡通", "Use a OneCard";
    /// A sample or test card in production.
    SampleCard = 102, Refuse, "样卡或测试卡", "Sample or test card", "请使用正式卡", "Use a real card";
    /// Before its first day.
    NotYetValid = 103, Refuse, "卡未生效", "Card not yet valid", "请联系发卡机构", "Ask the issuer";
    /// After its last day.
    Expired = 104, Refuse, "卡已过期", "Card expired", "请到网点换卡", "Renew the card";
    /// The application or card is locked.
    Blocked = 105, Refuse, "卡已锁定", "Card is blocked", "请到网点处理", "Go to a service point";
    /// A city or region that this device does not accept.
    ForeignCard = 106, Refuse, "外地卡不可用", "Card of another city refused", "请使用本地卡或互通卡", "Use a local or interoperable card";
    /// On the hotlist; locked now.
    Hotlisted = 107, Refuse, "黑名单卡，已锁定", "Listed card, locked now", "请到网点处理", "Go to a service point";
    /// The same card a moment ago.
    TooSoon = 108, Refuse, "请勿重复刷卡", "Already tapped", "请稍候", "Wait a moment";
    /// Not enough money.
    Insufficient = 109, Refuse, "余额不足", "Insufficient balance", "请充值", "Top up";
    /// Above a limit of the device or the card.
    OverLimit = 110, Refuse, "超过限额", "Above the limit", "请用其他方式支付", "Pay another way";
    /// Metro entry of a card that is inside.
    AlreadyInside = 111, Refuse, "已有进站记录", "Already entered", "请到客服中心", "Go to the service desk";
    /// Exit without entry.
    NoEntry = 112, Refuse, "无进站记录", "No entry record", "请到客服中心", "Go to the service desk";
    /// The number or card of nobody who works here.
    NoOperator = 113, Refuse, "不是本机操作员", "No operator of this device", "请重新输入", "Try again";
    /// A desk finds nothing to correct.
    UseTheGate = 114, Refuse, "卡片正常", "Nothing to correct", "请直接过闸", "Go to the gate";
    /// An inspector found no payment for this ride.
    RideUnpaid = 115, Refuse, "未查到本次付费", "No payment for this ride", "请补票", "Pay the fare";
    /// Emergency release: nothing is written.
    GateStandsOpen = 116, Refuse, "紧急放行，不扣款", "Gates stand open", "请直接通行", "Walk through";
    /// This card cannot have this pass.
    NoPass = 117, Refuse, "不能购买该月票", "This pass is not for this card", "请咨询工作人员", "Ask staff";
    /// The card is inside the gates of another operator.
    InsideElsewhere = 118, Refuse, "在其他线网未出站", "Journey open in another network", "请到该线网客服中心", "Go to that network's service desk";
    /// The card answered something impossible.
    BadCard = 120, Refuse, "卡片异常", "Card fault", "请到网点检查卡片", "Have the card checked";
    /// The card could not prove a payment.
    NotProved = 121, Refuse, "交易未能验证", "Payment not proved", "请到网点处理", "Go to a service point";
    /// Card and terminal could not authenticate each other.
    NotAuthentic = 122, Refuse, "卡片认证失败", "Card not authentic", "请到网点处理", "Go to a service point";
    /// PIN wrong.
    PinWrong = 130, Refuse, "密码错误", "Wrong PIN", "请重新输入", "Try again";
    /// PIN locked.
    PinBlocked = 131, Refuse, "密码已锁定", "PIN is locked", "请到网点解锁", "Have the PIN unlocked";
    /// The clearing house refused a top-up.
    TopUpRefused = 140, Refuse, "充值被拒绝", "Top-up refused", "请咨询工作人员", "Ask staff";
    /// The medical insurance interface refused.
    MedicalRefused = 150, Refuse, "医保接口拒绝", "Refused by medical insurance", "请咨询窗口", "Ask at the window";
    /// The card belongs to someone else than the visit.
    OtherPerson = 151, Refuse, "非本人卡", "Card of another person", "请使用本人卡", "Use your own card";

    /// The card left before anything happened.
    PresentAgain = 201, Again, "请重新刷卡", "Present the card again", "请重新刷卡", "Present the card again";
    /// A debit was torn: the same card must come back.
    SameCardAgain = 202, Again, "请刷同一张卡", "Same card again", "请重新刷同一张卡", "Present the same card again";
    /// The card took the load, the clearing house does not know it yet.
    ConfirmLater = 203, Open, "充值成功，待确认", "Topped up, confirmation pending", "请取卡", "Take your card";
    /// More than one card in the field.
    SeveralCards = 204, Again, "请只刷一张卡", "One card only", "请取出一张卡单独刷", "Take one card out of the purse";

    /// The journal is full.
    JournalFull = 301, OutOfService, "记录已满，暂停服务", "Journal full, out of service", "请使用其他设备", "Use another device";
    /// The journal cannot be written.
    JournalFault = 302, OutOfService, "存储故障，暂停服务", "Storage fault, out of service", "请使用其他设备", "Use another device";
    /// The SAM does not answer or refuses.
    SamFault = 303, OutOfService, "PSAM故障，暂停服务", "SAM fault, out of service", "请使用其他设备", "Use another device";
    /// No price can be computed.
    TariffFault = 304, OutOfService, "票价数据故障", "Tariff fault, out of service", "请使用其他设备", "Use another device";
    /// The reader is gone.
    ReaderLost = 305, OutOfService, "读卡器故障", "Reader fault, out of service", "请使用其他设备", "Use another device";
    /// An online service does not answer.
    Offline = 306, OutOfService, "网络故障，请稍后", "No connection", "请稍后再试", "Try again later";
}

impl Code {
    /// The stable number.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u16(self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_complete() {
        let mut numbers = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(numbers.insert(code.number()), "{code:?} repeats a number");
            for text in [code.zh(), code.en(), code.action_zh(), code.action_en()] {
                assert!(!text.is_empty(), "{code:?}");
            }
            assert!(!code.zh().is_ascii(), "{code:?} has a Chinese text");
            assert!(code.en().is_ascii(), "{code:?} has an English text");
        }
    }
}
