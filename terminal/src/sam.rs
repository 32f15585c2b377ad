//! The terminal's secure module: a card reached through a second [`Channel`].

use card_spec::{
    Apdu, Channel, ChannelError, FormatError, Reply, SuiteId, Sw, aid, apdu,
    channel::exchange,
    id::{IssuerId, RegionCode, SamNo},
    keys::ssse_f2,
    medical, sam,
    time::CardTime,
};

/// Why the SAM did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SamError {
    /// The exchange itself failed.
    #[error("SAM: {0}; check the SAM slot")]
    Channel(#[from] ChannelError),
    /// The SAM refused a step.
    #[error("SAM refused {step}: {sw} ({})", sw.meaning())]
    Status {
        /// What was asked.
        step: &'static str,
        /// Its status word.
        sw: Sw,
    },
    /// The answer has the wrong form, or the amount does not fit a card.
    #[error("SAM answered {step} in a wrong form: {error}")]
    Format {
        /// What was asked.
        step: &'static str,
        /// What is wrong.
        error: FormatError,
    },
}

impl SamError {
    /// Whether the SAM holds no key for the card's region, class or key version.
    pub fn is_missing_key(&self) -> bool {
        matches!(self, Self::Status { sw, .. } if matches!(*sw, Sw::KEY_INDEX | Sw::KEY_NOT_FOUND))
    }

    /// Whether the SAM itself is at fault: a missing key and a wrong MAC say something of the other
    /// side.
    fn is_of_the_sam(&self) -> bool {
        let is_wrong_mac = matches!(self, Self::Status { sw, .. } if *sw == Sw::MAC_WRONG);
        !is_wrong_mac && !self.is_missing_key()
    }
}

/// One opened SAM. Between [`Self::init_purchase`] and [`Self::credit`] it holds one open
/// transaction; the next `init_purchase` forgets it, and so does a reset.
#[derive(Debug)]
pub struct SamUnit<C> {
    channel: C,
    number: SamNo,
    selected: Selected,
    /// Terminal sequence of the open transaction.
    open: Option<u32>,
    is_faulty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selected {
    Purse,
    SocialSecurity,
}

impl<C: Channel> SamUnit<C> {
    /// Selects the purse SAM (PSAM) application and reads the terminal number.
    pub fn open_purse(channel: C) -> Result<Self, SamError> {
        Self::open(channel, Selected::Purse)
    }

    /// Selects the social-security SAM application (SSSE and medical purse) and reads the
    /// terminal number.
    pub fn open_social_security(channel: C) -> Result<Self, SamError> {
        Self::open(channel, Selected::SocialSecurity)
    }

    fn open(mut channel: C, selected: Selected) -> Result<Self, SamError> {
        let name = match selected {
            Selected::Purse => aid::T_UNION_SAM,
            Selected::SocialSecurity => aid::SSSE_SAM,
        };
        ask(&mut channel, "SELECT", &apdu::select(name))?;
        let reply = ask(
            &mut channel,
            "reading the terminal number",
            &sam::read_terminal_no(),
        )?;
        let number =
            sam::terminal_no(&reply.data).map_err(format("reading the terminal number"))?;
        Ok(Self {
            channel,
            number,
            selected,
            open: None,
            is_faulty: false,
        })
    }

    /// Selects the application again, after the SAM was reset.
    pub fn reopen(self) -> Result<Self, SamError> {
        Self::open(self.channel, self.selected)
    }

    /// The terminal number 终端机编号.
    pub const fn number(&self) -> SamNo {
        self.number
    }

    /// Whether the transaction that SAM `number` began with `terminal_seq` is still open in this one.
    pub fn has_open(&self, number: SamNo, terminal_seq: u32) -> bool {
        (self.number, self.open) == (number, Some(terminal_seq))
    }

    /// Whether it failed since it was opened: gone, reset, or refusing what a SAM in order does.
    pub const fn is_faulty(&self) -> bool {
        self.is_faulty
    }

    /// The channel again, for the caller that owns the reader.
    pub fn into_channel(self) -> C {
        self.channel
    }

    /// INIT SAM FOR PURCHASE: the next terminal sequence and MAC1.
    pub fn init_purchase(&mut self, init: &sam::InitForPurchase) -> Result<sam::Mac1, SamError> {
        let step = "INIT SAM FOR PURCHASE";
        self.mac1(step, &init.to_apdu().map_err(format(step))?)
    }

