//! The personalisation engine: a blank and a plan in, a finished and compared card out.
//!
//! Two SCP03 sessions, both at level 03 (C-DECRYPTION and C-MAC). The first, under the card
//! maker's transport keys, does one thing: PUT KEY of the issuer's own set. The second carries
//! everything else, because the HSM wraps no key under transport keys. Then every file is read
//! back over plain commands and compared byte for byte, and only a card that compared equal is set
//! SECURED. Until then its social-security records are readable without authentication (profile
//! V2), whatever the plan says: that is what makes them comparable.
//!
//! A card torn at any point is presented again: the chip serial decides whether it is the same
//! chip ([`Expect::Torn`]), and the work is done again from the first step. STORE DATA takes effect
//! with its last block only, so doing it again is harmless.

mod blocks;
mod identify;
mod readback;
mod session;

use crate::plan::{ApplicationPlan, CardPlan, SamPlan};
use card_spec::{
    Channel, ChannelError, Sw, aid, health,
    id::Pan,
    keys::{KeyHeader, KeyType},
    perso::{self, CardState, Dgi, KVN_ISSUER, KVN_TRANSPORT},
    ssse::Profile,
};
use hsm_client::{AuthenticateRequest, Hsm, HsmError, KeyOrder};
use session::Session;

/// Serial number of a chip, ten packed decimal bytes: the diversification data of INITIALIZE
/// UPDATE. It never changes, whatever is personalised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChipSerial(pub [u8; 10]);

impl core::fmt::Display for ChipSerial {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl serde::Serialize for ChipSerial {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl core::fmt::Debug for ChipSerial {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ChipSerial({self})")
    }
}

/// What the operator says is in the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// A blank from stock.
    Blank,
    /// The chip on which this work was begun and torn.
    Torn(ChipSerial),
}

/// What the engine is doing, for progress displays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading who is in the reader; nothing is written yet.
    Identify,
    /// Replacing the transport keys.
    IssuerKeys,
    /// Writing an application.
    Write(&'static str),
    /// Reading an application back.
    Compare(&'static str),
    /// Setting the access profile and SECURED.
    Secure,
    /// Looking whether the finished card is what it should be.
    Verify,
}

impl core::fmt::Display for Step {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Identify => f.write_str("identifying the card 识别"),
            Self::IssuerKeys => f.write_str("replacing the transport keys 换发密钥"),
            Self::Write(name) => write!(f, "writing 写入 {name}"),
            Self::Compare(name) => write!(f, "reading back 回读 {name}"),
            Self::Secure => f.write_str("securing 锁定"),
            Self::Verify => f.write_str("final check 终检"),
        }
    }
}

/// Why a card was not finished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonaliseError {
    /// The exchange failed.
    #[error("while {step}: {source}")]
    Channel {
        /// When.
        step: Step,
        /// What the channel said.
        source: ChannelError,
    },
    /// The card refused a command.
    #[error("while {step}: the card refused {what} with {sw} ({}): count this blank as spoiled", sw.meaning())]
    Refused {
        /// When.
        step: Step,
        /// Which command.
        what: &'static str,
        /// Status word.
        sw: Sw,
    },
    /// The card answered something that is not in any specification.
    #[error(
        "while {step}: the card's answer to {what} is malformed: this is not one of our blanks"
    )]
    Malformed {
        /// When.
        step: Step,
        /// Which command.
        what: &'static str,
    },
    /// The HSM refused.
    #[error("while {step}: {source}")]
    Hsm {
        /// When.
        step: Step,
        /// What it said.
        source: HsmError,
    },
    /// A file does not hold what was written.
    #[error("{application}: {what} differs from the plan at byte {at}: count this card as spoiled")]
    Differs {
        /// Application.
        application: &'static str,
        /// File or record.
        what: String,
        /// First byte that differs.
        at: usize,
    },
    /// The plan does not fit the wire.
    #[error("{application}: the plan is too long for one STORE DATA sequence: {bytes} bytes")]
    TooLong {
        /// Application.
        application: &'static str,
        /// Length.
        bytes: usize,
    },
    /// A sample card.
    #[error("the card in the reader is a sample card ({pan}): put a blank in")]
    Sample {
        /// Its number.
        pan: Pan,
    },
    /// The chip has the issuer's keys already.
    #[error(
        "the chip {chip} was personalised before: put a blank in, or present it as the torn card it is"
    )]
    NotBlank {
        /// Its serial.
        chip: ChipSerial,
    },
    /// The card holds somebody else's data.
    #[error("the card in the reader is {found}, not {wanted}: take it out")]
    OtherHolder {
        /// Number on the card.
        found: String,
        /// Number of the plan.
        wanted: String,
    },
    /// The start could not be written down.
    #[error("the work was not begun: {why}")]
    NotRecorded {
        /// What the office's books say.
        why: String,
    },
    /// Another chip than the torn one.
    #[error(
        "the chip in the reader is {found}, the torn one was {wanted}: present the same card, or count it as spoiled"
    )]
    OtherChip {
        /// In the reader.
        found: ChipSerial,
        /// Expected.
        wanted: ChipSerial,
    },
}

