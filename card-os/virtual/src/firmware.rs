//! The card on a microcontroller: QEMU runs the image of `card-os/firmware`, and this is its
//! reader. Frames: `kind 1 | length 2 | data | LRC 1`, as `card-os/firmware/src/frame.rs` says.

use crate::{CutMode, vpcd::Attachable};
use card_os::NVM_SIZE;
use card_spec::{Channel, ChannelError, Sw};
use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Instructions that pass in one tick of the board's 20 MHz timer under `-icount shift=0`, where
/// an instruction takes one virtual nanosecond.
pub const INSTRUCTIONS_PER_TICK: u64 = 50;

/// Where the firmware has its pages (`card-os/firmware/src/nvm.rs`).
const PAGES_AT: u32 = 0x3810_0000;

/// Why the microcontroller does not run.
#[derive(Debug, thiserror::Error)]
pub enum FirmwareError {
    /// QEMU is not installed.
    #[error("qemu-system-arm: {0}; install it with `make setup`")]
    Qemu(io::Error),
    /// No image.
    #[error("no firmware at {0}: build it with `make firmware`")]
    Image(PathBuf),
    /// The other side does not answer as it should.
    #[error(
        "the microcontroller does not answer ({0}): build the firmware again with `make firmware`"
    )]
    Serial(io::Error),
}

/// What the microcontroller counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Deepest stack since the start, bytes.
    pub stack_bytes: u32,
    /// Words programmed since the start.
    pub words_programmed: u32,
    /// Pages erased since the start.
    pub pages_erased: u32,
    /// Bytes of the pages that carry something.
    pub nvm_bytes: u32,
}

mod kind {
    pub(super) const APDU: u8 = 0x00;
    pub(super) const RESET: u8 = 0x01;
    pub(super) const INTERFACE: u8 = 0x02;
    pub(super) const CUT: u8 = 0x04;
    pub(super) const COUNTERS: u8 = 0x05;
    pub(super) const REMOVED: u8 = 0x80;
}

/// A microcontroller in QEMU with a card on it. QEMU ends when this is dropped.
pub struct Firmware {
    qemu: Child,
    to: ChildStdin,
    from: ChildStdout,
    atr: Vec<u8>,
    ticks: u32,
}

impl Firmware {
    /// Starts QEMU on a firmware image and puts a card's image into its pages.
    pub fn start(firmware: &Path, card: &[u8]) -> Result<Self, FirmwareError> {
        if !firmware.is_file() {
            return Err(FirmwareError::Image(firmware.to_owned()));
        }
        if card.len() != NVM_SIZE {
            return Err(FirmwareError::Serial(io::Error::other(
                "the card's image has another size",
            )));
        }
        // QEMU puts the image where the firmware has its pages, before it runs: frame by frame
        // that takes seconds.
        let mut image = tempfile::NamedTempFile::new().map_err(FirmwareError::Serial)?;
        image.write_all(card).map_err(FirmwareError::Serial)?;
        let loader = format!(
            "loader,file={},addr={PAGES_AT:#x},force-raw=on",
            image.path().display()
        );
        let mut qemu = Command::new("qemu-system-arm")
            .args(["-machine", "mps2-an505", "-cpu", "cortex-m33"])
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio"])
            .args(["-icount", "shift=0", "-device", &loader, "-kernel"])
            .arg(firmware)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(FirmwareError::Qemu)?;
        let missing = || FirmwareError::Serial(io::Error::other("no pipe"));
        let to = qemu.stdin.take().ok_or_else(missing)?;
        let from = qemu.stdout.take().ok_or_else(missing)?;
        let mut this = Self {
            qemu,
            to,
            from,
            atr: Vec::new(),
            ticks: 0,
        };
        this.reset().map_err(FirmwareError::Serial)?;
        Ok(this)
    }

    /// Power off and on.
    pub fn reset(&mut self) -> io::Result<()> {
        let (_, answer) = self.ask(kind::RESET, &[])?;
        self.atr = self.timed(&answer)?.to_vec();
        Ok(())
    }

