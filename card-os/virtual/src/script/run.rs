//! A script at a card.

use super::{
    Fault, Powered, Ran, Script, ScriptError, Side,
    parse::{Line, Statement},
    value::Values,
};
use crate::{
    host::{HostError, Scp03},
    sample,
};
use card_spec::{
    Reply, SuiteId, Sw,
    channel::MAX_RESPONSE,
    perso::{KVN_ISSUER, KVN_TRANSPORT},
    scp03::StaticKeys,
};

impl Script {
    /// Runs the script on a card that is as [`Script::card`] makes it, whatever carries the bytes,
    /// and stops at the first answer that is not the script's.
    pub fn run(
        &self,
        suite: SuiteId,
        card: &mut dyn Powered,
        sam: Option<&mut dyn Powered>,
    ) -> Result<Ran, ScriptError> {
        let at = |line: usize| {
            move |fault: Fault| ScriptError {
                file: self.file.clone(),
                line,
                suite,
                fault,
            }
        };
        let mut runner = Runner {
            values: Values::new(suite).map_err(|error| at(0)(error.into()))?,
            card,
            sam,
            side: Side::Card,
            session: None,
            sent: Vec::new(),
            answer: Vec::new(),
            commands: 0,
        };
        for line in self
            .lines
            .iter()
            .filter(|line| line.suites.contains(&suite))
        {
            runner.step(line).map_err(at(line.number))?;
        }
        Ok(Ran {
            commands: runner.commands,
        })
    }
}

struct Runner<'c, 's> {
    values: Values,
    card: &'c mut dyn Powered,
    sam: Option<&'s mut dyn Powered>,
    side: Side,
    session: Option<Scp03>,
    /// The last command, and its answer without the secure channel's protection.
    sent: Vec<u8>,
    answer: Vec<u8>,
    commands: usize,
}

impl Runner<'_, '_> {
    fn step(&mut self, line: &Line) -> Result<(), Fault> {
        match &line.statement {
            Statement::Send { command, wrapped } => {
                let command = self.values.all(command)?;
                self.answer = match wrapped {
                    false => self.exchange(&command)?,
                    true => self.wrapped(&command)?,
                };
                self.sent = command;
                self.commands += 1;
            }
            Statement::Expect(pattern) => {
                if let Err(expected) = pattern.matches(&self.answer, &mut self.values)? {
                    return Err(Fault::Mismatch {
                        side: self.side,
                        sent: self.sent.clone(),
                        expected,
                        got: self.answer.clone(),
                    });
                }
            }
            Statement::Let(name, items) => {
                let value = self.values.all(items)?;
                self.values.set(name, value);
            }
            Statement::Check(left, right) => {
                let (left, right) = (self.values.all(left)?, self.values.all(right)?);
                if left != right {
                    return Err(Fault::Check { left, right });
                }
            }
            Statement::Ask(side) => self.side = *side,
            Statement::Reset => {
                self.session = None;
                let side = self.side;
                self.asked()
                    .reset()
                    .map_err(|error| Fault::Channel { side, error })?;
            }
            Statement::Contactless(on) => {
                let side = self.side;
                self.asked()
                    .contactless(*on)
                    .map_err(|error| Fault::Channel { side, error })?;
            }
            Statement::OpenChannel { level, kvn } => {
                let keys = static_keys(*kvn)?;
                let opened = Scp03::open(self.asked(), &keys, *kvn, *level, *b"OneCard!");
                self.session = Some(opened.map_err(Fault::Session)?);
            }
        }
        Ok(())
    }

    /// The parser lets only scripts with a SAM ask one.
    fn asked(&mut self) -> &mut dyn Powered {
        match (self.side, &mut self.sam) {
            (Side::Sam, Some(sam)) => &mut **sam,
            _ => self.card,
        }
    }

    fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>, Fault> {
        let side = self.side;
        let mut buffer = [0; MAX_RESPONSE];
        let length = self
            .asked()
            .transmit(command, &mut buffer)
            .map_err(|error| Fault::Channel { side, error })?;
        Ok(buffer.get(..length).unwrap_or_default().to_vec())
    }

    /// Answers with a warning or 9000 are protected, errors are not.
    fn wrapped(&mut self, command: &[u8]) -> Result<Vec<u8>, Fault> {
        const CLOSED: Fault = Fault::Session(HostError::Format {
            step: "`>>` without `scp03` before it",
        });
        let session = self.session.as_mut().ok_or(CLOSED)?;
        let protected = session.wrap(command).map_err(Fault::Session)?;
        let answer = self.exchange(&protected)?;
        let Some((data, sw)) = answer.split_last_chunk::<2>() else {
            return Ok(answer);
        };
        let reply = Reply {
            data: heapless::Vec::from_slice(data).unwrap_or_default(),
            sw: Sw(u16::from_be_bytes(*sw)),
        };
        if !matches!(reply.sw.0 >> 8, 0x90 | 0x62 | 0x63) {
            return Ok(answer);
        }
        let session = self.session.as_mut().ok_or(CLOSED)?;
        let mut plain = session.unwrap(&reply).map_err(Fault::Session)?;
        plain.extend(sw);
        Ok(plain)
    }
}

fn static_keys(kvn: u8) -> Result<StaticKeys, Fault> {
    match kvn {
        KVN_TRANSPORT => Ok(sample::transport_keys()),
        KVN_ISSUER => Ok(sample::issuer_keys()),
        _ => Err(Fault::Session(HostError::Format {
            step: "key version: 01 (transport) or 30 (issuer)",
        })),
    }
}