    /// INIT SAM for a visit paid by the medical purse: the next terminal sequence and MAC1.
    pub fn init_medical(
        &mut self,
        init: &medical::PurchaseInit,
        split: medical::Split,
        time: CardTime,
        f1: [u8; 8],
        region: RegionCode,
    ) -> Result<sam::Mac1, SamError> {
        let step = "INIT SAM FOR MEDICAL PURCHASE";
        let command = medical::psam_init(init, split, time, f1, region).map_err(format(step))?;
        self.mac1(step, &command)
    }

    fn mac1(&mut self, step: &'static str, command: &Apdu) -> Result<sam::Mac1, SamError> {
        self.open = None;
        let reply = self.ask(step, command)?;
        let mac1 = sam::Mac1::from_bytes(&reply.data).map_err(format(step))?;
        self.open = Some(mac1.terminal_seq);
        Ok(mac1)
    }

    /// [`ask`], and what it says of this SAM.
    fn ask(&mut self, step: &'static str, command: &[u8]) -> Result<Reply, SamError> {
        let answer = ask(&mut self.channel, step, command);
        self.is_faulty |= matches!(&answer, Err(error) if error.is_of_the_sam());
        answer
    }

    /// CREDIT SAM FOR PURCHASE: whether MAC2 belongs to the transaction that is open in the SAM,
    /// which ends it.
    pub fn credit(&mut self, mac2: [u8; 4]) -> Result<bool, SamError> {
        self.open = None;
        match self.ask("CREDIT SAM FOR PURCHASE", &sam::credit(mac2)) {
            Ok(_) => Ok(true),
            Err(SamError::Status { sw, .. }) if sw == Sw::MAC_WRONG => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The MAC that locks one card in the field, over the card's four-byte challenge.
    pub fn lock_mac(
        &mut self,
        serial8: [u8; 8],
        issuer8: IssuerId,
        suite: SuiteId,
        challenge: [u8; 4],
    ) -> Result<[u8; 4], SamError> {
        let step = "delivering the lock key";
        self.ask(step, &sam::deliver_lock_key(serial8, issuer8, Some(suite)))?;
        let step = "making the lock MAC";
        let reply = self.ask(step, &sam::lock_mac(challenge))?;
        reply
            .data
            .as_slice()
            .try_into()
            .map_err(|_| format(step)(FormatError::Length))
    }

    /// Encrypts `value` under the process key of social-security key `kid` for one card (`f1`,
    /// `region`) and one challenge: EXTERNAL AUTHENTICATE's cryptogram, or what the card must
    /// answer to INTERNAL AUTHENTICATE.
    pub fn ssse_cryptogram(
        &mut self,
        kid: u8,
        suite: SuiteId,
        f1: [u8; 8],
        region: RegionCode,
        challenge: [u8; 8],
        value: [u8; 8],
    ) -> Result<[u8; 8], SamError> {
        let step = "delivering a social-security key";
        let deliver = sam::ssse_deliver(kid, f1, ssse_f2(region), challenge, Some(suite));
        self.ask(step, &deliver)?;
        let step = "CIPHER DATA";
        let reply = self.ask(step, &sam::encrypt(value))?;
        reply
            .data
            .as_slice()
            .try_into()
            .map_err(|_| format(step)(FormatError::Length))
    }

    /// GET CHALLENGE, for the HSM's ceiling MAC.
    pub fn challenge(&mut self) -> Result<[u8; 8], SamError> {
        let step = "GET CHALLENGE";
        let reply = self.ask(step, &apdu::get_challenge(8))?;
        reply
            .data
            .as_slice()
            .try_into()
            .map_err(|_| format(step)(FormatError::Length))
    }

    /// Raises the terminal-sequence ceiling with the HSM's MAC over [`Self::challenge`].
    pub fn raise_ceiling(&mut self, ceiling: u32, mac: [u8; 4]) -> Result<(), SamError> {
        self.ask("raising the ceiling", &sam::raise_ceiling(ceiling, mac))
            .map(|_| ())
    }
}

fn format(step: &'static str) -> impl FnOnce(FormatError) -> SamError {
    move |error| SamError::Format { step, error }
}

fn ask<C: Channel>(channel: &mut C, step: &'static str, command: &[u8]) -> Result<Reply, SamError> {
    let reply = exchange(channel, command)?;
    if reply.sw.is_ok() {
        Ok(reply)
    } else {
        Err(SamError::Status { step, sw: reply.sw })
    }
}
