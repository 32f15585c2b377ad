//! Personalisation: INSTALL names the application, STORE DATA stages its data groups, and only
//! the last block makes all of them visible, in one commit.

use super::{Isd, Open, SessionState, card_state};
use crate::{
    apdu::{Answer, Command, Out, Outcome, put},
    error::Error,
    health,
    keystore::{SENT, Slot},
    layout::App,
    medical,
    nvm::Nvm,
    purse, sam, ssse,
    store::Store,
};
use card_spec::{
    SuiteId,
    keys::{KeyHeader, KeyType},
    perso::{CardState, Dgi, pin_from_block},
};
use zeroize::Zeroize;

/// One data group on its way into an application.
pub(crate) struct Item<'a> {
    pub(crate) dgi: Dgi,
    /// Where its data starts in the staging area, and its whole length.
    pub(crate) at: usize,
    pub(crate) len: usize,
    /// The data, or the beginning of it when it is longer than any structured group.
    pub(crate) data: &'a [u8],
}

/// How the staged bytes are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Dgi,
    BerTlv,
}

/// What was staged so far.
#[derive(Default)]
pub(super) struct Stage {
    length: usize,
    next_block: u8,
    form: Option<Form>,
}

/// Longest structured data group: a metro record with its number.
const STRUCTURED: usize = 192;

impl<N: Nvm> Isd<'_, N> {
    /// INSTALL [for personalization]: `00 00 len AID 00 00 00`.
    pub(super) fn install(&mut self, command: Command<'_>, out: &mut Out) -> Outcome {
        if (command.p1, command.p2) != (0x20, 0x00) {
            return Err(Error::PARAMETERS);
        }
        let (name, rest) = match command.data {
            [0, 0, length, rest @ ..] => rest
                .split_at_checked(usize::from(*length))
                .ok_or(Error::DATA)?,
            _ => return Err(Error::DATA),
        };
        if rest != [0, 0, 0] {
            return Err(Error::DATA);
        }
        let target = crate::select::app_named(name).ok_or(Error::NOT_FOUND)?;
        self.ram.target = Some(target);
        self.ram.stage = Stage::default();
        self.store.forget_staged();
        put(out, &[0x00]);
        Ok(Answer::Done)
    }

    /// STORE DATA (GlobalPlatform 2.3, 11.11): blocks in order from 0; bit 8 of P1 marks the last,
    /// bits 5 and 4 say DGI (01) or BER-TLV (10), one for all blocks. BER-TLV is for the issuer
    /// domain's own objects; applications are made of data groups.
    pub(super) fn store_data(&mut self, command: Command<'_>) -> Outcome {
        let stage = core::mem::take(&mut self.ram.stage);
        let form = match command.p1 & 0x7F {
            0x08 => Form::Dgi,
            0x10 => Form::BerTlv,
            _ => return Err(Error::PARAMETERS),
        };
        let target = self.ram.target.unwrap_or(App::Isd);
        if form == Form::BerTlv && target != App::Isd {
            return Err(Error::PARAMETERS);
        }
        if command.p2 != stage.next_block || stage.form.is_some_and(|first| first != form) {
            return Err(Error::PARAMETERS);
        }
        self.store.stage(stage.length, command.data)?;
        let end = stage.length + command.data.len();
        if command.p1 & 0x80 == 0 {
            self.ram.stage = Stage {
                length: end,
                next_block: stage.next_block.checked_add(1).ok_or(Error::SPACE)?,
                form: Some(form),
            };
            return Ok(Answer::Done);
        }
        let SessionState::Open(open) = &self.ram.state else {
            return Err(Error::SECURITY);
        };
        apply_all(self.store, open, target, form, end)?;
        Ok(Answer::Done)
    }
}

/// Applies every staged group; the dispatcher commits all of them or none.
fn apply_all<N: Nvm>(
    store: &mut Store<N>,
    open: &Open,
    target: App,
    form: Form,
    end: usize,
) -> Result<(), Error> {
    let mut at = 0;
    while at < end {
        let (dgi, length, head) = match form {
            Form::Dgi => header(store, at, end)?,
            Form::BerTlv => ber_header(store, at, end)?,
        };
        let from = at + head;
        at = from
            .checked_add(length)
            .filter(|next| *next <= end)
            .ok_or(Error::DATA)?;
        let mut buffer = [0u8; STRUCTURED];
        let data = &mut buffer[..length.min(STRUCTURED)];
        store.staged(from, data)?;
        let item = Item {
            dgi,
            at: from,
            len: length,
            data,
        };
        let applied = apply(store, open, target, &item);
        buffer.zeroize();
        applied?;
    }
    Ok(())
}

