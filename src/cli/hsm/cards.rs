//! Officer cards 保管人卡 in a PC/SC reader: written and read with their custodians' PINs.

use super::{ceremony::given, console::Console};
use crate::{
    cli::secret,
    exit::{Code, Done, Stop},
};
use card_reader::PcscReader;
use card_spec::{scp03::StaticKeys, suite::Key};
use clap::Args;
use hsm::{
    Entropy, KdfCost, Zeroizing,
    ceremony::{Medium as _, MediumError, OfficerCard, Part, Sheet},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a card may take to be put in after Enter was pressed.
const WAIT: Duration = Duration::from_secs(10);

/// Where the parts are kept.
#[derive(Args)]
pub struct CarrierArgs {
    /// Keep and read the parts on officer cards in this PC/SC reader, instead of paper
    #[arg(long, value_name = "READER")]
    reader: Option<String>,
    /// Transport keys of the blank officer cards, as their maker sent them: three lines of 32 hex
    /// digits (encryption, MAC, data encryption)
    #[arg(long, value_name = "FILE", requires = "reader")]
    transport_keys: Option<PathBuf>,
}

/// A reader for officer cards.
pub struct Cards {
    reader: PcscReader,
    transport: Option<StaticKeys>,
}

impl Cards {
    /// The reader, when one was named.
    pub fn open(args: &CarrierArgs) -> Done<Option<Self>> {
        let Some(name) = &args.reader else {
            return Ok(None);
        };
        let reader = PcscReader::open(name).map_err(|error| Stop::new(Code::Reader, error))?;
        let transport = args.transport_keys.as_deref().map(keys).transpose()?;
        Ok(Some(Self { reader, transport }))
    }

    /// Writes a custodian's blank card, with a PIN that they choose.
    pub fn keep(&self, console: &mut Console, sheet: &Sheet) -> Done {
        let Some(transport) = &self.transport else {
            return Err(Stop::new(
                Code::Usage,
                "blank officer cards want their transport keys: give --transport-keys",
            ));
        };
        let name = &sheet.custodian;
        console.screen(&format!("{name} 的卡"), &format!("{name}'s card"));
        console.both(
            &format!("请 {name} 插入空白保管人卡，并自选口令（至少 6 位）。"),
            &format!(
                "{name} puts a blank officer card in and chooses a PIN of six characters or more."
            ),
        );
        loop {
            given(console.ask("插卡后按回车", "press Enter when the card is in")?)?;
            let pin = given(console.secret("新口令", "new PIN")?)?;
            let again = given(console.secret("再输一次", "the same again")?)?;
            if pin != again {
                console.refused(&"the two PINs differ 两次口令不同");
                continue;
            }
            let entropy = Entropy::os();
            let written = self.with_card(pin, |card| {
                card.blank(transport, &entropy).keep(&sheet.parts)
            })?;
            match written {
                Ok(()) => return Ok(()),
                Err(error) => console.refused(&error),
            }
        }
    }

    /// The parts on a custodian's card.
    pub fn parts(&self, console: &Console) -> Done<Vec<Part>> {
        loop {
            given(console.ask("插卡后按回车", "press Enter when the card is in")?)?;
            let pin = given(console.secret("口令", "PIN")?)?;
            match self.with_card(pin, |mut card| card.parts())? {
                Ok(parts) => return Ok(parts),
                Err(error) => console.refused(&error),
            }
        }
    }

    /// One conversation with the card in the reader.
    fn with_card<T>(
        &self,
        pin: Zeroizing<String>,
        act: impl FnOnce(OfficerCard<'_, card_reader::PcscChannel>) -> Result<T, MediumError>,
    ) -> Done<Result<T, MediumError>> {
        let connected = self
            .reader
            .wait_for_card(WAIT)
            .and_then(|()| self.reader.connect());
        let mut channel = connected.map_err(|error| Stop::new(Code::Reader, error))?;
        let done = OfficerCard::new(&mut channel, pin, KdfCost::PRODUCTION).and_then(act);
        channel
            .disconnect()
            .map_err(|error| Stop::new(Code::Reader, error))?;
        Ok(done)
    }
}

fn keys(path: &Path) -> Done<StaticKeys> {
    let wrong = || {
        let why = format!(
            "{}: three lines of 32 hex digits are wanted",
            path.display()
        );
        Stop::new(Code::Auth, why)
    };
    let lines = secret::pairs(path, "the transport keys")?;
    let mut keys = Vec::new();
    for line in &lines {
        let [digits] = line.as_slice() else {
            return Err(wrong());
        };
        let mut key = Zeroizing::new([0; 16]);
        hex::decode_to_slice(digits, key.as_mut()).map_err(|_| wrong())?;
        keys.push(Key::new(*key));
    }
    let [enc, mac, dek] = <[Key; 3]>::try_from(keys).map_err(|_| wrong())?;
    Ok(StaticKeys { enc, mac, dek })
}
