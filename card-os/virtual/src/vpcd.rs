//! A virtual card in a reader of pcscd, through vsmartcard's vpcd driver.
//!
//! Protocol (vpcd is the server): two bytes length, big-endian, then a message. One byte is a
//! control (00 power off, 01 power on, 02 reset, 04 ATR wanted); more is a command APDU. Only APDUs
//! and the ATR are answered. A connected client is a card in the slot.

use crate::VirtualCard;
use card_spec::{Channel, channel::MAX_RESPONSE};
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpStream},
    os::linux::net::TcpStreamExt,
    thread::JoinHandle,
    time::Duration,
};

/// Ports of the two readers that Debian's vpcd offers: "Virtual PCD 00 00" and "Virtual PCD 00 01".
pub const PORTS: [u16; 2] = [35963, 35964];

/// How long vpcd may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);

/// Why a slot does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// Nobody listens.
    #[error(
        "no virtual reader on port {port} ({source}): start pcscd with vsmartcard-vpcd installed"
    )]
    NoReader {
        /// TCP port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// There is a card in the slot.
    #[error("the virtual reader on port {port} has a card already: remove it first")]
    Occupied {
        /// TCP port.
        port: u16,
    },
    /// There is no card in the slot.
    #[error("the virtual reader on port {port} is empty")]
    Empty {
        /// TCP port.
        port: u16,
    },
    /// The connection failed while the card was in the slot.
    #[error(
        "the virtual reader on port {port} broke off ({source}): pcscd was stopped or another card took the slot"
    )]
    Lost {
        /// TCP port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// The card's thread died; its card is gone with it.
    #[error(
        "the virtual card's thread on port {port} failed; insert the card again from its image"
    )]
    Thread {
        /// TCP port.
        port: u16,
    },
}

/// What can be put into a slot: a card in this process, or one on a microcontroller.
pub trait Attachable: Channel + Send + core::fmt::Debug + 'static {
    /// Power off and on.
    fn power_cycle(&mut self);
}

impl Attachable for VirtualCard {
    fn power_cycle(&mut self) {
        Self::power_cycle(self);
    }
}

/// A card that was not accepted, and why.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Refused<C: Attachable = VirtualCard> {
    /// The card, for another try.
    pub card: Box<C>,
    /// Why.
    pub reason: SlotError,
}

/// One slot of the virtual reader. The card runs on its own thread while it is inside; dropping
/// the slot removes it.
#[derive(Debug)]
pub struct Slot<C: Attachable = VirtualCard> {
    port: u16,
    inside: Option<Inside<C>>,
}

#[derive(Debug)]
struct Inside<C> {
    stream: TcpStream,
    thread: JoinHandle<(C, io::Result<()>)>,
}

impl<C: Attachable> Slot<C> {
    /// The slot behind a port; nothing is connected yet.
    pub const fn new(port: u16) -> Self {
        Self { port, inside: None }
    }

