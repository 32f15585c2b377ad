//! Selection: which application answers, and what is forgotten when another is chosen.

use crate::{
    apdu::{Number, Out, put},
    channels::{Channel, Channels},
    directory,
    error::Error,
    file::{self, File},
    health, isd,
    layout::{App, PRESENT},
    medical,
    nvm::Nvm,
    purse, sam, ssse,
    store::Store,
};
use card_spec::{Sw, aid, perso::CardState, sm::Challenge8};

#[cfg(feature = "pki")]
use crate::pki;

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
    Isd,
    Purse(purse::Ram),
    Social {
        df: Df,
        ram: ssse::Ram,
        medical: medical::Ram,
    },
    Health(ssse::Ram),
    Sam(sam::Ram),
    /// Whether its entries are in a file.
    Directory(bool),
    #[cfg(feature = "pki")]
    Pki(pki::Ram),
}

impl Selected {
    /// What answers after reset: the SAM application if this is a SAM, else the issuer domain.
    pub(crate) fn initial<N: Nvm>(store: &mut Store<N>) -> Self {
        match sam::serial(&store.area(App::Sam)) {
            Some(_)
                if !is_locked(store) && !isd::is_app_locked(&store.area(App::Isd), App::Sam) =>
            {
                Self::Sam(sam::Ram::default())
            }
            _ => Self::Isd,
        }
    }
}

fn is_locked<N: Nvm>(store: &mut Store<N>) -> bool {
    !matches!(
        isd::card_state(&store.area(App::Isd)),
        Ok(CardState::OpReady | CardState::Initialized | CardState::Secured)
    )
}

/// A DF name that can be selected: its position in [`NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u8);

impl Place {
    pub(crate) const ISD: Self = Self(0);
}

/// What a DF name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Isd,
    Purse,
    Social(Df),
    Health,
    Sam,
    Pse,
    Ppse,
    #[cfg(feature = "pki")]
    Pki,
}

/// Every DF name, in the order that "next occurrence" goes through them.
const NAMES: &[(&[u8], Target)] = &[
    (aid::ISD, Target::Isd),
    (aid::T_UNION, Target::Purse),
    (aid::SSSE, Target::Social(Df::Root)),
    (aid::SSSE_PUBLIC, Target::Social(Df::Empty)),
    (aid::SSSE_EMPLOYMENT, Target::Social(Df::Empty)),
    (aid::SSSE_INSURANCE, Target::Social(Df::Empty)),
    (aid::SSSE_MEDICAL, Target::Social(Df::Medical)),
    (aid::SSSE_PERSONNEL, Target::Social(Df::Empty)),
    (aid::HEALTH, Target::Health),
    (aid::T_UNION_SAM, Target::Sam),
    (aid::SSSE_SAM, Target::Sam),
    (aid::PSE, Target::Pse),
    (aid::PPSE, Target::Ppse),
    // Readers select the first and then the second; the first has nothing of its own.
    #[cfg(feature = "pki")]
    (aid::PKI, Target::Pki),
    #[cfg(feature = "pki")]
    (aid::PKI_CERTIFICATES, Target::Pki),
];

impl Target {
    /// Selects it. PIN and authentications belong to the social-security side as a whole, so moving
    /// between its DFs keeps them.
    fn enter(self, current: &mut Selected) {
        if let (
            Self::Social(df),
            Selected::Social {
                df: now,
                ram,
                medical,
            },
        ) = (self, &mut *current)
        {
            *now = df;
            ram.current = file::Current::default();
            *medical = medical::Ram::default();
            return;
        }
        *current = match self {
            Self::Isd => Selected::Isd,
            Self::Purse => Selected::Purse(purse::Ram::default()),
            Self::Social(df) => Selected::Social {
                df,
                ram: ssse::Ram::default(),
                medical: medical::Ram::default(),
            },
            Self::Health => Selected::Health(ssse::Ram::default()),
            Self::Sam => Selected::Sam(sam::Ram::default()),
            Self::Pse => Selected::Directory(true),
            Self::Ppse => Selected::Directory(false),
            #[cfg(feature = "pki")]
            Self::Pki => Selected::Pki(pki::Ram::default()),
        };
    }

    const fn app(self) -> App {
        match self {
            Self::Isd => App::Isd,
            Self::Purse | Self::Pse | Self::Ppse => App::Purse,
            Self::Social(Df::Medical) => App::Medical,
            Self::Social(Df::Root | Df::Empty) => App::Ssse,
            Self::Health => App::Health,
            Self::Sam => App::Sam,
            #[cfg(feature = "pki")]
            Self::Pki => App::Pki,
        }
    }
}

