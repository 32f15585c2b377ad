//! The files of the purse. What a transaction writes (balance, log, journeys) no command writes.

use super::{HOLDER, METRO_RECORDS, at};
use crate::file::{Access, File, Kind, Line};
use card_spec::{
    keys::{KeyType, class},
    purse::{files, sfi},
};

const MAINTAINED: Access = Access::Key(KeyType::Damk, class::ONLY);

const fn file(sfi: u8, kind: Kind, write: Access) -> File {
    File {
        fid: sfi as u16,
        kind,
        read: Access::Free,
        write,
        line: Line::Mac,
    }
}

pub(crate) static FILES: [File; 6] = [
    file(
        sfi::PUBLIC,
        Kind::Fixed {
            at: at::FILE15,
            len: files::Public::LEN,
        },
        MAINTAINED,
    ),
    // Name and number of the holder: not for a stranger's phone, and enciphered when written.
    File {
        read: Access::Contacts,
        line: Line::Enciphered,
        ..file(
            sfi::HOLDER,
            Kind::Fixed {
                at: at::FILE16,
                len: HOLDER,
            },
            MAINTAINED,
        )
    },
    file(
        sfi::REGION,
        Kind::Fixed {
            at: at::FILE17,
            len: files::Region::LEN,
        },
        MAINTAINED,
    ),
    file(sfi::LOG, Kind::Cyclic(at::LOG), Access::Never),
    file(
        sfi::METRO,
        Kind::LinearFixed {
            at: at::METRO,
            len: files::Metro::LEN,
            count: METRO_RECORDS,
        },
        MAINTAINED,
    ),
    file(sfi::JOURNEY, Kind::Cyclic(at::JOURNEY), Access::Never),
];
