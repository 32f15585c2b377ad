//! `onecard bench firmware`: what the card costs on a microcontroller.

use super::{card::FIRMWARE, json};
use crate::{
    exit::{Code, Done, Stop},
    out::say,
    tables,
};
use card_spec::{
    Channel, ChannelError, Fen, SuiteId, aid, apdu,
    channel::exchange,
    keys::class,
    perso, pki,
    purse::{
        self, InitRequest, PurchaseInit, TxType,
        files::{LogRecord, Public},
        mac::{Context, ContextBuilder},
        sfi,
    },
    sam::{InitForPurchase, Mac1},
    ssse::Profile,
};
use serde::Serialize;
use std::path::{Path, PathBuf};
use virtual_card::{
    CutMode, VirtualCard,
    firmware::{Counted, Firmware},
    sample::{SIGN_PIN_BYTES, Sample, SampleSam, sample_sam, sample_time},
    script::SAM_NO,
};

/// What the image may cost without the PKI application. The aim is 64 KiB; what is there now is
/// larger, and may not grow.
const FLASH_MAX: u32 = 64 * 1024;
/// With the PKI application.
const PKI_FLASH_MAX: u32 = 104 * 1024;
/// Static memory and deepest stack together, without and with the PKI application.
const RAM_MAX: u32 = 16 * 1024;
const PKI_RAM_MAX: u32 = 24 * 1024;
const NVM_MAX: u32 = 128 * 1024;

/// The model of a chip: clock, cycles an instruction, and the typical times of its flash (STM32L5
/// class: 8-byte word, 2 KiB page). Assumptions, printed with every table.
const CLOCK_MHZ: u64 = 64;
const CYCLES_PER_10_INSTRUCTIONS: u64 = 13;
const WORD_US: u64 = 82;
const PAGE_ERASE_US: u64 = 22_000;

/// What a command cost.
#[derive(Debug, Serialize)]
struct Cost {
    suite: &'static str,
    command: &'static str,
    instructions: u64,
    words_programmed: u32,
    pages_erased: u32,
    modelled_us: u64,
}

const SIGN: &str = "PSO SIGN";

/// Runs the measurement; fails when a limit is exceeded.
pub fn run(image: Option<&PathBuf>, as_json: bool) -> Done {
    let path = image.cloned().unwrap_or_else(|| FIRMWARE.into());
    let (flash_bytes, ram_bytes) = sizes(&path)?;
    let mut costs = Vec::new();
    let (mut stack_bytes, mut nvm_bytes) = (0, 0);
    for suite in SuiteId::ALL {
        let counted = measure(&path, suite, &mut costs)?;
        stack_bytes = stack_bytes.max(counted.stack_bytes);
        nvm_bytes = nvm_bytes.max(counted.nvm_bytes);
    }
    let signs = costs.iter().any(|cost| cost.command == SIGN);
    let (suites, flash_max, ram_max) = if signs {
        ("aes,sm4,tdes,pki", PKI_FLASH_MAX, PKI_RAM_MAX)
    } else {
        ("aes,sm4,tdes", FLASH_MAX, RAM_MAX)
    };
    let cuts = power_cuts(&path)?;
    let scripts = super::script::all_on_firmware(&path, signs)?;
    stack_bytes = stack_bytes.max(scripts.stack_bytes);
    let scripts = scripts.passed;
    if as_json {
        json(&serde_json::json!({
            "suites": suites, "flash_bytes": flash_bytes, "ram_bytes": ram_bytes,
            "stack_bytes": stack_bytes, "nvm_bytes": nvm_bytes, "scripts": scripts, "power_cuts": cuts,
            "commands": costs,
        }))?;
    } else {
        say!(
            "firmware: suites={suites} flash_bytes={flash_bytes} ram_bytes={ram_bytes} \
             stack_bytes={stack_bytes} nvm_bytes={nvm_bytes} scripts={scripts}"
        );
        print(&costs);
        say!("power cut in each write of a DEBIT: {cuts} cuts, the card before or after each");
    }
    for (what, is, most) in [
        ("flash", flash_bytes, flash_max),
        ("static memory and stack", ram_bytes + stack_bytes, ram_max),
        ("card image", nvm_bytes, NVM_MAX),
    ] {
        if is > most {
            return Err(Stop::new(
                Code::Failure,
                format!("{what}: {is} bytes, {most} at most: make the card smaller again"),
            ));
        }
    }
    Ok(())
}