impl PersonaliseError {
    /// Whether presenting the same chip again, with [`Expect::Torn`], can finish the work. When
    /// not, the blank is spoiled or was never touched ([`Self::untouched`]).
    pub const fn resumable(&self) -> bool {
        matches!(
            self,
            Self::Channel {
                source: ChannelError::CardRemoved
                    | ChannelError::ReaderLost
                    | ChannelError::Busy
                    | ChannelError::Transport(_),
                ..
            } | Self::Hsm {
                source: HsmError::Unreachable { .. } | HsmError::UnknownSession,
                ..
            }
        )
    }

    /// Whether nothing was written to the card: it goes back to where it came from.
    pub const fn untouched(&self) -> bool {
        matches!(
            self,
            Self::Sample { .. }
                | Self::NotBlank { .. }
                | Self::OtherHolder { .. }
                | Self::OtherChip { .. }
                | Self::NotRecorded { .. }
                | Self::Channel {
                    step: Step::Identify,
                    ..
                }
                | Self::Refused {
                    step: Step::Identify,
                    ..
                }
                | Self::Malformed {
                    step: Step::Identify,
                    ..
                }
                | Self::Hsm {
                    step: Step::Identify,
                    ..
                }
        )
    }
}

/// Six digits for the sealed PIN letter 密码信封. Not printable by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter(String);

impl Letter {
    /// The digits, for the letter's printer (and for a simulated cardholder).
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Debug for Letter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Letter(******)")
    }
}

/// A finished card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The chip it is on.
    pub chip: ChipSerial,
    /// First PIN; `None` for a SAM.
    pub letter: Option<Letter>,
    /// Files and records compared.
    pub compared: usize,
}

/// One personalisation station: an HSM, a source of host challenges, and who watches.
pub struct Station<'a> {
    hsm: &'a dyn Hsm,
    challenge: &'a mut dyn FnMut() -> [u8; 8],
    watcher: &'a mut dyn Watcher,
}

/// Who watches a station at work.
pub trait Watcher {
    /// The chip is known and nothing was written to it yet: what must be written down first, or the
    /// work does not begin. The answer is shown to the operator.
    fn chip(&mut self, chip: ChipSerial) -> Result<(), String>;
    /// A step begins.
    fn step(&mut self, step: Step);
}

/// Nobody watches.
impl Watcher for () {
    fn chip(&mut self, _: ChipSerial) -> Result<(), String> {
        Ok(())
    }
    fn step(&mut self, _: Step) {}
}

/// What is written, whatever it is written on.
struct Job<'a> {
    applications: &'a [ApplicationPlan],
    profile: Option<Profile>,
    keys: &'a dyn Fn(&ApplicationPlan) -> KeyOrder,
    key_dgi: Dgi,
    identity: identify::Identity,
}

