//! The transit purse of a presented card.

use card_spec::{
    Channel, Fen, Sw, aid, apdu,
    channel::exchange,
    id::{CitizenId, SamNo},
    purse::{
        self, Debited, InitRequest, LoadInit, PurchaseInit, TxType,
        files::{Brief, Holder, Journey, Metro, Public, Region},
        mac::{Context, ContextBuilder},
        sfi,
    },
    sam::Mac1,
    time::CardTime,
};

use fare::{CityCode, FareStates, Travel};

use super::{
    CardError, Pin, ask, format,
    memory::{CitiesRead, FareMemory},
    verify_pin,
};

/// Most records that a terminal reads back from the journey log (the file holds ten).
pub const JOURNEYS_MAX: u8 = 10;

/// A selected purse.
#[derive(Debug)]
pub struct PurseSession<'c, C: Channel + ?Sized> {
    channel: &'c mut C,
    fci: Vec<u8>,
    public: Public,
}

/// The metro record as read: parsed, and byte for byte for the journey context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetroRead {
    /// The record.
    pub record: Metro,
    /// The 128 bytes it came from.
    pub raw: [u8; Metro::LEN],
}

/// One journey record as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JourneyRead {
    /// The record.
    pub record: Journey,
    /// The 48 bytes it came from.
    pub raw: [u8; Journey::LEN],
}

/// One UPDATE CAPP DATA CACHE that a transaction carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheUpdate {
    /// File.
    pub sfi: u8,
    /// Record number; 0 appends to a cyclic file.
    pub number: u8,
    /// The record.
    pub data: Vec<u8>,
}

impl CacheUpdate {
    /// The command.
    pub fn to_apdu(&self) -> card_spec::Apdu {
        purse::update_capp_cache(self.sfi, self.number, &self.data)
    }
}

/// The journey context of a transaction: what was read, what will be written. `before` are records
/// of file 1A by number, as read.
pub fn context(fci: &[u8], before: &[(u8, [u8; Metro::LEN])], updates: &[CacheUpdate]) -> Context {
    let mut builder = ContextBuilder::new(fci);
    for update in updates {
        let known = |(number, _): &&(u8, _)| update.sfi == sfi::METRO && *number == update.number;
        if let Some((_, raw)) = before.iter().find(known) {
            builder.read_1a(raw);
        }
        let command = update.to_apdu();
        // P1 and P2 as they go over the air.
        builder.update(command[2], command[3], &update.data);
    }
    builder.finish()
}

impl<'c, C: Channel + ?Sized> PurseSession<'c, C> {
    /// SELECT of the purse; the FCI carries file 15.
    pub fn select(channel: &'c mut C) -> Result<Self, CardError> {
        let step = "SELECT purse";
        let reply = ask(channel, step, &apdu::select(aid::T_UNION))?;
        let public = Public::from_fci(&reply.data).map_err(format(step))?;
        Ok(Self {
            channel,
            fci: reply.data.to_vec(),
            public,
        })
    }

    /// File 15, from the FCI.
    pub const fn public(&self) -> &Public {
        &self.public
    }

    /// The FCI as the card answered it.
    pub fn fci(&self) -> &[u8] {
        &self.fci
    }

    /// File 17: from the FCI where the card tells it there, else read.
    pub fn region(&mut self) -> Result<Region, CardError> {
        if let Some(brief) = Brief::from_fci(&self.fci)
            && let Ok(region) = self.public.issuer.region()
        {
            return Ok(Region {
                region,
                interoperable: brief.interoperable,
                kind: brief.kind,
            });
        }
        let step = "reading file 17";
        let reply = ask(self.channel, step, &apdu::read_binary(sfi::REGION, 0, 60))?;
        Region::from_bytes(&reply.data).map_err(format(step))
    }

