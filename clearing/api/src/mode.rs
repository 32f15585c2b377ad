//! Modes of operation 运营模式, as devices work in them and staff order them.

use card_spec::time::CardTime;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use crate::parameters::{SignedError, verify};

/// How a device works at present.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// 正常.
    #[default]
    Normal,
    /// 关闭: nobody is served.
    Closed,
    /// 降级: something that the device can do without is missing (network, an old tariff); it serves.
    Degraded,
    /// 列车故障: who leaves where he entered pays nothing, and unfinished journeys are accepted later.
    TrainFailure,
    /// 紧急放行: barriers stand open, nothing is written on cards.
    EmergencyRelease,
    /// 测试: test cards are served, no money moves.
    Test,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 6] = [
        Self::Normal,
        Self::Closed,
        Self::Degraded,
        Self::TrainFailure,
        Self::EmergencyRelease,
        Self::Test,
    ];

    /// The name in profiles, requests and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Closed => "closed",
            Self::Degraded => "degraded",
            Self::TrainFailure => "train-failure",
            Self::EmergencyRelease => "emergency-release",
            Self::Test => "test",
        }
    }

    /// Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Normal => "正常",
            Self::Closed => "关闭",
            Self::Degraded => "降级",
            Self::TrainFailure => "列车故障",
            Self::EmergencyRelease => "紧急放行",
            Self::Test => "测试",
        }
    }

    /// English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Closed => "Closed",
            Self::Degraded => "Degraded",
            Self::TrainFailure => "Train failure",
            Self::EmergencyRelease => "Emergency release",
            Self::Test => "Test",
        }
    }
}

/// An order to work in a mode from a time on, until the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeOrder {
    /// The mode.
    pub mode: Mode,
    /// From when on.
    pub from: CardTime,
}

/// The orders for every device: to come, in force, and of the days by which journeys are judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// Rises with every order.
    pub version: u64,
    /// Oldest first.
    pub orders: Vec<ModeOrder>,
}

/// Orders as they travel: the exact text that was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedOrders {
    /// [`Orders`] as JSON.
    pub body: String,
    /// Ed25519 of the HSM's parameter key over [`signing_bytes`], hex.
    pub signature: String,
}

/// What the signature of orders covers.
pub fn signing_bytes(body: &str) -> Vec<u8> {
    [b"onecard-modes-v1|", body.as_bytes()].concat()
}

impl SignedOrders {
    /// The orders, if the HSM signed them.
    pub fn open(&self, key: &VerifyingKey) -> Result<Orders, SignedError> {
        verify(key, &signing_bytes(&self.body), &self.signature)?;
        serde_json::from_str(&self.body).map_err(|why| SignedError::Form(why.to_string()))
    }
}
