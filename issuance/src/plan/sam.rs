//! The plan of a SAM.

use super::{ApplicationPlan, PlanError};
use card_spec::{
    SuiteId, aid,
    id::{RegionCode, SamNo, SamSerial},
    keys::{KeyHeader, KeyType, class, ssse_kid},
    perso::Dgi,
    sam::{SFI_KEY_INDEX, SFI_SERIAL, SFI_TERMINAL_NO},
};
use hsm_client::CURRENT;

/// Which terminals a SAM serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SamKind {
    /// Purchases of one class ([`card_spec::keys::class`]).
    Purchase(u8),
    /// Hospital windows and kiosks: reads and authenticates the social-security application and
    /// pays from the medical purse.
    Social,
}

impl SamKind {
    /// The class that clearing registers: 0 for a social-security SAM.
    pub const fn class(self) -> u8 {
        match self {
            Self::Purchase(class) => class,
            Self::Social => 0,
        }
    }

    /// The key index in file 17: the class of its DPK, or the only index of its MPK.
    const fn key_index(self) -> u8 {
        match self {
            Self::Purchase(class) => class,
            Self::Social => class::ONLY,
        }
    }
}

/// Everything that goes on one SAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamPlan {
    /// Terminal number.
    pub sam: SamNo,
    /// Which terminals it serves.
    pub kind: SamKind,
    /// Regions whose cards it accepts, sorted.
    pub regions: Vec<RegionCode>,
    /// IIN of the cards it accepts.
    pub iin: [u8; 2],
    /// Its only application.
    pub application: ApplicationPlan,
}

/// Room of a SAM's key store; during a rotation a region's key takes two places.
const MAX_KEYS: usize = 96;

impl SamPlan {
    /// The plan of a SAM. `suites` are those of the cards it accepts.
    pub fn new(
        sam: SamNo,
        kind: SamKind,
        suites: &[SuiteId],
        regions: &[RegionCode],
        ceiling: u32,
    ) -> Result<Self, PlanError> {
        let region_keys: Vec<(KeyType, u8)> = match kind {
            SamKind::Purchase(class @ class::TRANSIT..=class::RETAIL) => vec![
                (KeyType::Dpk, class),
                (KeyType::Dpk, class | class::SPARE),
                (KeyType::Dack, class::ONLY),
            ],
            SamKind::Purchase(other) => return Err(PlanError::Class(other)),
            SamKind::Social => vec![
                (KeyType::Irk, ssse_kid::INTERNAL),
                (KeyType::Rk, ssse_kid::READ_V3),
                (KeyType::Mpk, class::ONLY),
            ],
        };
        let own = [KeyType::SamIssue, KeyType::SamCeiling].map(|key_type| KeyHeader {
            key_type,
            index: class::ONLY,
            version: CURRENT,
            suite: SuiteId::Aes,
        });
        let mut keys = own.to_vec();
        for suite in suites {
            keys.extend(region_keys.iter().map(|(key_type, index)| KeyHeader {
                key_type: *key_type,
                index: *index,
                version: CURRENT,
                suite: *suite,
            }));
        }
        let mut regions = regions.to_vec();
        regions.sort();
        regions.dedup();
        let wanted = own.len() + regions.len() * (keys.len() - own.len());
        if wanted == own.len() || wanted > MAX_KEYS {
            return Err(PlanError::SamKeys {
                wanted,
                max: MAX_KEYS,
            });
        }
        // The serial repeats the terminal number: one SAM, one number.
        let mut serial = [0; 10];
        serial[..2].copy_from_slice(&crate::pan::IIN);
        serial[4..].copy_from_slice(&sam.to_bytes());
        let application = ApplicationPlan {
            aid: match kind {
                SamKind::Purchase(_) => aid::T_UNION_SAM,
                SamKind::Social => aid::SSSE_SAM,
            },
            name: "SAM 终端安全模块",
            groups: vec![
                (Dgi::file(SFI_SERIAL), serial.to_vec()),
                (Dgi::file(SFI_TERMINAL_NO), sam.to_bytes().to_vec()),
                (Dgi::file(SFI_KEY_INDEX), vec![kind.key_index()]),
                (Dgi::SAM_CEILING, ceiling.to_be_bytes().to_vec()),
            ],
            keys,
            pin: false,
        };
        Ok(Self {
            sam,
            kind,
            regions,
            iin: crate::pan::IIN,
            application,
        })
    }

    /// The serial number in file 15.
    pub fn serial(&self) -> Option<SamSerial> {
        let (_, bytes) = self.application.groups.first()?;
        SamSerial::from_bytes(bytes.as_slice().try_into().ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(kind: SamKind, suites: &[SuiteId], regions: &[&str]) -> Result<SamPlan, PlanError> {
        let regions: Vec<RegionCode> = regions.iter().map(|r| r.parse().expect("region")).collect();
        let sam = "350100000007".parse().expect("SAM");
        SamPlan::new(sam, kind, suites, &regions, 100_000)
    }

    #[test]
    fn a_class_sam_holds_its_class_only() {
        let plan = plan(
            SamKind::Purchase(class::PARKING_TAXI),
            &[SuiteId::Aes],
            &["350200", "350100", "350100"],
        )
        .expect("plan");
        let held: Vec<_> = plan
            .application
            .keys
            .iter()
            .map(|k| (k.key_type, k.index))
            .collect();
        assert_eq!(
            held,
            [
                (KeyType::SamIssue, 1),
                (KeyType::SamCeiling, 1),
                (KeyType::Dpk, 0x02),
                (KeyType::Dpk, 0x12),
                (KeyType::Dack, 1),
            ]
        );
        assert_eq!(plan.regions.len(), 2);
        assert!(plan.serial().is_some());
    }

    #[test]
    fn a_social_sam_can_neither_write_nor_buy() {
        let plan = plan(SamKind::Social, &SuiteId::ALL, &["350100"]).expect("plan");
        for key in &plan.application.keys {
            assert!(!matches!(
                key.key_type,
                KeyType::Uk | KeyType::Puk | KeyType::Dpk | KeyType::Mlk
            ));
        }
        assert_eq!(plan.kind.class(), 0);
    }

    #[test]
    fn what_no_sam_can_be() {
        let aes = [SuiteId::Aes];
        assert_eq!(
            plan(SamKind::Purchase(4), &aes, &["350100"]),
            Err(PlanError::Class(4))
        );
        assert!(matches!(
            plan(SamKind::Social, &aes, &[]),
            Err(PlanError::SamKeys { .. })
        ));
        let eleven: Vec<String> = (0..11).map(|n| format!("35{n:02}00")).collect();
        let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
        assert!(matches!(
            plan(SamKind::Social, &SuiteId::ALL, &eleven),
            Err(PlanError::SamKeys { .. })
        ));
    }
}