    /// Birth date from file 16, where the card lets it be read and holds a citizen number.
    pub fn birth(&mut self) -> Result<Option<card_spec::time::CardDate>, CardError> {
        let reply = exchange(self.channel, &apdu::read_binary(sfi::HOLDER, 0, 55))?;
        if !reply.sw.is_ok() {
            return Ok(None);
        }
        let birth = Holder::from_bytes(&reply.data).ok().and_then(|holder| {
            let text = std::str::from_utf8(&holder.id_number).ok()?;
            text.trim_end_matches('\0')
                .parse::<CitizenId>()
                .ok()?
                .birth()
                .ok()
        });
        Ok(birth)
    }

    /// The newest journey records, at most `count`, newest first. Empty records end the list.
    pub fn journeys(&mut self, count: u8) -> Result<Vec<JourneyRead>, CardError> {
        let mut out = Vec::new();
        for number in 1..=count.min(JOURNEYS_MAX) {
            let step = "reading file 1E";
            let command = apdu::read_record(sfi::JOURNEY, number, Journey::LEN as u16);
            let reply = exchange(self.channel, &command)?;
            match reply.sw {
                Sw::OK => {}
                Sw::RECORD_NOT_FOUND | Sw::NOT_FOUND => break,
                sw => return Err(CardError::Status { step, sw }),
            }
            let raw: [u8; Journey::LEN] = reply
                .data
                .as_slice()
                .try_into()
                .map_err(|_| format(step)(card_spec::FormatError::Length))?;
            // Records of other systems, and empty ones, are no journeys of ours.
            match Journey::from_bytes(&raw) {
                Ok(record) => out.push(JourneyRead { record, raw }),
                Err(_) if raw == [0; Journey::LEN] => break,
                Err(_) => {}
            }
        }
        Ok(out)
    }

    /// What a card of ours remembers of fares in `city`, or of the last city when none is asked for;
    /// `None` on another system's card. Reads record 2 of file 1A only where `city` needs it.
    pub fn fares(&mut self, city: Option<CityCode>) -> Result<Option<FareMemory>, CardError> {
        let Some(brief) = Brief::from_fci(&self.fci) else {
            return Ok(None);
        };
        let travel = Travel::from_bytes(brief.travel);
        let cities = match city {
            Some(city) if travel.wants_record_2(city) => self.cities()?,
            _ => None,
        };
        Ok(Some(FareMemory { travel, cities }))
    }

    /// The fare states in record 2 of file 1A; `None` where the card has no such record.
    pub fn cities(&mut self) -> Result<Option<CitiesRead>, CardError> {
        Ok(self.record_1a(2)?.map(|raw| CitiesRead {
            states: FareStates::from_bytes(&raw),
            raw,
        }))
    }

    /// Record 1 of file 1A; `None` where the card has no such record.
    pub fn metro(&mut self) -> Result<Option<MetroRead>, CardError> {
        let Some(raw) = self.record_1a(1)? else {
            return Ok(None);
        };
        let record = Metro::from_bytes(&raw).map_err(format("reading file 1A"))?;
        Ok(Some(MetroRead { record, raw }))
    }

    fn record_1a(&mut self, number: u8) -> Result<Option<[u8; Metro::LEN]>, CardError> {
        let step = "reading file 1A";
        let command = apdu::read_record(sfi::METRO, number, Metro::LEN as u16);
        let reply = exchange(self.channel, &command)?;
        match reply.sw {
            Sw::OK => {}
            Sw::RECORD_NOT_FOUND | Sw::NOT_FOUND => return Ok(None),
            sw => return Err(CardError::Status { step, sw }),
        }
        let raw = reply.data.as_slice().try_into();
        raw.map(Some)
            .map_err(|_| format(step)(card_spec::FormatError::Length))
    }