/// Whether this card has the application: personalisation sets the first byte of its area
/// ([`crate::layout::PRESENT`]). DF04 is there with the social-security application.
pub(crate) fn is_there<N: Nvm>(store: &mut Store<N>, app: App) -> bool {
    match app {
        App::Isd => true,
        App::Medical => store.area(App::Ssse).byte(PRESENT) != 0,
        _ => store.area(app).byte(PRESENT) != 0,
    }
}

/// The application that a full DF name stands for, as INSTALL and SET STATUS name it. DF01 to
/// DF03 and DF05 belong to the SSSE, and the directories to the purse, and are not named by
/// themselves.
pub(crate) fn app_named(name: &[u8]) -> Option<App> {
    NAMES
        .iter()
        .find(|(full, _)| *full == name)
        .filter(|(_, target)| {
            !matches!(
                target,
                Target::Social(Df::Empty) | Target::Pse | Target::Ppse
            )
        })
        .map(|(_, target)| target.app())
}

/// Which of several DF names with one beginning (P2 bits 1 and 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occurrence {
    First,
    Next,
}

impl TryFrom<u8> for Occurrence {
    type Error = Error;

    /// Last and previous are not offered.
    fn try_from(p2: u8) -> Result<Self, Error> {
        match p2 & 0x03 {
            0x00 => Ok(Self::First),
            0x02 => Ok(Self::Next),
            _ => Err(Error::PARAMETERS),
        }
    }
}

/// What the reader wants to hear (P2 bits 3 and 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Fci,
    Fcp,
    Nothing,
}

impl TryFrom<u8> for Wish {
    type Error = Error;

    fn try_from(p2: u8) -> Result<Self, Error> {
        match p2 & 0xFC {
            0x00 => Ok(Self::Fci),
            0x04 => Ok(Self::Fcp),
            0x0C => Ok(Self::Nothing),
            _ => Err(Error::PARAMETERS),
        }
    }
}

