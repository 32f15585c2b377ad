//! Who is in the reader: asked before anything is written.

use super::{ChipSerial, PersonaliseError, Step, session};
use card_spec::{
    Channel, aid, apdu,
    id::{Pan, SamNo},
    purse::files::Public,
    sam,
    tlv::Tlv,
};

/// Whom the plan is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Identity {
    Card(Pan),
    Sam(SamNo),
}

impl Identity {
    fn other(self, found: impl core::fmt::Display) -> PersonaliseError {
        PersonaliseError::OtherHolder {
            found: found.to_string(),
            wanted: match self {
                Self::Card(pan) => pan.to_string(),
                Self::Sam(sam) => sam.to_string(),
            },
        }
    }
}

/// Refuses a card or SAM that already belongs to somebody else, and sample cards. Applications
/// that were never personalised do not answer SELECT.
pub(super) fn holder(channel: &mut dyn Channel, wanted: Identity) -> Result<(), PersonaliseError> {
    let step = Step::Identify;
    // A blocked purse answers its FCI with a warning: the data counts, not the status word.
    let fci = session::answer(channel, &apdu::select(aid::T_UNION), step)?;
    if let Ok(public) = Public::from_fci(&fci.data) {
        match wanted {
            _ if public.pan.is_sample() => {
                return Err(PersonaliseError::Sample { pan: public.pan });
            }
            Identity::Card(pan) if pan == public.pan => {}
            _ => return Err(wanted.other(public.pan)),
        }
    }
    let found = session::answer(channel, &apdu::select(aid::T_UNION_SAM), step)?;
    if found.sw.is_ok() {
        let number = session::plain(channel, &sam::read_terminal_no(), "READ", step)?;
        match (sam::terminal_no(&number.data), wanted) {
            (Ok(number), Identity::Sam(sam)) if number == sam => {}
            (Ok(number), _) => return Err(wanted.other(number)),
            (Err(_), _) => return Err(wanted.other("a SAM without number")),
        }
    }
    Ok(())
}

/// GET DATA of the issuer domain, which is selected; the value inside the outer tag.
fn get_data(
    channel: &mut dyn Channel,
    tag: u8,
    what: &'static str,
    step: Step,
) -> Result<Vec<u8>, PersonaliseError> {
    session::plain(
        channel,
        &apdu::select(aid::ISD),
        "SELECT issuer domain",
        step,
    )?;
    let command = apdu::read(0x80, 0xCA, 0x00, tag, Some(256));
    let reply = session::plain(channel, &command, what, step)?;
    Tlv::find(&reply.data, u16::from(tag))
        .map(<[u8]>::to_vec)
        .ok_or(PersonaliseError::Malformed { step, what })
}

/// The chip's serial number: GET DATA 00CF, key diversification data.
pub(super) fn chip(channel: &mut dyn Channel, step: Step) -> Result<ChipSerial, PersonaliseError> {
    const WHAT: &str = "GET DATA key diversification data";
    get_data(channel, 0xCF, WHAT, step)?
        .try_into()
        .map(ChipSerial)
        .map_err(|_| PersonaliseError::Malformed { step, what: WHAT })
}

/// Key version numbers of the issuer domain, sorted: GET DATA 00E0,
/// `E0 { C0 { kid kvn type len } .. }`.
pub(super) fn key_versions(
    channel: &mut dyn Channel,
    step: Step,
) -> Result<Vec<u8>, PersonaliseError> {
    let template = get_data(channel, 0xE0, "GET DATA key information", step)?;
    let mut versions: Vec<u8> = Tlv::new(&template)
        .filter(|(tag, _)| *tag == 0xC0)
        .filter_map(|(_, key)| key.get(1).copied())
        .collect();
    versions.sort_unstable();
    versions.dedup();
    Ok(versions)
}