    /// INITIALIZE FOR (CAPP) PURCHASE.
    pub fn init_purchase(
        &mut self,
        kid: u8,
        amount: Fen,
        terminal: SamNo,
        tx: TxType,
    ) -> Result<PurchaseInit, CardError> {
        let step = "INITIALIZE FOR PURCHASE";
        let request = InitRequest {
            kid,
            amount,
            terminal,
        };
        let command = if tx == TxType::Capp {
            request.capp_purchase()
        } else {
            request.purchase()
        };
        let reply = ask(self.channel, step, &command.map_err(format(step))?)?;
        PurchaseInit::from_bytes(&reply.data).map_err(format(step))
    }

    /// UPDATE CAPP DATA CACHE, in order.
    pub fn update_cache(&mut self, updates: &[CacheUpdate]) -> Result<(), CardError> {
        for update in updates {
            ask(self.channel, "UPDATE CAPP DATA CACHE", &update.to_apdu())?;
        }
        Ok(())
    }

    /// DEBIT FOR (CAPP) PURCHASE.
    pub fn debit(&mut self, mac1: Mac1, time: CardTime) -> Result<Debited, CardError> {
        let step = "DEBIT";
        let command = purse::debit(mac1.terminal_seq, time, mac1.mac1);
        let reply = ask(self.channel, step, &command)?;
        Debited::from_debit(&reply.data).map_err(format(step))
    }

    /// GET TRANSACTION PROVE of the transaction after which the sequence is `seq_after`.
    pub fn prove(&mut self, tx: TxType, seq_after: u16) -> Result<Debited, CardError> {
        let step = "GET TRANSACTION PROVE";
        let reply = ask(self.channel, step, &purse::prove(tx, seq_after))?;
        Debited::from_prove(&reply.data).map_err(format(step))
    }

    /// Verifies the purse's PIN (loads need it).
    pub fn verify_pin(&mut self, pin: Pin) -> Result<(), CardError> {
        verify_pin(self.channel, pin)
    }

    /// INITIALIZE FOR LOAD.
    pub fn init_load(
        &mut self,
        kid: u8,
        amount: Fen,
        terminal: SamNo,
    ) -> Result<LoadInit, CardError> {
        let step = "INITIALIZE FOR LOAD";
        let command = InitRequest {
            kid,
            amount,
            terminal,
        }
        .load()
        .map_err(format(step))?;
        let reply = ask(self.channel, step, &command)?;
        LoadInit::from_bytes(&reply.data).map_err(format(step))
    }

    /// CREDIT FOR LOAD; answers the TAC.
    pub fn credit_load(&mut self, time: CardTime, mac2: [u8; 4]) -> Result<[u8; 4], CardError> {
        let step = "CREDIT FOR LOAD";
        let reply = ask(self.channel, step, &purse::credit_for_load(time, mac2))?;
        reply
            .data
            .as_slice()
            .try_into()
            .map_err(|_| format(step)(card_spec::FormatError::Length))
    }

    /// Four random bytes for the field lock.
    pub fn lock_challenge(&mut self) -> Result<[u8; 4], CardError> {
        let step = "GET CHALLENGE";
        let reply = ask(self.channel, step, &apdu::get_challenge(4))?;
        reply
            .data
            .as_slice()
            .try_into()
            .map_err(|_| format(step)(card_spec::FormatError::Length))
    }

    /// APPLICATION BLOCK with the SAM's MAC (`84 1E 00 00 04 MAC`).
    pub fn lock(&mut self, mac: [u8; 4]) -> Result<(), CardError> {
        let command = apdu::build(0x84, 0x1E, 0x00, 0x00, &mac, None);
        ask(self.channel, "APPLICATION BLOCK", &command).map(|_| ())
    }

    /// GET BALANCE, for displays.
    pub fn balance(&mut self) -> Result<Fen, CardError> {
        let step = "GET BALANCE";
        let reply = ask(self.channel, step, &purse::get_balance())?;
        let bytes: [u8; 4] = reply
            .data
            .as_slice()
            .try_into()
            .map_err(|_| format(step)(card_spec::FormatError::Length))?;
        Ok(Fen::from_card(bytes))
    }
}
