//! The issuer domain's own data: what GET DATA tells and STORE DATA sets.

use super::{
    Isd, at, card_state,
    channel::{ScpOption, scp_option},
    keysets::KeySet,
    perso::Item,
};
use crate::{
    apdu::{Answer, Command, Out, Outcome, put},
    error::Error,
    layout::{App, IMAGE_VERSION},
    nvm::Nvm,
    store::Area,
};
use card_spec::perso::{CardState, Dgi};

/// Card recognition data (GlobalPlatform 2.3, H.2), SCP03; the last byte is i.
const CARD_DATA: [u8; 49] = [
    0x66, 0x30, 0x73, 0x2E, 0x06, 0x07, 0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x01, 0x60, 0x0B, 0x06,
    0x09, 0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x02, 0x02, 0x03, 0x63, 0x09, 0x06, 0x07, 0x2A, 0x86,
    0x48, 0x86, 0xFC, 0x6B, 0x03, 0x64, 0x0B, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x04,
    0x03,
];

impl<N: Nvm> Isd<'_, N> {
    /// GET DATA (GlobalPlatform 2.3, 11.3): `00E0` key information, `0066` card recognition data,
    /// `00CF` key diversification data, `0042` IIN and `0045` CIN once stored, `9F7F` production
    /// data (CPLC).
    pub(super) fn get_data(&mut self, c: Command<'_>, out: &mut Out) -> Outcome {
        let area = self.store.area(App::Isd);
        match (c.p1, c.p2) {
            (0x00, 0xE0) => {
                let kvns = KeySet::kvns(&area);
                put(out, &[0xE0, kvns.len() as u8 * 18]);
                for kvn in kvns {
                    for id in 1..=3 {
                        put(out, &[0xC0, 4, id, kvn, 0x88, 0x10]);
                    }
                }
            }
            (0x00, 0x66) => {
                put(out, &CARD_DATA);
                put(out, &[scp_option(&area)? as u8]);
            }
            (0x00, 0xCF) => {
                put(out, &[0xCF, 10]);
                put(out, &area.array::<10>(at::CHIP_SERIAL));
            }
            (0x00, 0x42) => number::<{ at::IIN_MAX }, N>(&area, 0x42, at::IIN, out)?,
            (0x00, 0x45) => number::<{ at::CIN_MAX }, N>(&area, 0x45, at::CIN, out)?,
            (0x9F, 0x7F) => put(out, &cplc(area.array(at::CHIP_SERIAL))),
            _ => return Err(Error::REFERENCE),
        }
        Ok(Answer::Exact)
    }
}

/// A number of up to `MAX` bytes behind its tag.
fn number<const MAX: usize, N: Nvm>(
    area: &Area<'_, N>,
    tag: u8,
    at: usize,
    out: &mut Out,
) -> Result<(), Error> {
    let length = area.byte(at);
    let value = area.array::<MAX>(at + 1);
    match value.get(..usize::from(length)) {
        Some(value) if !value.is_empty() => {
            put(out, &[tag, length]);
            put(out, value);
            Ok(())
        }
        _ => Err(Error::REFERENCE),
    }
}

/// Card production life cycle data (EMVCo CPLC, 42 bytes): operating system "OC" with its layout
/// as the release level, and the last six bytes of the chip serial as serial and batch number.
/// Fields that belong to makers and dates this card does not know are zero.
fn cplc(serial: [u8; 10]) -> [u8; 45] {
    let mut out = [0; 45];
    out[..3].copy_from_slice(&[0x9F, 0x7F, 42]);
    out[7..9].copy_from_slice(b"OC");
    out[11..13].copy_from_slice(&IMAGE_VERSION.to_be_bytes());
    out[15..19].copy_from_slice(&serial[6..]);
    out[19..21].copy_from_slice(&serial[4..6]);
    out
}

/// IIN, CIN and SCP option, while the card is not in use yet.
pub(super) fn personalise<N: Nvm>(area: &mut Area<'_, N>, item: &Item<'_>) -> Result<bool, Error> {
    if !matches!(
        card_state(area)?,
        CardState::OpReady | CardState::Initialized
    ) {
        return Err(Error::CONDITIONS);
    }
    let (at, max) = match item.dgi {
        Dgi::IIN => (at::IIN, at::IIN_MAX),
        Dgi::CIN => (at::CIN, at::CIN_MAX),
        Dgi::SCP_OPTION => {
            let &[byte] = item.data else {
                return Err(Error::DATA);
            };
            let option = ScpOption::from_byte(byte).ok_or(Error::DATA)?;
            area.write(at::SCP_OPTION, &[option as u8]);
            return Ok(true);
        }
        _ => return Ok(false),
    };
    if item.len == 0 || item.len > max {
        return Err(Error::DATA);
    }
    area.write(at, &[item.len as u8]);
    area.write(at + 1, item.data);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::CARD_DATA;
    use card_spec::tlv::Tlv;

    #[test]
    fn card_data_is_well_formed() {
        let mut bytes = [0x70; 50];
        bytes[..49].copy_from_slice(&CARD_DATA);
        let outer = Tlv::find(&bytes, 0x66).expect("card data");
        assert_eq!(outer.len() + 2, bytes.len());
        let inner = Tlv::find(outer, 0x73).expect("recognition data");
        assert_eq!(inner.len() + 2, outer.len());
        // Tag 64: the secure channel, OID 1.2.840.114283.4.3.112 = SCP03, i = 70.
        let scp = Tlv::find(inner, 0x64).expect("scp");
        assert!(scp.ends_with(&[0xFC, 0x6B, 0x04, 0x03, 0x70]));
    }
}