/// The model in words.
pub(super) fn model() -> String {
    format!(
        "model: {CLOCK_MHZ} MHz, {}.{} cycles an instruction, {WORD_US} µs a word, {} ms a page erase (assumed)",
        CYCLES_PER_10_INSTRUCTIONS / 10,
        CYCLES_PER_10_INSTRUCTIONS % 10,
        PAGE_ERASE_US / 1000
    )
}

fn print(costs: &[Cost]) {
    let mut table = tables::new(&[
        "suite",
        "command 指令",
        "instructions",
        "words",
        "pages erased",
        "modelled ms",
    ]);
    for cost in costs {
        table.add_row([
            cost.suite.to_owned(),
            cost.command.to_owned(),
            cost.instructions.to_string(),
            cost.words_programmed.to_string(),
            cost.pages_erased.to_string(),
            format!(
                "{}.{:02}",
                cost.modelled_us / 1000,
                cost.modelled_us % 1000 / 10
            ),
        ]);
    }
    say!("{table}\n{}", model());
}

/// What every purchase here costs.
const AMOUNT: Fen = Fen(100);

/// DEBIT with the MAC1 of a SAM.
fn debit(
    sam: &mut VirtualCard,
    public: &Public,
    init: &PurchaseInit,
    tx: TxType,
    context: Context,
) -> Done<apdu::Apdu> {
    let time = sample_time(0).map_err(Stop::because("making a time"))?;
    let serial8 = public.pan.serial8();
    let ask = InitForPurchase::new(init, AMOUNT, tx, time, serial8, public.issuer, context);
    let ask = ask.to_apdu().map_err(Stop::because("asking the SAM"))?;
    let mac1 = send(sam, &ask)?;
    let mac1 = Mac1::from_bytes(&mac1).map_err(Stop::because("reading MAC1"))?;
    Ok(purse::debit(mac1.terminal_seq, time, mac1.mac1))
}

/// Cuts the microcontroller's power at every write of a DEBIT, in each of its modes: the card must
/// be before or after it, in money, log and proof alike. How many cuts that was.
fn power_cuts(path: &Path) -> Done<usize> {
    let because = Stop::because::<virtual_card::host::HostError>;
    let terminal = SAM_NO.parse().map_err(Stop::because("naming the SAM"))?;
    let card = Sample::new(SuiteId::Aes, Profile::V2)
        .card([1; 32])
        .map_err(because("personalising the sample card"))?;
    let mut sam = sample_sam(SampleSam::Purse(class::TRANSIT), terminal, [2; 32])
        .map_err(because("personalising the sample SAM"))?;
    send(&mut sam, &apdu::select(aid::T_UNION_SAM))?;
    let mut cuts = 0;
    for mode in CutMode::ALL {
        for write in 1.. {
            let mut chip =
                Firmware::start(path, card.image()).map_err(|e| Stop::new(Code::Failure, e))?;
            let fci = send(&mut chip, &apdu::select(aid::T_UNION))?;
            let public = Public::from_fci(&fci).map_err(Stop::because("reading the FCI"))?;
            let request = InitRequest {
                kid: class::TRANSIT,
                amount: AMOUNT,
                terminal,
            };
            let init = request.purchase().map_err(Stop::because("building INIT"))?;
            let init = send(&mut chip, &init)?;
            let init = PurchaseInit::from_bytes(&init).map_err(Stop::because("reading INIT"))?;
            let debit = debit(
                &mut sam,
                &public,
                &init,
                TxType::Purchase,
                Context::default(),
            )?;
            chip.cut(write, mode).map_err(Stop::because("cutting"))?;
            if exchange(&mut chip, &debit) != Err(ChannelError::CardRemoved) {
                break;
            }
            cuts += 1;
            send(&mut chip, &apdu::select(aid::T_UNION))?;
            let balance = send(&mut chip, &purse::get_balance())?;
            let proof = purse::prove(TxType::Purchase, init.seq + 1);
            let proof = exchange(&mut chip, &proof).map_err(|e| Stop::new(Code::Reader, e))?;
            let newest = send(&mut chip, &apdu::read_record(sfi::LOG, 1, 23))?;
            let newest =
                LogRecord::from_bytes(&newest).map_err(Stop::because("reading the log"))?;
            let done = proof.sw.is_ok();
            let expected = if done {
                init.balance - AMOUNT
            } else {
                init.balance
            };
            let expected = expected.to_card().map_err(Stop::because("reading INIT"))?;
            if balance != expected || (newest.amount == AMOUNT) != done {
                return Err(Stop::new(
                    Code::Failure,
                    format!("power cut in write {write}, {mode:?}: DEBIT is half done"),
                ));
            }
        }
    }
    Ok(cuts)
}