/// DGI, length, and bytes of both: `DGI 2 | length 1` or `DGI 2 | FF | length 2`.
fn header<N: Nvm>(store: &Store<N>, at: usize, end: usize) -> Result<(Dgi, usize, usize), Error> {
    let mut head = [0u8; 5];
    let available = (end - at).min(5);
    store.staged(at, &mut head[..available])?;
    let [d0, d1, short, l0, l1] = head;
    let dgi = Dgi(u16::from_be_bytes([d0, d1]));
    match (short, available) {
        (0xFF, 5) => Ok((dgi, usize::from(u16::from_be_bytes([l0, l1])), 5)),
        (0xFF, _) | (_, 0..=2) => Err(Error::DATA),
        (short, _) => Ok((dgi, usize::from(short), 3)),
    }
}

/// Tag of one or two bytes and length in the forms up to 82; the tag stands for a DGI.
fn ber_header<N: Nvm>(
    store: &Store<N>,
    at: usize,
    end: usize,
) -> Result<(Dgi, usize, usize), Error> {
    let mut head = [0u8; 5];
    let available = (end - at).min(head.len());
    let head = &mut head[..available];
    store.staged(at, head)?;
    let (tag, rest) = match *head {
        [first, second, ref rest @ ..] if first & 0x1F == 0x1F && second & 0x80 == 0 => {
            (u16::from_be_bytes([first, second]), rest)
        }
        [first, ref rest @ ..] if first & 0x1F != 0x1F => (u16::from(first), rest),
        _ => return Err(Error::DATA),
    };
    let (length, rest) = match *rest {
        [short @ 0..=0x7F, ref rest @ ..] => (usize::from(short), rest),
        [0x81, long, ref rest @ ..] => (usize::from(long), rest),
        [0x82, high, low, ref rest @ ..] => (usize::from(u16::from_be_bytes([high, low])), rest),
        _ => return Err(Error::DATA),
    };
    Ok((Dgi(tag), length, available - rest.len()))
}

fn apply<N: Nvm>(
    store: &mut Store<N>,
    open: &Open,
    target: App,
    item: &Item<'_>,
) -> Result<(), Error> {
    let known = match item.dgi {
        Dgi::KEY if target != App::Sam => {
            key(store, open, target, item.data, 3)?;
            true
        }
        Dgi::SAM_KEY if target == App::Sam => {
            key(store, open, target, item.data, 0)?;
            true
        }
        Dgi::PIN => {
            pin(store, open, target, item.data)?;
            true
        }
        // An opening balance and what a SAM is belong to issuing: later the account changes by
        // loads and the ceiling by the HSM's MAC.
        dgi if is_for_life(target, dgi)
            && !matches!(
                card_state(&store.area(App::Isd))?,
                CardState::OpReady | CardState::Initialized
            ) =>
        {
            return Err(Error::CONDITIONS);
        }
        _ => match target {
            App::Purse => purse::personalise(&mut store.area(App::Purse), item)?,
            App::Ssse => ssse::personalise(&mut store.area(App::Ssse), item)?,
            App::Medical => medical::personalise(&mut store.area(App::Medical), item)?,
            App::Sam => sam::personalise(&mut store.area(App::Sam), item)?,
            App::Health => health::personalise(&mut store.area(App::Health), item)?,
            #[cfg(feature = "pki")]
            App::Pki => crate::pki::personalise(&mut store.area(App::Pki), item)?,
            App::Isd => super::domain::personalise(&mut store.area(App::Isd), item)?,
        },
    };
    if known { Ok(()) } else { Err(Error::REFERENCE) }
}

/// What may be set only before the card is secured.
fn is_for_life(target: App, dgi: Dgi) -> bool {
    dgi == Dgi::MEDICAL_BALANCE
        || (target == App::Sam && (dgi == Dgi::SAM_CEILING || dgi.0 >> 8 == 0x01))
}