impl<'a> Station<'a> {
    /// A station. `challenge` draws host challenges: eight bytes, never the same twice.
    pub fn new(
        hsm: &'a dyn Hsm,
        challenge: &'a mut dyn FnMut() -> [u8; 8],
        watcher: &'a mut dyn Watcher,
    ) -> Self {
        Self {
            hsm,
            challenge,
            watcher,
        }
    }

    /// Personalises a user card.
    pub fn card(
        &mut self,
        channel: &mut dyn Channel,
        plan: &CardPlan,
        expect: Expect,
    ) -> Result<Finished, PersonaliseError> {
        if plan.pan.is_sample() {
            return Err(PersonaliseError::Sample { pan: plan.pan });
        }
        let keys = |application: &ApplicationPlan| KeyOrder::Card {
            card: plan.card_ref(),
            headers: application.keys.clone(),
        };
        let job = Job {
            applications: &plan.applications,
            profile: Some(plan.profile),
            keys: &keys,
            key_dgi: Dgi::KEY,
            identity: identify::Identity::Card(plan.pan),
        };
        self.run(channel, &job, expect)
    }

    /// Personalises a SAM.
    pub fn sam(
        &mut self,
        channel: &mut dyn Channel,
        plan: &SamPlan,
        expect: Expect,
    ) -> Result<Finished, PersonaliseError> {
        let keys = |application: &ApplicationPlan| KeyOrder::Sam {
            sam: plan.sam,
            iin: plan.iin,
            regions: plan.regions.clone(),
            headers: application.keys.clone(),
        };
        let job = Job {
            applications: core::slice::from_ref(&plan.application),
            profile: None,
            keys: &keys,
            key_dgi: Dgi::SAM_KEY,
            identity: identify::Identity::Sam(plan.sam),
        };
        self.run(channel, &job, expect)
    }

    fn begin(&mut self, step: Step) -> Step {
        self.watcher.step(step);
        step
    }

    fn run(
        &mut self,
        channel: &mut dyn Channel,
        job: &Job<'_>,
        expect: Expect,
    ) -> Result<Finished, PersonaliseError> {
        let step = self.begin(Step::Identify);
        identify::holder(channel, job.identity)?;
        let chip = identify::chip(channel, step)?;
        if let Expect::Torn(wanted) = expect {
            same_chip(chip, wanted)?;
        }
        let versions = identify::key_versions(channel, step)?;
        let transport = versions.contains(&KVN_TRANSPORT);
        if !transport && expect == Expect::Blank {
            return Err(PersonaliseError::NotBlank { chip });
        }
        // Written down before the first write: only so can a torn card be told from another.
        self.watcher
            .chip(chip)
            .map_err(|why| PersonaliseError::NotRecorded { why })?;
        if transport {
            let step = self.begin(Step::IssuerKeys);
            let mut session = self.open(channel, KVN_TRANSPORT, chip, step)?;
            let put_key = session.hsm(|hsm, id| hsm.put_issuer_keys(id))?;
            session.send(&[put_key], "PUT KEY")?;
            session.close();
        }
        let letter = self.write(channel, job, chip)?;
        let mut compared = 0;
        for application in job.applications {
            let step = self.begin(Step::Compare(application.name));
            let prove = |challenge| self.prove((job.keys)(application), challenge);
            compared += readback::compare(channel, application, &prove, step)?;
        }
        self.secure(channel, job, chip)?;
        self.verify(channel, job)?;
        Ok(Finished {
            chip,
            letter,
            compared,
        })
    }