/// A full sample card of the suite on the microcontroller: a purchase, and a CAPP purchase with a
/// journey and the metro record.
fn measure(path: &Path, suite: SuiteId, costs: &mut Vec<Cost>) -> Done<Counted> {
    let because = Stop::because::<virtual_card::host::HostError>;
    let number = SAM_NO.parse().map_err(Stop::because("naming the SAM"))?;
    let card = Sample::new(suite, Profile::V2)
        .full_card([1; 32])
        .map_err(because("personalising the sample card"))?;
    let mut sam = sample_sam(SampleSam::Purse(class::TRANSIT), number, [2; 32])
        .map_err(because("personalising the sample SAM"))?;
    let mut chip = Firmware::start(path, card.image()).map_err(|e| Stop::new(Code::Failure, e))?;
    let mut bench = Bench {
        meter: Meter::new(&mut chip).map_err(Stop::because("counting"))?,
        suite: suite.name(),
        costs,
    };
    bench.note("power-up", &mut chip)?;
    send(&mut sam, &apdu::select(aid::T_UNION_SAM))?;
    let fci = bench.send("SELECT", &mut chip, &apdu::select(aid::T_UNION))?;
    let public = Public::from_fci(&fci).map_err(Stop::because("reading the FCI"))?;
    for capp in [false, true] {
        let request = InitRequest {
            kid: class::TRANSIT,
            amount: AMOUNT,
            terminal: number,
        };
        let (tx, init) = match capp {
            false => (TxType::Purchase, request.purchase()),
            true => (TxType::Capp, request.capp_purchase()),
        };
        let init = init.map_err(Stop::because("building INIT"))?;
        let name = if capp { "INIT CAPP" } else { "INIT" };
        let init = bench.send(name, &mut chip, &init)?;
        let init = PurchaseInit::from_bytes(&init).map_err(Stop::because("reading INIT"))?;
        let mut context = Context::default();
        if capp {
            let mut builder = ContextBuilder::new(&fci);
            let journey = purse::update_capp_cache(sfi::JOURNEY, 0, &[7; 48]);
            bench.send("UPDATE CACHE 1E", &mut chip, &journey)?;
            builder.update(0, sfi::JOURNEY << 3, &[7; 48]);
            builder.read_1a(&[0; 128]);
            let metro = purse::update_capp_cache(sfi::METRO, 1, &[8; 128]);
            bench.send("UPDATE CACHE 1A", &mut chip, &metro)?;
            builder.update(1, (sfi::METRO << 3) | 4, &[8; 128]);
            context = builder.finish();
        }
        let name = if capp { "DEBIT CAPP" } else { "DEBIT" };
        let debit = debit(&mut sam, &public, &init, tx, context)?;
        bench.send(name, &mut chip, &debit)?;
    }
    if suite == SuiteId::Aes {
        bench.signature(&mut chip)?;
    }
    chip.counted().map_err(Stop::because("counting"))
}

/// What each command adds to the chip's counters.
pub(super) struct Meter {
    before: Counted,
}

/// One command.
pub(super) struct Step {
    instructions: u64,
    words: u32,
    erases: u32,
}

impl Meter {
    /// From here on.
    pub(super) fn new(chip: &mut Firmware) -> std::io::Result<Self> {
        let before = chip.counted()?;
        Ok(Self { before })
    }

