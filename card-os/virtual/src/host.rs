//! The issuer's side of SCP03 with static keys in the clear: for sample cards and tests only.
//! Production personalises through the HSM.

use card_spec::{
    Channel, ChannelError, Fen, Reply, Sw,
    channel::exchange,
    keys::{KcvKind, KeyHeader, kcv},
    perso::{self, CardState, Dgi, InitializeUpdateAnswer},
    scp03::{Handshake, Session, StaticKeys, level, pad, unpad},
    suite::{Key, SuiteId},
};

/// Why personalisation stopped.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The transport failed.
    #[error("{0}")]
    Channel(#[from] ChannelError),
    /// The card refused.
    #[error("the card refused {step}: {sw} ({})", sw.meaning())]
    Status {
        /// What was asked.
        step: &'static str,
        /// The answer.
        sw: Sw,
    },
    /// The card does not hold the keys that were expected of it.
    #[error("the card's cryptogram is wrong: not a card of this key set")]
    Cryptogram,
    /// An answer or a value has the wrong form.
    #[error("{step}: malformed data")]
    Format {
        /// What was asked.
        step: &'static str,
    },
    /// A response MAC is wrong.
    #[error("the card's response MAC is wrong")]
    ResponseMac,
    /// The blank image could not be made.
    #[error(transparent)]
    Image(#[from] crate::ImageError),
}

/// Sends a command and expects 9000.
pub fn ask<C: Channel + ?Sized>(
    channel: &mut C,
    step: &'static str,
    apdu: &[u8],
) -> Result<Reply, HostError> {
    let reply = exchange(channel, apdu)?;
    if reply.sw.is_ok() {
        Ok(reply)
    } else {
        Err(HostError::Status { step, sw: reply.sw })
    }
}

/// An open secure channel with a card's issuer domain.
pub struct Scp03 {
    session: Session,
    level: u8,
    dek: Key,
}

/// Bytes of STORE DATA that fit a command at every level (239 leave room for padding and C-MAC).
const BLOCK: usize = 239;

impl Scp03 {
    /// SELECT the issuer domain, INITIALIZE UPDATE, EXTERNAL AUTHENTICATE.
    pub fn open<C: Channel + ?Sized>(
        channel: &mut C,
        keys: &StaticKeys,
        kvn: u8,
        security_level: u8,
        host_challenge: [u8; 8],
    ) -> Result<Self, HostError> {
        ask(
            channel,
            "SELECT",
            &card_spec::apdu::select(card_spec::aid::ISD),
        )?;
        let step = "INITIALIZE UPDATE";
        let reply = ask(
            channel,
            step,
            &perso::initialize_update(kvn, host_challenge),
        )?;
        let answer = InitializeUpdateAnswer::from_bytes(&reply.data)
            .map_err(|_| HostError::Format { step })?;
        let mut handshake = Handshake::derive(keys, &host_challenge, &answer.challenge);
        if handshake.card_cryptogram != answer.cryptogram {
            return Err(HostError::Cryptogram);
        }
        let header = [0x84, 0x82, security_level, 0x00, 0x10];
        let cryptogram = handshake.host_cryptogram;
        let mac = handshake.session.c_mac(header, &cryptogram);
        let mut apdu = header.to_vec();
        apdu.extend(cryptogram);
        apdu.extend(mac);
        ask(channel, "EXTERNAL AUTHENTICATE", &apdu)?;
        Ok(Self {
            session: handshake.session,
            level: security_level,
            dek: keys.dek.clone(),
        })
    }

    /// Protects a plain command (CLA 80, short, without Le).
    pub fn wrap(&mut self, apdu: &[u8]) -> Result<Vec<u8>, HostError> {
        const STEP: HostError = HostError::Format {
            step: "wrapping a command",
        };
        let (header, body) = apdu.split_first_chunk::<4>().ok_or(STEP)?;
        let data = match body {
            [] | [_] => &[][..],
            [length, rest @ ..] => rest.get(..usize::from(*length)).ok_or(STEP)?,
        };
        self.session.next_command();
        let mut buffer = [0u8; 272];
        buffer
            .get_mut(..data.len())
            .ok_or(STEP)?
            .copy_from_slice(data);
        let mut length = data.len();
        if self.level & level::C_DEC_MAC == level::C_DEC_MAC && !data.is_empty() {
            length = pad(&mut buffer, length).ok_or(STEP)?;
            self.session.encrypt_command(&mut buffer[..length]);
        }
        let lc = u8::try_from(length + 8).map_err(|_| STEP)?;
        let header = [header[0] | 0x04, header[1], header[2], header[3], lc];
        let mac = self.session.c_mac(header, &buffer[..length]);
        let mut out = header.to_vec();
        out.extend_from_slice(&buffer[..length]);
        out.extend(mac);
        Ok(out)
    }

    /// Checks and takes off the protection of a successful response.
    pub fn unwrap(&mut self, reply: &Reply) -> Result<Vec<u8>, HostError> {
        if self.level & level::R_MAC == 0 {
            return Ok(reply.data.to_vec());
        }
        let (data, mac) = reply
            .data
            .split_last_chunk::<8>()
            .ok_or(HostError::ResponseMac)?;
        if self.session.r_mac(data, reply.sw.to_bytes()) != *mac {
            return Err(HostError::ResponseMac);
        }
        let mut data = data.to_vec();
        if self.level & level::R_ENC_MAC == level::R_ENC_MAC && !data.is_empty() {
            self.session.decrypt_response(&mut data);
            let length = unpad(&data).ok_or(HostError::ResponseMac)?;
            data.truncate(length);
        }
        Ok(data)
    }

    /// Sends a protected command and returns the plain response data.
    pub fn send<C: Channel + ?Sized>(
        &mut self,
        channel: &mut C,
        step: &'static str,
        apdu: &[u8],
    ) -> Result<Vec<u8>, HostError> {
        let command = self.wrap(apdu)?;
        let reply = ask(channel, step, &command)?;
        self.unwrap(&reply)
    }

    /// PUT KEY: three keys in the place of the set in use.
    pub fn put_keys<C: Channel + ?Sized>(
        &mut self,
        channel: &mut C,
        new_kvn: u8,
        keys: &StaticKeys,
    ) -> Result<(), HostError> {
        let mut data = vec![new_kvn];
        for key in [&keys.enc, &keys.mac, &keys.dek] {
            data.extend([0x88, 0x11, 0x10]);
            data.extend(self.encrypt(*key.expose()));
            data.push(3);
            data.extend(kcv(key, SuiteId::Aes, KcvKind::GlobalPlatform));
        }
        let apdu = card_spec::apdu::build(0x80, 0xD8, 0x00, 0x81, &data, None);
        self.send(channel, "PUT KEY", &apdu).map(|_| ())
    }

    /// INSTALL [for personalization] and STORE DATA of every group, in as many blocks as needed.
    pub fn personalise<C: Channel + ?Sized>(
        &mut self,
        channel: &mut C,
        aid: &[u8],
        groups: &[(Dgi, Vec<u8>)],
    ) -> Result<(), HostError> {
        let install = perso::install_for_personalization(aid);
        self.send(channel, "INSTALL [for personalization]", &install)?;
        for apdu in store_data(groups)? {
            self.send(channel, "STORE DATA", &apdu)?;
        }
        Ok(())
    }

    /// SET STATUS of the card.
    pub fn set_status<C: Channel + ?Sized>(
        &mut self,
        channel: &mut C,
        state: CardState,
    ) -> Result<(), HostError> {
        self.send(channel, "SET STATUS", &perso::set_card_status(state))
            .map(|_| ())
    }

    /// One block under the DEK (AES-CBC, zero IV) of the key set that opened this session.
    pub fn encrypt(&self, mut block: [u8; 16]) -> [u8; 16] {
        self.dek.encrypt_cbc(SuiteId::Aes, &[0; 16], &mut block);
        block
    }

    /// The data group of a card key.
    pub fn key_group(&self, header: KeyHeader, key: &Key) -> (Dgi, Vec<u8>) {
        let check = kcv(key, header.suite, perso::kcv_kind(header.suite));
        (
            Dgi::KEY,
            perso::card_key(header, self.encrypt(*key.expose()), check).to_vec(),
        )
    }

    /// The data group of a SAM key; region 000000 for the SAM's own keys.
    pub fn sam_key_group(&self, region: [u8; 3], header: KeyHeader, key: &Key) -> (Dgi, Vec<u8>) {
        let check = kcv(key, header.suite, perso::kcv_kind(header.suite));
        let data = perso::sam_key(region, header, self.encrypt(*key.expose()), check);
        (Dgi::SAM_KEY, data.to_vec())
    }

    /// The data group of a PIN (packed bytes).
    pub fn pin_group(&self, pin: &[u8]) -> Result<(Dgi, Vec<u8>), HostError> {
        let block = perso::pin_block(pin).map_err(|_| HostError::Format { step: "PIN" })?;
        let mut data = vec![perso::pin::HOLDER, perso::pin::TRIES];
        data.extend(self.encrypt(block));
        Ok((Dgi::PIN, data))
    }
}

/// Plain STORE DATA commands for these groups.
pub fn store_data(groups: &[(Dgi, Vec<u8>)]) -> Result<Vec<card_spec::Apdu>, HostError> {
    let mut all = Vec::new();
    for (dgi, data) in groups {
        let mut one = heapless::Vec::<u8, { card_os::STAGING_SIZE }>::new();
        perso::push_dgi(&mut one, *dgi, data)
            .map_err(|_| HostError::Format { step: "STORE DATA" })?;
        all.extend_from_slice(&one);
    }
    let count = all.chunks(BLOCK).count();
    let block = |i: usize| u8::try_from(i).map_err(|_| HostError::Format { step: "STORE DATA" });
    all.chunks(BLOCK)
        .enumerate()
        .map(|(i, chunk)| Ok(perso::store_data(i + 1 == count, block(i)?, chunk)))
        .collect()
}

/// A purse load with the keys at hand: PIN, INITIALIZE FOR LOAD, CREDIT FOR LOAD. The purse must
/// be selected. Returns the TAC.
pub fn load_purse<C: Channel + ?Sized>(
    channel: &mut C,
    pin: &[u8],
    dlk: &Key,
    request: card_spec::purse::InitRequest,
    time: card_spec::time::CardTime,
) -> Result<[u8; 4], HostError> {
    use card_spec::purse::{LoadInit, TxType, credit_for_load, mac::Load};
    ask(
        channel,
        "VERIFY",
        &card_spec::apdu::verify(perso::pin::HOLDER, pin),
    )?;
    let step = "INITIALIZE FOR LOAD";
    let format = |_| HostError::Format { step };
    let reply = ask(channel, step, &request.load().map_err(format)?)?;
    let init = LoadInit::from_bytes(&reply.data).map_err(format)?;
    let load = Load {
        amount: request.amount,
        tx: TxType::Load,
        terminal: request.terminal,
        seq: init.seq,
        rnd: init.rnd,
        balance_before: init.balance,
    };
    if load.mac1(init.suite, dlk) != init.mac1 {
        return Err(HostError::Cryptogram);
    }
    let mac2 = load.mac2(init.suite, dlk, time);
    let reply = ask(channel, "CREDIT FOR LOAD", &credit_for_load(time, mac2))?;
    reply
        .data
        .as_slice()
        .try_into()
        .map_err(|_| HostError::Format {
            step: "CREDIT FOR LOAD",
        })
}

/// The purse's balance; the purse must be selected.
pub fn balance<C: Channel + ?Sized>(channel: &mut C) -> Result<Fen, HostError> {
    let step = "GET BALANCE";
    let reply = ask(channel, step, &card_spec::purse::get_balance())?;
    let bytes = reply
        .data
        .as_slice()
        .try_into()
        .map_err(|_| HostError::Format { step })?;
    Ok(Fen::from_card(bytes))
}
