//! Selection: which application answers, and what is forgotten when another is chosen.

use crate::{
    apdu::{Out, put},
    error::Error,
    isd,
    layout::App,
    medical,
    nvm::Nvm,
    purse, sam,
    ssse::{self, File},
    store::Store,
};
use card_spec::{Sw, aid, perso::CardState, sm::Challenge8};

/// A challenge that the card gave and that nobody used yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Challenge {
    bytes: [u8; 8],
    len: usize,
}

impl Challenge {
    /// Four or eight bytes; four are followed by zeros.
    pub(crate) const fn new(bytes: [u8; 8], len: usize) -> Self {
        Self { bytes, len }
    }

    /// As the initial value of a secure-messaging MAC.
    pub(crate) const fn as_iv(self) -> Challenge8 {
        Challenge8(self.bytes)
    }

    /// The whole eight bytes; a four-byte challenge is too short to authenticate with.
    pub(crate) fn eight(self) -> Option<[u8; 8]> {
        (self.len == 8).then_some(self.bytes)
    }
}

/// The social-security DF that is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Df {
    /// The SSSE itself, where EF05 to EF08 are.
    Root,
    /// DF01, DF02, DF03, DF05: empty until their files are defined.
    Empty,
    /// DF04.
    Medical,
}

/// The selected application with what it remembers. Selecting another drops it all.
// One exists per card, in static memory: the size of the largest variant is what must be there.
#[expect(
    clippy::large_enum_variant,
    reason = "one value per card, no heap to box into"
)]
pub(crate) enum Selected {
    Isd(isd::Ram),
    Purse(purse::Ram),
    Social {
        df: Df,
        ram: ssse::Ram,
        medical: medical::Ram,
    },
    Sam(sam::Ram),
}

impl Selected {
    /// What answers after reset: the SAM application if this is a SAM, else the issuer domain.
    pub(crate) fn initial<N: Nvm>(store: &mut Store<N>) -> Self {
        match sam::serial(&store.area(App::Sam)) {
            Ok(Some(_)) if !is_locked(store) => Self::Sam(sam::Ram::default()),
            _ => Self::Isd(isd::Ram::default()),
        }
    }
}

fn is_locked<N: Nvm>(store: &mut Store<N>) -> bool {
    !matches!(
        isd::card_state(&store.area(App::Isd)),
        Ok(CardState::OpReady | CardState::Initialized | CardState::Secured)
    )
}

/// What SELECT by name found.
enum Target {
    Isd,
    Purse,
    Social(Df),
    Sam,
}

fn by_name(name: &[u8]) -> Option<Target> {
    Some(match name {
        _ if name.is_empty() || name == aid::ISD => Target::Isd,
        _ if name == aid::T_UNION => Target::Purse,
        _ if name == aid::SSSE => Target::Social(Df::Root),
        _ if name == aid::SSSE_MEDICAL => Target::Social(Df::Medical),
        _ if [
            aid::SSSE_PUBLIC,
            aid::SSSE_EMPLOYMENT,
            aid::SSSE_INSURANCE,
            aid::SSSE_PERSONNEL,
        ]
        .contains(&name) =>
        {
            Target::Social(Df::Empty)
        }
        _ if name == aid::T_UNION_SAM || name == aid::SSSE_SAM => Target::Sam,
        _ => return None,
    })
}

/// SELECT by DF name. The answer may carry a warning (6283: blocked).
pub(crate) fn by_df_name<N: Nvm>(
    store: &mut Store<N>,
    current: &mut Selected,
    name: &[u8],
    out: &mut Out,
) -> Result<Option<Sw>, Error> {
    let target = by_name(name).ok_or(Error::NotFound)?;
    if !matches!(target, Target::Isd) && is_locked(store) {
        return Err(Error::Locked);
    }
    let mut warning = None;
    match target {
        Target::Isd => {
            put(out, &isd::fci())?;
            *current = Selected::Isd(isd::Ram::default());
        }
        Target::Purse => {
            let area = store.area(App::Purse);
            match purse::state(&area)? {
                purse::State::Absent => return Err(Error::NotFound),
                purse::State::PermanentlyBlocked => return Err(Error::Permanent),
                purse::State::Blocked => warning = Some(Sw::SELECTED_BLOCKED),
                purse::State::Ready => {}
            }
            put(out, &purse::fci(&area)?)?;
            *current = Selected::Purse(purse::Ram::default());
        }
        Target::Social(df) => {
            if ssse::profile(&store.area(App::Ssse))?.is_none() {
                return Err(Error::NotFound);
            }
            named(out, name)?;
            // PIN and authentications belong to the social-security side as a whole.
            match current {
                Selected::Social {
                    df: now,
                    ram,
                    medical,
                } => {
                    *now = df;
                    ram.file = None;
                    *medical = medical::Ram::default();
                }
                _ => {
                    *current = Selected::Social {
                        df,
                        ram: ssse::Ram::default(),
                        medical: medical::Ram::default(),
                    };
                }
            }
        }
        Target::Sam => {
            select_sam(store, current)?;
            named(out, name)?;
        }
    }
    Ok(warning)
}

fn select_sam<N: Nvm>(store: &mut Store<N>, current: &mut Selected) -> Result<(), Error> {
    sam::serial(&store.area(App::Sam))?.ok_or(Error::NotFound)?;
    *current = Selected::Sam(sam::Ram::default());
    Ok(())
}

/// `6F len 84 len name A5 00`: an FCI with nothing but the name.
fn named(out: &mut Out, name: &[u8]) -> Result<(), Error> {
    let n = name.len() as u8;
    put(out, &[0x6F, n + 4, 0x84, n])?;
    put(out, name)?;
    put(out, &[0xA5, 0x00])
}

/// SELECT by file identifier. Readers in the field use P1 00 and 02, with or without the wish for
/// an FCP in P2.
pub(crate) fn by_fid<N: Nvm>(
    store: &mut Store<N>,
    current: &mut Selected,
    p2: u8,
    fid: u16,
    out: &mut Out,
) -> Result<(), Error> {
    let parameters: &[u8] = match fid {
        0x3F00 => {
            *current = Selected::initial(store);
            &[0x82, 0x01, 0x38, 0x83, 0x02, 0x3F, 0x00]
        }
        aid::SAM_FID => {
            if is_locked(store) {
                return Err(Error::Locked);
            }
            select_sam(store, current)?;
            &[0x82, 0x01, 0x38, 0x83, 0x02, 0x80, 0x11]
        }
        _ => match current {
            Selected::Social {
                df: Df::Root, ram, ..
            } => {
                let file = File::from_fid(fid).ok_or(Error::NotFound)?;
                ram.file = Some(file);
                &file.fcp()
            }
            _ => return Err(Error::NotFound),
        },
    };
    let template = match p2 {
        0x00 => 0x6F,
        0x04 => 0x62,
        0x0C => return Ok(()),
        _ => return Err(Error::Parameters),
    };
    put(out, &[template, parameters.len() as u8])?;
    put(out, parameters)
}