    /// The last command.
    pub(super) fn step(&mut self, chip: &mut Firmware) -> std::io::Result<Step> {
        let now = chip.counted()?;
        let step = Step {
            instructions: chip.instructions(),
            words: now.words_programmed - self.before.words_programmed,
            erases: now.pages_erased - self.before.pages_erased,
        };
        self.before = now;
        Ok(step)
    }
}

impl Step {
    /// On the modelled chip.
    pub(super) fn modelled_us(&self) -> u64 {
        let cpu = self.instructions * CYCLES_PER_10_INSTRUCTIONS / 10 / CLOCK_MHZ;
        cpu + u64::from(self.words) * WORD_US + u64::from(self.erases) * PAGE_ERASE_US
    }
}

struct Bench<'a> {
    meter: Meter,
    suite: &'static str,
    costs: &'a mut Vec<Cost>,
}

impl Bench<'_> {
    fn send(&mut self, name: &'static str, chip: &mut Firmware, command: &[u8]) -> Done<Vec<u8>> {
        let reply = exchange(chip, command).map_err(|e| Stop::new(Code::Reader, e))?;
        if !reply.sw.is_ok() {
            return Err(Stop::new(
                Code::CardRefused,
                format!("{name}: {} ({})", reply.sw, reply.sw.meaning()),
            ));
        }
        self.note(name, chip)?;
        Ok(reply.data.to_vec())
    }

    /// A signature over 100 bytes and a new key, if the card has the PKI application.
    fn signature(&mut self, chip: &mut Firmware) -> Done {
        let select = exchange(chip, &apdu::select(aid::PKI_CERTIFICATES));
        if !select.map_err(|e| Stop::new(Code::Reader, e))?.sw.is_ok() {
            return Ok(());
        }
        let verify = apdu::verify(perso::pin::HOLDER, &SIGN_PIN_BYTES);
        self.send("PSO HASH", chip, &pki::hash_last(&[0x5A; 100]))?;
        self.send("VERIFY", chip, &verify)?;
        self.send(SIGN, chip, &pki::sign())?;
        self.send("VERIFY", chip, &verify)?;
        self.send("GENERATE KEY PAIR", chip, &pki::generate_key_pair())?;
        Ok(())
    }

    fn note(&mut self, command: &'static str, chip: &mut Firmware) -> Done {
        let step = self.meter.step(chip).map_err(Stop::because("counting"))?;
        self.costs.push(Cost {
            suite: self.suite,
            command,
            instructions: step.instructions,
            words_programmed: step.words,
            pages_erased: step.erases,
            modelled_us: step.modelled_us(),
        });
        Ok(())
    }
}

fn send(card: &mut dyn Channel, command: &[u8]) -> Done<Vec<u8>> {
    let reply = exchange(card, command).map_err(|e| Stop::new(Code::Reader, e))?;
    if reply.sw.is_ok() {
        return Ok(reply.data.to_vec());
    }
    let (sw, meaning) = (reply.sw, reply.sw.meaning());
    Err(Stop::new(
        Code::CardRefused,
        format!("{command:02X?}: {sw} ({meaning})"),
    ))
}

/// Bytes of flash and of static memory, from the program headers of an ELF32 file.
fn sizes(path: &Path) -> Done<(u32, u32)> {
    const LOAD: u32 = 1;
    const RAM: u32 = 0x3800_0000;
    let unreadable = |_| {
        Stop::new(
            Code::Failure,
            format!(
                "no firmware at {}: build it with `make firmware`",
                path.display()
            ),
        )
    };
    let elf = std::fs::read(path).map_err(unreadable)?;
    let word = |at: usize| -> Option<u32> {
        let bytes = elf.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    let half = |at: usize| -> Option<usize> {
        let bytes = elf.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_le_bytes(bytes).into())
    };
    let count = || -> Option<(u32, u32)> {
        let (table, size, number) = (word(28)? as usize, half(42)?, half(44)?);
        let (mut flash, mut ram) = (0, 0);
        for i in 0..number {
            let at = table + i * size;
            if word(at)? == LOAD {
                flash += word(at + 16)?;
                if word(at + 8)? >= RAM {
                    ram += word(at + 20)?;
                }
            }
        }
        Some((flash, ram))
    };
    count().ok_or_else(|| Stop::new(Code::Failure, "the firmware is not an ELF file"))
}