    /// EXTERNAL AUTHENTICATE by which a reader may read the health data.
    fn prove(&self, order: KeyOrder, challenge: [u8; 8]) -> Result<Vec<u8>, HsmError> {
        let KeyOrder::Card { card, headers } = order else {
            return Err(HsmError::Malformed {
                why: "a SAM has no reading key to prove".to_owned(),
            });
        };
        let reading = |h: &KeyHeader| (h.key_type, h.index) == (KeyType::Rk, health::kid::READ);
        let header = headers.into_iter().find(reading);
        let header = header.ok_or_else(|| HsmError::UnknownKey {
            key: "RK of the health data in this plan".to_owned(),
        })?;
        self.hsm.authenticate_to_card(&AuthenticateRequest {
            card,
            header,
            challenge,
        })
    }

    /// A session with the chip that was identified, and no other.
    fn open<'s>(
        &mut self,
        channel: &'s mut dyn Channel,
        kvn: u8,
        chip: ChipSerial,
        step: Step,
    ) -> Result<Session<'s>, PersonaliseError>
    where
        'a: 's,
    {
        let session = Session::open(channel, self.hsm, kvn, (self.challenge)(), step)?;
        same_chip(session.chip(), chip).inspect_err(|_| session.abandon())?;
        Ok(session)
    }

    /// Files, keys and PINs of every application, one committed STORE DATA sequence each.
    fn write(
        &mut self,
        channel: &mut dyn Channel,
        job: &Job<'_>,
        chip: ChipSerial,
    ) -> Result<Option<Letter>, PersonaliseError> {
        let Some(first) = job.applications.first() else {
            return Ok(None);
        };
        let step = self.begin(Step::Write(first.name));
        let mut session = self.open(channel, KVN_ISSUER, chip, step)?;
        let state = session.card_state()?;
        if state == CardState::OpReady {
            let command = perso::set_card_status(CardState::Initialized).to_vec();
            session.send(&[command], "SET STATUS")?;
        }
        let letter = if job.applications.iter().any(|a| a.pin) {
            Some(session.hsm(|hsm, id| hsm.first_pin(id))?)
        } else {
            None
        };
        for application in job.applications {
            session.at(self.begin(Step::Write(application.name)));
            let keys = session.hsm(|hsm, id| hsm.wrap_keys(id, &(job.keys)(application)))?;
            let pin = letter.as_ref().filter(|_| application.pin);
            let commands = blocks::application(application, job.key_dgi, &keys, pin, state)
                .inspect_err(|_| session.abandon())?;
            session.send(&commands, "STORE DATA")?;
        }
        session.close();
        Ok(letter.map(|l| Letter(l.letter)))
    }

    fn secure(
        &mut self,
        channel: &mut dyn Channel,
        job: &Job<'_>,
        chip: ChipSerial,
    ) -> Result<(), PersonaliseError> {
        let step = self.begin(Step::Secure);
        let mut session = self.open(channel, KVN_ISSUER, chip, step)?;
        let mut commands = Vec::new();
        if let Some(profile) = job.profile {
            commands.extend(blocks::profile(aid::SSSE, profile));
        }
        commands.push(perso::set_card_status(CardState::Secured).to_vec());
        session.send(&commands, "SET STATUS")?;
        session.close();
        Ok(())
    }

    /// The transport set is gone, and a V3 card shows nothing to whoever proved nothing.
    fn verify(&mut self, channel: &mut dyn Channel, job: &Job<'_>) -> Result<(), PersonaliseError> {
        let step = self.begin(Step::Verify);
        let versions = identify::key_versions(channel, step)?;
        if versions.contains(&KVN_TRANSPORT) || !versions.contains(&KVN_ISSUER) {
            return Err(PersonaliseError::Differs {
                application: "issuer domain 发卡方域",
                what: "key information".to_owned(),
                at: 0,
            });
        }
        if job.profile == Some(Profile::V3) {
            readback::refuses_holder_data(channel, step)?;
        }
        Ok(())
    }
}

fn same_chip(found: ChipSerial, wanted: ChipSerial) -> Result<(), PersonaliseError> {
    if found == wanted {
        Ok(())
    } else {
        Err(PersonaliseError::OtherChip { found, wanted })
    }
}