/// Which keys an application may hold.
fn allowed(target: App, slot: &Slot) -> bool {
    let key_type = slot.header.key_type;
    match target {
        App::Purse => matches!(
            key_type,
            KeyType::Dpk
                | KeyType::Dlk
                | KeyType::Dtk
                | KeyType::Dack
                | KeyType::Damk
                | KeyType::Dpuk
                | KeyType::Dprk
                | KeyType::Duk
        ),
        App::Ssse => {
            matches!(
                key_type,
                KeyType::Irk | KeyType::Rk | KeyType::Uk | KeyType::Puk
            )
        }
        App::Health => matches!(key_type, KeyType::Irk | KeyType::Rk | KeyType::Uk),
        App::Medical => matches!(key_type, KeyType::Mpk | KeyType::Mlk | KeyType::Mtk),
        App::Sam => sam::may_hold(slot),
        #[cfg(feature = "pki")]
        App::Pki => matches!(key_type, KeyType::Uk),
        App::Isd => false,
    }
}

/// `header4 | E_DEK(key16) | KCV3`, of a SAM behind the region.
fn key<N: Nvm>(
    store: &mut Store<N>,
    open: &Open,
    target: App,
    data: &[u8],
    from: usize,
) -> Result<(), Error> {
    let mut bytes = [0; SENT];
    let field = &mut bytes[from..];
    if field.len() != data.len() {
        return Err(Error::DATA);
    }
    field.copy_from_slice(data);
    open.dek
        .decrypt_cbc(SuiteId::Aes, &[0; 16], &mut bytes[7..23]);
    let arrived = Slot::arrived(&bytes);
    bytes.zeroize();
    let slot = arrived?;
    let (header, key_type) = (slot.header, slot.header.key_type);
    if !allowed(target, &slot)
        || (names_suite(target, key_type) && has_other_suite(store, target, header))
    {
        return Err(Error::DATA);
    }
    let area = &mut store.area(target);
    area.put_key(&slot)?;
    match target {
        App::Purse => purse::key_stored(area, key_type),
        App::Ssse => ssse::key_stored(&ssse::PLAN, area, key_type),
        App::Health => ssse::key_stored(&health::PLAN, area, key_type),
        App::Medical => medical::key_stored(area, key_type),
        App::Sam => sam::key_stored(area, key_type),
        #[cfg(feature = "pki")]
        App::Pki => crate::pki::key_stored(area),
        App::Isd => {}
    }
    Ok(())
}

/// On a user card a command names a key by type and id alone, so one id may mean only one suite.
/// TAC keys are chosen by the suite of the transaction, and a SAM is told the algorithm of all but
/// its own keys.
const fn names_suite(target: App, key_type: KeyType) -> bool {
    match key_type {
        KeyType::Dtk | KeyType::Mtk => false,
        KeyType::SamIssue | KeyType::SamCeiling => true,
        _ => !matches!(target, App::Sam),
    }
}

fn has_other_suite<N: Nvm>(store: &mut Store<N>, target: App, header: KeyHeader) -> bool {
    let other = store.area(target).key(
        &|slot| {
            slot.header.key_type == header.key_type
                && slot.header.index == header.index
                && slot.header.suite != header.suite
        },
        Error::KEY_INDEX,
    );
    other.is_ok()
}

/// `pin id | tries | E_DEK(length | PIN | FF..)`.
fn pin<N: Nvm>(store: &mut Store<N>, open: &Open, target: App, data: &[u8]) -> Result<(), Error> {
    let data: &[u8; 18] = data.try_into().map_err(|_| Error::DATA)?;
    let [id, tries, encrypted @ ..] = *data;
    if id != card_spec::perso::pin::HOLDER {
        return Err(Error::DATA);
    }
    let mut block = encrypted;
    open.dek.decrypt_cbc(SuiteId::Aes, &[0; 16], &mut block);
    let value = pin_from_block(&block).map_err(|_| Error::DATA);
    let done = value.and_then(|value| match target {
        App::Purse => purse::set_pin(&mut store.area(App::Purse), tries, value),
        // DF04 has no PIN of its own: the medical purse asks for the social-security PIN.
        App::Ssse | App::Medical => ssse::set_pin(&mut store.area(App::Ssse), tries, value),
        #[cfg(feature = "pki")]
        App::Pki => crate::pki::set_pin(&mut store.area(App::Pki), tries, value),
        App::Sam | App::Isd | App::Health => Err(Error::REFERENCE),
    });
    block.zeroize();
    done
}