    /// Contacts or the air.
    pub fn set_contactless(&mut self, contactless: bool) -> io::Result<()> {
        self.ask(kind::INTERFACE, &[contactless.into()]).map(drop)
    }

    /// Cuts the power in the n-th program or erase operation from now (1 = the next).
    pub fn cut(&mut self, operation: u32, mode: CutMode) -> io::Result<()> {
        let mut data = operation.to_be_bytes().to_vec();
        data.push(match mode {
            CutMode::Nothing => 0,
            CutMode::PartOfWord => 1,
            CutMode::PartOfPage => 2,
            CutMode::Done => 3,
            CutMode::FrontOnly => 4,
        });
        self.ask(kind::CUT, &data).map(drop)
    }

    /// Instructions of the last command or reset.
    pub const fn instructions(&self) -> u64 {
        self.ticks as u64 * INSTRUCTIONS_PER_TICK
    }

    /// Stack and memory.
    pub fn counted(&mut self) -> io::Result<Counted> {
        let (_, answer) = self.ask(kind::COUNTERS, &[])?;
        let number = |i: usize| {
            let bytes = answer.get(4 * i..4 * i + 4).and_then(|b| b.try_into().ok());
            bytes
                .map(u32::from_be_bytes)
                .ok_or_else(|| io::Error::other("short answer"))
        };
        Ok(Counted {
            stack_bytes: number(0)?,
            words_programmed: number(1)?,
            pages_erased: number(2)?,
            nvm_bytes: number(3)?,
        })
    }

    /// Takes the ticks off an answer.
    fn timed<'a>(&mut self, answer: &'a [u8]) -> io::Result<&'a [u8]> {
        let (ticks, rest) = answer
            .split_first_chunk::<4>()
            .ok_or_else(|| io::Error::other("short answer"))?;
        self.ticks = u32::from_be_bytes(*ticks);
        Ok(rest)
    }

    fn ask(&mut self, kind: u8, data: &[u8]) -> io::Result<(u8, Vec<u8>)> {
        let length = u16::try_from(data.len()).map_err(io::Error::other)?;
        let [high, low] = length.to_be_bytes();
        let mut frame = vec![kind, high, low];
        frame.extend(data);
        frame.push(lrc(&frame));
        self.to.write_all(&frame)?;
        self.to.flush()?;
        let mut frame = vec![0; 3];
        self.from.read_exact(&mut frame)?;
        let length = usize::from(u16::from_be_bytes([frame[1], frame[2]]));
        frame.resize(3 + length + 1, 0);
        self.from.read_exact(&mut frame[3..])?;
        if lrc(&frame) != 0 {
            return Err(io::Error::other("wrong LRC"));
        }
        frame.pop();
        Ok((frame[0], frame.split_off(3)))
    }
}

fn lrc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |lrc, byte| lrc ^ byte)
}

impl Channel for Firmware {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        // Longer than its buffer: a chip's reader would not pass it on either.
        if command.len() > 600 {
            let sw = Sw::WRONG_LENGTH.to_bytes();
            let place = response.get_mut(..2).ok_or(ChannelError::Malformed)?;
            place.copy_from_slice(&sw);
            return Ok(2);
        }
        let lost = |_| ChannelError::ReaderLost;
        let (kind, answer) = self.ask(kind::APDU, command).map_err(lost)?;
        match kind {
            kind::APDU => {}
            kind::REMOVED => {
                self.reset().map_err(lost)?;
                return Err(ChannelError::CardRemoved);
            }
            _ => return Err(ChannelError::Malformed),
        }
        let answer = self.timed(&answer).map_err(|_| ChannelError::Malformed)?;
        let place = response.get_mut(..answer.len());
        place
            .ok_or(ChannelError::Malformed)?
            .copy_from_slice(answer);
        Ok(answer.len())
    }

    fn atr(&self) -> &[u8] {
        &self.atr
    }
}

impl Attachable for Firmware {
    fn power_cycle(&mut self) {
        // A microcontroller that is gone shows in the next command.
        let _ = self.reset();
    }
}

impl Drop for Firmware {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl core::fmt::Debug for Firmware {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Firmware")
            .field("atr", &self.atr)
            .finish_non_exhaustive()
    }
}