    /// The TCP port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Puts a card in. pcscd notices within about 0.4 s.
    pub fn insert(&mut self, card: C) -> Result<(), Refused<C>> {
        let refused = |card, reason| Refused {
            card: Box::new(card),
            reason,
        };
        if self.inside.is_some() {
            return Err(refused(card, SlotError::Occupied { port: self.port }));
        }
        let connected = self
            .connect()
            .and_then(|stream| Ok((stream.try_clone()?, stream)));
        match connected {
            Ok((ours, stream)) => {
                let thread = std::thread::spawn(move || serve(card, stream));
                self.inside = Some(Inside {
                    stream: ours,
                    thread,
                });
                Ok(())
            }
            Err(source) => Err(refused(
                card,
                SlotError::NoReader {
                    port: self.port,
                    source,
                },
            )),
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let address = (Ipv4Addr::LOCALHOST, self.port).into();
        let stream = TcpStream::connect_timeout(&address, CONNECT)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Whether a card is inside and its connection stands.
    pub fn is_running(&self) -> bool {
        self.inside
            .as_ref()
            .is_some_and(|inside| !inside.thread.is_finished())
    }

    /// Takes the card out; it loses power. A connection that broke before is reported by
    /// [`Self::eject`], which also gives the card.
    pub fn remove(&mut self) -> Result<C, SlotError> {
        self.eject().map(|(card, _)| card)
    }

    /// Takes the card out and says whether its connection stood until now.
    pub fn eject(&mut self) -> Result<(C, Result<(), SlotError>), SlotError> {
        let port = self.port;
        let inside = self.inside.take().ok_or(SlotError::Empty { port })?;
        // Already closed by vpcd: then there is nothing left to shut down.
        let _ = inside.stream.shutdown(Shutdown::Both);
        let (mut card, ended) = inside
            .thread
            .join()
            .map_err(|_| SlotError::Thread { port })?;
        card.power_cycle();
        Ok((
            card,
            ended.map_err(|source| SlotError::Lost { port, source }),
        ))
    }

    /// Takes one card out and puts another in. pcscd needs about 0.8 s to see both: programs wait
    /// for the removal, then for the card.
    pub fn swap(&mut self, card: C) -> Result<C, SlotError> {
        let old = self.remove()?;
        self.insert(card).map_err(|refused| refused.reason)?;
        Ok(old)
    }
}

impl<C: Attachable> Drop for Slot<C> {
    fn drop(&mut self) {
        let _ = self.eject();
    }
}

/// Puts a card into the virtual reader on a port and keeps it there until the slot is dropped.
pub fn attach<C: Attachable>(card: C, port: u16) -> Result<Slot<C>, Refused<C>> {
    let mut slot = Slot::new(port);
    slot.insert(card)?;
    Ok(slot)
}

fn serve<C: Attachable>(mut card: C, mut stream: TcpStream) -> (C, io::Result<()>) {
    let ended = answer_all(&mut card, &mut stream);
    // The card leaves the slot however the loop ended, also when vpcd only half-closed.
    let _ = stream.shutdown(Shutdown::Both);
    (card, ended)
}

/// Answers until the connection ends. Ok: our own side (or vpcd, orderly) closed it.
fn answer_all(card: &mut impl Attachable, stream: &mut TcpStream) -> io::Result<()> {
    let mut message = Vec::new();
    while read_message(stream, &mut message)? {
        match message.as_slice() {
            // Power off, power on, reset: every one starts the card afresh.
            [0x00..=0x02] => card.power_cycle(),
            [0x04] => {
                let atr = card.atr().to_vec();
                write_message(stream, &atr)?;
            }
            [_] | [] => {}
            command => {
                let mut response = [0u8; MAX_RESPONSE];
                match card.transmit(command, &mut response) {
                    Ok(n) => write_message(stream, response.get(..n).unwrap_or_default())?,
                    // A scripted cut: the card is pulled out, no answer.
                    Err(_) => return Ok(()),
                }
            }
        }
    }
    Ok(())
}

/// False at the orderly end of the connection.
fn read_message(stream: &mut TcpStream, message: &mut Vec<u8>) -> io::Result<bool> {
    let mut length = [0u8; 2];
    if !read_exact(stream, &mut length)? {
        return Ok(false);
    }
    message.resize(usize::from(u16::from_be_bytes(length)), 0);
    read_exact(stream, message)
}

/// vpcd sends length and body in two packets without TCP_NODELAY. Without an immediate
/// acknowledgement of the first, the second waits for our delayed one: 48 ms an APDU. The kernel
/// forgets the option, so it is set again before every read.
fn read_exact(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<bool> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        stream.set_quickack(true)?;
        match stream.read(rest) {
            Ok(0) => return Ok(false),
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn write_message(stream: &mut TcpStream, data: &[u8]) -> io::Result<()> {
    let length = u16::try_from(data.len()).map_err(io::Error::other)?;
    let mut message = length.to_be_bytes().to_vec();
    message.extend_from_slice(data);
    stream.write_all(&message)
}
