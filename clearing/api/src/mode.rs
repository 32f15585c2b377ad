//! Modes of operation 运营模式, as devices work in them and staff order them.

use serde::{Deserialize, Serialize};

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
