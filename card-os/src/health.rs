//! Health data: what an emergency doctor must know and where the holder was treated. The commands
//! are the citizen's side's ([`crate::ssse`]); here are its files. Formats: `card_spec::health`.

use crate::{
    counter::{ROW, Row},
    error::Error,
    file::{self, Access, Cyclic, File, Kind, Line, Tlv},
    isd::Item,
    nvm::Nvm,
    ssse::Plan,
    store::Area,
};
use card_spec::{
    health::{Visit, fid, kid},
    keys::KeyType,
};

mod at {
    use super::ROW;

    /// 1 once personalised.
    pub(super) const PRESENT: usize = crate::layout::PRESENT;
    pub(super) const AUTH_ROW: usize = 1;
    pub(super) const SECURE_ROW: usize = AUTH_ROW + ROW;
    pub(super) const FILES: usize = SECURE_ROW + ROW;
}

const CARD: Tlv = Tlv {
    at: at::FILES,
    longest: 32,
    count: 10,
    kept: false,
};
const HOLDER: Tlv = Tlv {
    at: CARD.end(),
    count: 5,
    ..CARD
};
const CONTACT: Tlv = Tlv {
    at: HOLDER.end(),
    longest: 62,
    count: 6,
    kept: false,
};
const EMERGENCY: Tlv = Tlv {
    at: CONTACT.end(),
    longest: 62,
    count: 12,
    kept: false,
};
const VISITS: Cyclic = Cyclic::new(EMERGENCY.end(), Visit::LEN, 12);
pub(crate) const AREA: usize = VISITS.end();

const READ: Access = Access::Key(KeyType::Rk, kid::READ);
const WRITE: Access = Access::Key(KeyType::Uk, kid::WRITE);

const fn records(fid: u16, tlv: Tlv, read: Access) -> File {
    File {
        fid,
        kind: Kind::Tlv(tlv),
        read,
        write: WRITE,
        line: Line::Enciphered,
    }
}

static FILES: [File; 5] = [
    records(fid::CARD, CARD, Access::Free),
    records(fid::HOLDER, HOLDER, READ),
    records(fid::CONTACT, CONTACT, READ),
    // An ambulance proves its own key or a hospital's: any proof will do.
    records(fid::EMERGENCY, EMERGENCY, Access::AnyKey),
    File {
        fid: fid::VISITS,
        kind: Kind::Cyclic(VISITS),
        read: READ,
        write: WRITE,
        line: Line::Enciphered,
    },
];

pub(crate) static PLAN: Plan = Plan {
    files: &FILES,
    authentications: Row::cryptogram(at::AUTH_ROW, 15),
    secure: Row::mac(at::SECURE_ROW),
    pin: None,
};

/// Applies one data group of personalisation; the first makes the application selectable.
pub(crate) fn personalise<N: Nvm>(area: &mut Area<'_, N>, item: &Item<'_>) -> Result<bool, Error> {
    let known = file::personalise(PLAN.files, area, item)?;
    if known {
        area.write(at::PRESENT, &[1]);
    }
    Ok(known)
}