/// What SELECT without a name points at (P1).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reference<'a> {
    /// P1 00, 01, 02: a file by its identifier. Readers in the field use 00 and 02 for anything.
    Fid(u16),
    /// P1 03: the DF above.
    Parent,
    /// P1 08: a path from the master file, which is not part of it.
    FromMf(&'a [u8]),
    /// P1 09: a path from the current DF.
    FromHere(&'a [u8]),
}

impl<'a> Reference<'a> {
    pub(crate) fn new(p1: u8, data: &'a [u8]) -> Result<Self, Error> {
        let is_path = !data.is_empty() && data.len().is_multiple_of(2);
        match (p1, data) {
            // No file identifier at all means the master file.
            (0x00 | 0x02, []) => Ok(Self::Fid(MF)),
            (0x00..=0x02, [high, low]) => Ok(Self::Fid(u16::from_be_bytes([*high, *low]))),
            (0x03, []) => Ok(Self::Parent),
            (0x08, _) if is_path => Ok(Self::FromMf(data)),
            (0x09, _) if is_path => Ok(Self::FromHere(data)),
            (0x00..=0x03 | 0x08 | 0x09, _) => Err(Error::LENGTH),
            _ => Err(Error::PARAMETERS),
        }
    }
}

/// The master file.
const MF: u16 = 0x3F00;

/// A file that SELECT can reach without a name.
#[derive(Debug, Clone, Copy)]
enum Node {
    Mf,
    Sam,
    Social(Df),
    Purse,
    Health,
    /// Has no files with identifiers.
    Isd,
    Ef(&'static File),
    #[cfg(feature = "pki")]
    Pki,
}

impl Node {
    const fn of(selected: &Selected) -> Self {
        match selected {
            Selected::Sam(_) => Self::Sam,
            Selected::Social { df, .. } => Self::Social(*df),
            Selected::Purse(_) => Self::Purse,
            Selected::Health(_) => Self::Health,
            Selected::Isd | Selected::Directory(_) => Self::Isd,
            #[cfg(feature = "pki")]
            Selected::Pki(_) => Self::Pki,
        }
    }

    /// One step of a path. Master file and SAM application are found from everywhere.
    fn child(self, fid: u16) -> Result<Self, Error> {
        match (self, fid) {
            (Self::Ef(_), _) => Err(Error::NOT_FOUND),
            (_, MF) => Ok(Self::Mf),
            (_, aid::SAM_FID) => Ok(Self::Sam),
            (Self::Social(_), 0xDF01..=0xDF03 | 0xDF05) => Ok(Self::Social(Df::Empty)),
            (Self::Social(_), 0xDF04) => Ok(Self::Social(Df::Medical)),
            (Self::Social(Df::Root), _) => Self::file(ssse::PLAN.files, fid),
            (Self::Health, _) => Self::file(health::PLAN.files, fid),
            (Self::Purse, _) => Self::file(&purse::FILES, fid),
            #[cfg(feature = "pki")]
            (Self::Pki, _) => Self::file(&pki::FILES, fid),
            _ => Err(Error::NOT_FOUND),
        }
    }

    fn file(files: &'static [File], fid: u16) -> Result<Self, Error> {
        file::by_fid(files, fid)
            .map(Self::Ef)
            .ok_or(Error::NOT_FOUND)
    }

    fn walk(self, path: &[u8]) -> Result<Self, Error> {
        let mut node = self;
        for fid in path.chunks_exact(2) {
            let fid = fid.try_into().map_err(|_| Error::LENGTH)?;
            node = node.child(u16::from_be_bytes(fid))?;
        }
        Ok(node)
    }
}

/// SELECT at work on one channel.
pub(crate) struct Select<'a, N> {
    pub(crate) store: &'a mut Store<N>,
    pub(crate) channels: &'a mut Channels,
    pub(crate) number: Number,
    pub(crate) wish: Wish,
}

impl<N: Nvm> Select<'_, N> {
    /// SELECT by DF name, or by its beginning of at least five bytes (a RID). The answer may carry
    /// a warning (6283: blocked).
    pub(crate) fn by_df_name(
        &mut self,
        occurrence: Occurrence,
        name: &[u8],
        out: &mut Out,
    ) -> Result<Option<Sw>, Error> {
        let place = self.find(occurrence, name)?;
        let (full, target) = NAMES
            .get(usize::from(place.0))
            .copied()
            .ok_or(Error::NOT_FOUND)?;
        let warning = self.admit(target)?;
        match (self.wish, target) {
            (Wish::Nothing, _) => {}
            (Wish::Fcp, _) => {
                let n = full.len() as u8;
                put(out, &[0x62, n + 5, 0x82, 0x01, 0x38, 0x84, n]);
                put(out, full);
            }
            (Wish::Fci, Target::Isd) => put(out, &isd::fci()),
            (Wish::Fci, Target::Purse) => purse::fci(&self.store.area(App::Purse), out),
            (Wish::Fci, Target::Pse) => named(out, full, directory::PSE),
            (Wish::Fci, Target::Ppse) => named(out, full, directory::PPSE),
            (Wish::Fci, _) => named(out, full, &[0xA5, 0x00]),
        }
        let channel = self.channel()?;
        channel.place = place;
        target.enter(&mut channel.selected);
        Ok(warning)
    }

    /// The full name first; then, of the names that begin so and are on this card, the first or
    /// the one after the name that is selected.
    fn find(&mut self, occurrence: Occurrence, name: &[u8]) -> Result<Place, Error> {
        if name.is_empty() {
            return Ok(Place::ISD);
        }
        let after = match occurrence {
            Occurrence::First => None,
            Occurrence::Next => Some(self.channel()?.place),
        };
        for (place, (full, target)) in (0..).map(Place).zip(NAMES) {
            let fits = *full == name
                || (name.len() >= RID
                    && full.starts_with(name)
                    && is_there(self.store, target.app()));
            if fits && after.is_none_or(|after| place > after) {
                return Ok(place);
            }
        }
        Err(Error::NOT_FOUND)
    }

    /// Whether this channel may have the application now.
    fn admit(&mut self, target: Target) -> Result<Option<Sw>, Error> {
        if target == Target::Isd {
            return Ok(None);
        }
        if is_locked(self.store) {
            return Err(Error::LOCKED);
        }
        if !is_there(self.store, target.app()) {
            return Err(Error::NOT_FOUND);
        }
        let domain = self.store.area(App::Isd);
        if isd::is_app_locked(&domain, target.app())
            || (target.app() == App::Medical && isd::is_app_locked(&domain, App::Ssse))
        {
            return Err(Error::LOCKED);
        }
        let taken = self.channels.elsewhere(self.number, |selected| {
            #[cfg(feature = "pki")]
            if let (Selected::Pki(_), Target::Pki) = (selected, target) {
                return true;
            }
            matches!(
                (selected, target),
                (Selected::Purse(_), Target::Purse)
                    | (Selected::Social { .. }, Target::Social(_))
                    | (Selected::Health(_), Target::Health)
                    | (Selected::Sam(_), Target::Sam)
            )
        });
        if taken {
            return Err(Error::CONDITIONS);
        }
        if target == Target::Purse {
            return match purse::state(&self.store.area(App::Purse)) {
                purse::State::Absent => Err(Error::NOT_FOUND),
                purse::State::PermanentlyBlocked => Err(Error::PERMANENT),
                purse::State::Blocked => Ok(Some(Sw::SELECTED_BLOCKED)),
                purse::State::Ready => Ok(None),
            };
        }
        Ok(None)
    }

    /// SELECT by file identifier, path, or as the parent of what is selected.
    pub(crate) fn by_reference(
        &mut self,
        reference: Reference<'_>,
        out: &mut Out,
    ) -> Result<(), Error> {
        let here = Node::of(&self.channel()?.selected);
        let node = match reference {
            Reference::Fid(fid) => here.child(fid)?,
            Reference::FromMf(path) => Node::Mf.walk(path)?,
            Reference::FromHere(path) => here.walk(path)?,
            Reference::Parent => match &mut self.channel()?.selected {
                Selected::Social {
                    df: Df::Empty | Df::Medical,
                    ..
                } => Node::Social(Df::Root),
                _ => Node::Mf,
            },
        };
        match node {
            Node::Mf => {
                // As after reset; a SAM that another channel took stays there.
                let sam = self.number == Number::Basic && self.admit(Target::Sam).is_ok();
                let initial = if sam { Target::Sam } else { Target::Isd };
                let channel = self.channel()?;
                channel.place = Place::ISD;
                initial.enter(&mut channel.selected);
                self.describe(&[0x82, 0x01, 0x38, 0x83, 0x02, 0x3F, 0x00], out);
            }
            Node::Sam => {
                self.admit(Target::Sam)?;
                Target::Sam.enter(&mut self.channel()?.selected);
                self.describe(&[0x82, 0x01, 0x38, 0x83, 0x02, 0x80, 0x11], out);
            }
            Node::Social(df) => {
                self.admit(Target::Social(df))?;
                Target::Social(df).enter(&mut self.channel()?.selected);
                if df == Df::Root {
                    let mut parameters = [0; 20];
                    parameters[..5].copy_from_slice(&[0x82, 0x01, 0x38, 0x84, 0x0F]);
                    parameters[5..].copy_from_slice(aid::SSSE);
                    self.describe(&parameters, out);
                } else {
                    self.describe(&[0x82, 0x01, 0x38], out);
                }
            }
            Node::Ef(file) => {
                match &mut self.channel()?.selected {
                    Selected::Social { ram, .. } | Selected::Health(ram) => {
                        ram.current.select(file);
                    }
                    Selected::Purse(ram) => ram.current.select(file),
                    #[cfg(feature = "pki")]
                    Selected::Pki(ram) => ram.current.select(file),
                    Selected::Isd | Selected::Sam(_) | Selected::Directory(_) => {
                        return Err(Error::NOT_FOUND);
                    }
                }
                let mut parameters = Out::default();
                file.fcp(&mut parameters);
                self.describe(&parameters, out);
            }
            Node::Purse | Node::Health | Node::Isd => return Err(Error::NOT_FOUND),
            #[cfg(feature = "pki")]
            Node::Pki => return Err(Error::NOT_FOUND),
        }
        Ok(())
    }

    fn describe(&self, parameters: &[u8], out: &mut Out) {
        let template = match self.wish {
            Wish::Fci => 0x6F,
            Wish::Fcp => 0x62,
            Wish::Nothing => return,
        };
        put(out, &[template, parameters.len() as u8]);
        put(out, parameters);
    }

    fn channel(&mut self) -> Result<&mut Channel, Error> {
        self.channels.get(self.number).ok_or(Error::CHANNEL)
    }
}

/// Bytes of a registered application provider identifier: shorter beginnings name nobody.
const RID: usize = 5;

/// `6F len 84 len name`, and the issuer's part (`A5`).
fn named(out: &mut Out, name: &[u8], issuers: &[u8]) {
    let n = name.len() as u8;
    put(out, &[0x6F, n + 2 + issuers.len() as u8, 0x84, n]);
    put(out, name);
    put(out, issuers);
}
