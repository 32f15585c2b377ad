//! The one way to talk to a card, whatever carries the bytes.

use crate::{Sw, apdu};

/// Why an exchange did not happen. "Card removed" is told apart from everything else, because
/// only then can asking for the same card again be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelError {
    /// The card left the field or the slot (or lost power).
    CardRemoved,
    /// The reader itself is gone.
    ReaderLost,
    /// The reader is there but another program holds the card.
    Busy,
    /// The answer is longer than the buffer, or shorter than a status word.
    Malformed,
    /// Any other transport error, with the transport's own code (PC/SC: the SCARD value).
    Transport(u32),
}

impl core::fmt::Display for ChannelError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::CardRemoved => f.write_str("the card was removed: present the same card again"),
            Self::ReaderLost => f.write_str("the reader is gone: check its cable and pcscd"),
            Self::Busy => f.write_str("another program is using the card: close it and try again"),
            Self::Malformed => f.write_str("the answer is not a valid response APDU"),
            Self::Transport(code) => write!(f, "the reader reported error 0x{code:08X}"),
        }
    }
}

impl core::error::Error for ChannelError {}

/// A powered card (or SAM) that answers APDUs.
pub trait Channel {
    /// Sends one command APDU and writes data and status word into `response`.
    /// Returns the number of bytes written, at least 2.
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError>;

    /// The answer to reset.
    fn atr(&self) -> &[u8];
}

impl<C: Channel + ?Sized> Channel for &mut C {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        (**self).transmit(command, response)
    }
    fn atr(&self) -> &[u8] {
        (**self).atr()
    }
}

/// Longest response: 256 bytes of data and the status word.
pub const MAX_RESPONSE: usize = 258;

/// A response: data and status word.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The response data.
    pub data: heapless::Vec<u8, 512>,
    /// The status word.
    pub sw: Sw,
}

impl core::fmt::Debug for Reply {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Reply({} bytes, {})", self.data.len(), self.sw)
    }
}

/// Sends one command and follows the two habits of real cards: `61xx` is answered with
/// GET RESPONSE, `6Cxx` re-issues the command with the length the card named.
pub fn exchange<C: Channel + ?Sized>(
    channel: &mut C,
    command: &[u8],
) -> Result<Reply, ChannelError> {
    let mut reply = once(channel, command)?;
    if reply.sw.0 & 0xFF00 == 0x6C00 && command.len() >= 5 {
        let mut again = apdu::Apdu::from_slice(command).map_err(|_| ChannelError::Malformed)?;
        if let Some(le) = again.last_mut() {
            *le = (reply.sw.0 & 0xFF) as u8;
        }
        reply = once(channel, &again)?;
    }
    // Two rounds cover 512 bytes, the buffer's size.
    for _ in 0..2 {
        if reply.sw.0 & 0xFF00 != 0x6100 {
            break;
        }
        // GET RESPONSE goes to the logical channel of the command it completes.
        let mut get = apdu::get_response(reply.sw.0 & 0xFF);
        get[0] = command.first().copied().unwrap_or(0) & 0x03;
        let more = once(channel, &get)?;
        reply
            .data
            .extend_from_slice(&more.data)
            .map_err(|_| ChannelError::Malformed)?;
        reply.sw = more.sw;
    }
    Ok(reply)
}

fn once<C: Channel + ?Sized>(channel: &mut C, command: &[u8]) -> Result<Reply, ChannelError> {
    let mut buffer = [0u8; MAX_RESPONSE];
    let length = channel.transmit(command, &mut buffer)?;
    let (data, sw) = buffer
        .get(..length)
        .and_then(<[u8]>::split_last_chunk::<2>)
        .ok_or(ChannelError::Malformed)?;
    Ok(Reply {
        data: heapless::Vec::from_slice(data).map_err(|_| ChannelError::Malformed)?,
        sw: Sw(u16::from_be_bytes(*sw)),
    })
}
