//! What the issuer and staff tell the clearing house: who exists.

use card_spec::{
    Fen,
    id::{CitizenId, DeviceNo, Generation, Pan, RegionCode, SamNo},
    purse::files::CardKind,
    time::CardDate,
};
use serde::{Deserialize, Serialize};

/// A transit, taxi or parking operator, hospital, or other party with its own ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Id: agency id of the tariff data, or the 12-character institution code of a hospital.
    pub id: String,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// Kind.
    pub kind: OperatorKind,
    /// Region.
    pub region: RegionCode,
}

/// Kinds of party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorKind {
    /// Bus company.
    Bus,
    /// Metro company.
    Metro,
    /// Taxi company.
    Taxi,
    /// Parking operator.
    Parking,
    /// Point of sale: goods and top-ups.
    TopUp,
    /// Hospital or clinic.
    Hospital,
    /// Social-insurance agency (kiosks for proof of life).
    Agency,
}

/// A device with its upload key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Device number.
    pub device: DeviceNo,
    /// Operator.
    pub operator: String,
    /// Ed25519 public key of its uploads, 32 bytes hex.
    pub public_key: String,
}

/// A SAM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sam {
    /// SAM number.
    pub sam: SamNo,
    /// Purchase class (`card_spec::keys::class`), 0 for a social-security SAM.
    pub class: u8,
    /// Operator that holds it.
    pub operator: String,
    /// Revoked SAMs stay listed.
    #[serde(default)]
    pub revoked: bool,
}

/// A card that was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Card number.
    pub pan: Pan,
    /// Generation.
    pub generation: Generation,
    /// Region.
    pub region: RegionCode,
    /// Kind on the card.
    pub kind: CardKind,
    /// Person number of the holder.
    pub psn_no: String,
    /// Opening balance of the medical personal account.
    pub medical_balance: Fen,
    /// First day of validity.
    pub valid_from: CardDate,
    /// Last day of validity.
    pub valid_to: CardDate,
}

/// An insured person, as the social-insurance registry tells the clearing house.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Insured {
    /// Person number 人员编号.
    pub psn_no: String,
    /// Identity number.
    pub certno: CitizenId,
    /// Name.
    pub name: String,
    /// Region that insures (参保地, admdvs).
    pub insuplc_admdvs: RegionCode,
    /// Scheme: 310 employee, 390 resident, 380 rural cooperative.
    pub insutype: String,
    /// 11 active, 12 retired, 13 veteran, 15 resident.
    pub psn_type: String,
    /// Civil servant.
    #[serde(default)]
    pub civil_servant: bool,
    /// Entitled to medical assistance.
    #[serde(default)]
    pub assistance: bool,
    /// Employer, or empty.
    #[serde(default)]
    pub employer: String,
    /// Personal account balance (employee scheme).
    pub account: Fen,
    /// Monthly pension, for retirees in payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pension: Option<Fen>,
}

/// A hotlist change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotlistEntry {
    /// Card number.
    pub pan: Pan,
    /// Generation: a replacement card does not inherit the block.
    pub generation: Generation,
    /// Version in which it entered.
    pub version: u64,
    /// Why: `lost`, `clone`, `replaced`, `retired`.
    pub reason: String,
    /// Off the list again. A device that does not know removals refuses the signature.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub removed: bool,
}

/// What staff or the issuer ask to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListCard {
    /// Card number.
    pub pan: Pan,
    /// Generation.
    pub generation: Generation,
    /// Why: `lost`, `clone`, `replaced`, `retired`.
    pub reason: String,
}

/// The hotlist or what changed in it, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hotlist {
    /// Version after which the entries start; 0: this is the whole list and replaces any other.
    pub since: u64,
    /// Current version.
    pub version: u64,
    /// Entries after `since`, in version order.
    pub entries: Vec<HotlistEntry>,
    /// Ed25519 signature of the HSM over [`Self::signing_bytes`], hex.
    pub signature: String,
}

impl Hotlist {
    /// What the signature covers.
    pub fn signing_bytes(&self) -> Vec<u8> {
        let mut text = format!(
            "onecard-hotlist-v2|{}|{}|{}",
            self.since,
            self.version,
            self.entries.len()
        );
        for e in &self.entries {
            let off = if e.removed { "-" } else { "" };
            text.push_str(&format!(
                "|{off}{},{},{},{}",
                e.pan, e.generation.0, e.version, e.reason
            ));
        }
        text.into_bytes()
    }
}
