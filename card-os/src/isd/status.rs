//! GET DATA, GET STATUS, SET STATUS.

use super::{at, card_state};
use crate::{
    apdu::{Answer, Command, Out, Outcome, put},
    error::Error,
    layout::App,
    nvm::Nvm,
    purse, sam, ssse,
    store::{Area, Soundness, Store},
};
use card_spec::{aid, perso::CardState};

/// Card recognition data: GlobalPlatform 2.3, SCP03 with i = 70.
const CARD_DATA: [u8; 50] = [
    0x66, 0x30, 0x73, 0x2E, 0x06, 0x07, 0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x01, 0x60, 0x0B, 0x06,
    0x09, 0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x02, 0x02, 0x03, 0x63, 0x09, 0x06, 0x07, 0x2A, 0x86,
    0x48, 0x86, 0xFC, 0x6B, 0x03, 0x64, 0x0B, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xFC, 0x6B, 0x04,
    0x03, 0x70,
];

/// `00E0` key information, `0066` card recognition data, `00CF` key diversification data.
pub(super) fn get_data<N: Nvm>(area: &Area<'_, N>, c: Command<'_>, out: &mut Out) -> Outcome {
    match (c.p1, c.p2) {
        (0x00, 0xE0) => {
            let kvn = area.byte(at::KVN)?;
            put(out, &[0xE0, 18])?;
            for id in 1..=3 {
                put(out, &[0xC0, 4, id, kvn, 0x88, 0x10])?;
            }
        }
        (0x00, 0x66) => put(out, &CARD_DATA)?,
        (0x00, 0xCF) => {
            put(out, &[0xCF, 10])?;
            put(out, &area.array::<10>(at::CHIP_SERIAL)?)?;
        }
        _ => return Err(Error::Reference),
    }
    Ok(Answer::Exact)
}

/// SET STATUS of the card: forward through its life, locked and unlocked, terminated for good. A
/// card with damaged applications goes back to its beginning, and they are emptied.
pub(super) fn set_status<N: Nvm>(store: &mut Store<N>, c: Command<'_>) -> Outcome {
    use CardState::{CardLocked, Initialized, OpReady, Secured, Terminated};
    if c.p1 != 0x80 {
        return Err(Error::Parameters);
    }
    let to = CardState::from_byte(c.p2).ok_or(Error::Parameters)?;
    let damaged = store.soundness() == Soundness::ApplicationsDamaged;
    if damaged {
        store.wipe_applications()?;
    }
    let area = &mut store.area(App::Isd);
    let from = card_state(area)?;
    let allowed = match (from, to) {
        (OpReady, Initialized) | (Initialized, Secured) => true,
        (Secured, CardLocked) | (CardLocked, Secured) => true,
        (Terminated, _) => false,
        (_, OpReady) if damaged => true,
        (_, Terminated) => true,
        _ => from == to,
    };
    if !allowed {
        return Err(Error::Conditions);
    }
    area.write(at::STATE, &[to as u8])?;
    Ok(Answer::Done)
}

/// GET STATUS, TLV form: `80` the issuer domain, `40` the applications that are personalised.
pub(super) fn get_status<N: Nvm>(store: &mut Store<N>, c: Command<'_>, out: &mut Out) -> Outcome {
    if c.p2 & 0x02 == 0 {
        return Err(Error::Parameters);
    }
    match c.p1 {
        0x80 => entry(out, aid::ISD, card_state(&store.area(App::Isd))? as u8)?,
        0x40 => {
            match purse::state(&store.area(App::Purse))? {
                purse::State::Absent => {}
                purse::State::Ready => entry(out, aid::T_UNION, SELECTABLE)?,
                purse::State::Blocked | purse::State::PermanentlyBlocked => {
                    entry(out, aid::T_UNION, LOCKED)?;
                }
            }
            if ssse::profile(&store.area(App::Ssse))?.is_some() {
                entry(out, aid::SSSE, SELECTABLE)?;
                entry(out, aid::SSSE_MEDICAL, SELECTABLE)?;
            }
            if sam::serial(&store.area(App::Sam))?.is_some() {
                entry(out, aid::T_UNION_SAM, SELECTABLE)?;
            }
        }
        _ => return Err(Error::Parameters),
    }
    if out.is_empty() {
        Err(Error::Reference)
    } else {
        Ok(Answer::Done)
    }
}

const SELECTABLE: u8 = 0x07;
const LOCKED: u8 = 0x83;

fn entry(out: &mut Out, name: &[u8], state: u8) -> Result<(), Error> {
    let n = name.len() as u8;
    put(out, &[0xE3, n + 6, 0x4F, n])?;
    put(out, name)?;
    put(out, &[0x9F, 0x70, 0x01, state])
}

#[cfg(test)]
mod tests {
    use super::CARD_DATA;
    use card_spec::tlv::Tlv;

    #[test]
    fn card_data_is_well_formed() {
        let bytes = &CARD_DATA;
        let outer = Tlv::find(bytes, 0x66).expect("card data");
        assert_eq!(outer.len() + 2, bytes.len());
        let inner = Tlv::find(outer, 0x73).expect("recognition data");
        assert_eq!(inner.len() + 2, outer.len());
        // Tag 64: the secure channel, OID 1.2.840.114283.4.3.112 = SCP03, i = 70.
        let scp = Tlv::find(inner, 0x64).expect("scp");
        assert!(scp.ends_with(&[0xFC, 0x6B, 0x04, 0x03, 0x70]));
    }
}
