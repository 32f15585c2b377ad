//! The sounds 提示音: short melodies, one for each card class, made here sample by sample.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
    thread,
};

use terminal::machine::Tone;

/// Samples a second.
const RATE: u32 = 22_050;

/// Every tone.
pub const ALL: [Tone; 10] = [
    Tone::Normal,
    Tone::Transfer,
    Tone::Student,
    Tone::Elderly,
    Tone::Disabled,
    Tone::Military,
    Tone::Pass,
    Tone::Refused,
    Tone::Again,
    Tone::Key,
];

/// Its name in file names.
pub const fn name(tone: Tone) -> &'static str {
    match tone {
        Tone::Normal => "normal",
        Tone::Transfer => "transfer",
        Tone::Student => "student",
        Tone::Elderly => "elderly",
        Tone::Disabled => "disabled",
        Tone::Military => "military",
        Tone::Pass => "pass",
        Tone::Refused => "refused",
        Tone::Again => "again",
        Tone::Key => "key",
    }
}

/// Notes: hertz (0 is silence) and milliseconds. Going up is good, a low buzz is not; the number and
/// the interval of the notes tell the class, so that a driver knows them without looking.
pub const fn notes(tone: Tone) -> &'static [(u32, u32)] {
    match tone {
        Tone::Normal => &[(1_568, 120)],
        Tone::Transfer => &[(1_568, 80), (2_093, 140)],
        Tone::Student => &[(1_319, 80), (0, 40), (1_319, 80)],
        Tone::Elderly => &[(1_047, 110), (0, 40), (1_047, 110), (0, 40), (1_047, 110)],
        Tone::Disabled => &[(1_047, 100), (1_319, 100), (1_568, 160)],
        Tone::Military => &[(1_568, 70), (0, 30), (1_568, 70), (2_093, 180)],
        Tone::Pass => &[(2_093, 70), (0, 30), (2_093, 110)],
        Tone::Refused => &[(220, 350), (0, 60), (220, 350)],
        Tone::Again => &[(880, 120), (0, 60), (660, 180)],
        Tone::Key => &[(2_637, 25)],
    }
}

/// The tone as mono samples of 16 bits.
pub fn samples(tone: Tone) -> Vec<i16> {
    let mut samples = Vec::new();
    for (hertz, milliseconds) in notes(tone) {
        let length = RATE * milliseconds / 1_000;
        // Two milliseconds up and down: no clicks.
        let ramp = (RATE / 500) as f32;
        for n in 0..length {
            let edge = (n.min(length - n) as f32 / ramp).min(1.0);
            let phase = n as f32 * *hertz as f32 / RATE as f32 * std::f32::consts::TAU;
            samples.push((phase.sin() * edge * 12_000.0) as i16);
        }
    }
    samples
}

/// Writes a WAV file: PCM, mono, 16 bits.
pub fn write_wav(tone: Tone, output: &mut impl Write) -> io::Result<()> {
    let samples = samples(tone);
    let bytes = samples.len() as u32 * 2;
    output.write_all(b"RIFF")?;
    output.write_all(&(36 + bytes).to_le_bytes())?;
    output.write_all(b"WAVEfmt ")?;
    output.write_all(&16_u32.to_le_bytes())?;
    output.write_all(&1_u16.to_le_bytes())?;
    output.write_all(&1_u16.to_le_bytes())?;
    output.write_all(&RATE.to_le_bytes())?;
    output.write_all(&(RATE * 2).to_le_bytes())?;
    output.write_all(&2_u16.to_le_bytes())?;
    output.write_all(&16_u16.to_le_bytes())?;
    output.write_all(b"data")?;
    output.write_all(&bytes.to_le_bytes())?;
    samples
        .iter()
        .try_for_each(|sample| output.write_all(&sample.to_le_bytes()))
}

/// Plays tones by ALSA's `aplay`; a computer without it stays silent.
#[derive(Debug, Default)]
pub struct Speaker {
    is_silent: bool,
}

impl Speaker {
    /// Plays a tone beside the caller's work.
    pub fn play(&mut self, tone: Tone) {
        if self.is_silent {
            return;
        }
        let player = Command::new("aplay")
            .args(["-q", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match player {
            Ok(mut player) => {
                thread::spawn(move || {
                    if let Some(mut input) = player.stdin.take() {
                        // A player without a sound card ends at once.
                        let _ended = write_wav(tone, &mut input);
                    }
                    let _code = player.wait();
                });
            }
            Err(error) => {
                self.is_silent = true;
                eprintln!("no sound: aplay: {error}; install the package alsa-utils");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tones_are_alike_and_none_is_long() {
        for (n, tone) in ALL.into_iter().enumerate() {
            assert!(
                ALL[..n].iter().all(|other| notes(*other) != notes(tone)),
                "{tone:?}"
            );
            let milliseconds: u32 = notes(tone).iter().map(|(_, ms)| ms).sum();
            assert!(
                (20..=800).contains(&milliseconds),
                "{tone:?} takes {milliseconds} ms"
            );
            assert!(
                samples(tone).iter().any(|s| s.unsigned_abs() > 8_000),
                "{tone:?} is silent"
            );
        }
    }

    #[test]
    fn a_wav_says_how_long_it_is() {
        let mut bytes = Vec::new();
        write_wav(Tone::Normal, &mut bytes).unwrap();
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(
            (&bytes[..4], &bytes[8..16]),
            (&b"RIFF"[..], &b"WAVEfmt "[..])
        );
        assert_eq!((number(4), number(40)), (bytes.len() - 8, bytes.len() - 44));
        assert_eq!(number(40) / 2, samples(Tone::Normal).len());
    }
}
