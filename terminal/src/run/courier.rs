//! Uploads, hotlist and parameters beside the taps: a thread does the waiting for the network, the
//! device's own thread keeps the journal. A dead network never delays a card.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use card_spec::time::CardTime;
use clearing_api::{BatchAnswer, Client, ClientError, parameters::ParametersAnswer};
use ed25519_dalek::VerifyingKey;

use super::{
    Line, RunError, Surroundings,
    downlink::{Downlink, Question},
    work::Device,
};
use crate::{
    clock,
    hotlist::{self, FetchError, Hotlist, HotlistStore},
    journal::Storage,
    profile::{DeviceProfile, Limits},
    retry::Retry,
    upload::{SignedBatch, accept_answer, next_batch, upload},
};

enum Errand {
    Upload(SignedBatch),
    /// With the list held: the new one is made beside the taps.
    Hotlist(Box<Hotlist>, VerifyingKey),
    Parameters(Question),
}

enum Report {
    Upload(SignedBatch, Result<BatchAnswer, ClientError>),
    Hotlist(Box<Result<Hotlist, FetchError>>),
    Parameters(Question, Result<ParametersAnswer, ClientError>),
}

impl Report {
    /// A refusal is an answer too.
    fn was_answered(&self) -> bool {
        match self {
            Self::Upload(_, answer) => !answer.as_ref().is_err_and(ClientError::is_no_answer),
            Self::Parameters(_, answer) => !answer.as_ref().is_err_and(ClientError::is_no_answer),
            Self::Hotlist(fetched) => !matches!(
                fetched.as_ref(),
                Err(FetchError::Client(error)) if error.is_no_answer()
            ),
        }
    }

    const fn brings(&self) -> Option<Duty> {
        match self {
            Self::Upload(..) => None,
            Self::Hotlist(_) => Some(Duty::Hotlist),
            Self::Parameters(..) => Some(Duty::Parameters),
        }
    }
}

/// What is asked for once a pause, before the records.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Duty {
    Hotlist,
    Parameters,
}

impl Duty {
    const ALL: [Self; 2] = [Self::Hotlist, Self::Parameters];
}

pub(super) struct Courier {
    errands: SyncSender<Errand>,
    reports: Receiver<Report>,
    is_away: bool,
    online: Option<bool>,
    due: Vec<Duty>,
    /// What was last told of each duty that was answered and not of use.
    told: [Option<String>; 2],
    retry: Retry,
    is_told: bool,
    batch_records: usize,
    last: Option<CardTime>,
}

impl Courier {
    pub(super) fn new(
        client: Client,
        profile: &DeviceProfile,
        store: Option<HotlistStore>,
    ) -> Self {
        let (errands, inbox) = sync_channel::<Errand>(1);
        let (outbox, reports) = sync_channel(1);
        let device = std::thread::current();
        std::thread::spawn(move || {
            for errand in inbox {
                let report = match errand {
                    Errand::Upload(batch) => {
                        let answer = client.upload(&batch.body, &batch.signature);
                        Report::Upload(batch, answer)
                    }
                    Errand::Hotlist(held, key) => {
                        let fetched =
                            hotlist::fetch(&mut client.clone(), &held, &key, store.as_ref());
                        Report::Hotlist(Box::new(fetched))
                    }
                    Errand::Parameters(question) => {
                        let answer = client.parameters(&question.body, &question.signature);
                        Report::Parameters(question, answer)
                    }
                };
                if outbox.send(report).is_err() {
                    break;
                }
                device.unpark();
            }
        });
        Self {
            errands,
            reports,
            is_away: false,
            online: None,
            due: Vec::new(),
            told: [None, None],
            retry: Retry::new(
                u64::from_be_bytes(profile.device.to_bytes()),
                profile.limits.upload_seconds,
            ),
            is_told: false,
            batch_records: profile.limits.batch_records,
            last: None,
        }
    }

    /// Whether the clearing house answered the last time it was asked.
    pub(super) const fn is_online(&self) -> Option<bool> {
        self.online
    }

    /// Other limits are in effect.
    pub(super) const fn adopt(&mut self, limits: &Limits) {
        self.retry.adopt(limits.upload_seconds);
        self.batch_records = limits.batch_records;
    }

    /// Takes what came back and sends the next errand when it is time.
    pub(super) fn tick<S: Storage>(
        &mut self,
        now: CardTime,
        device: &mut Device<S>,
        downlink: &mut Downlink,
        around: &mut Surroundings<'_>,
    ) -> Result<(), RunError> {
        let mut go_on = false;
        match self.reports.try_recv() {
            Ok(report) => {
                self.is_away = false;
                self.online = Some(report.was_answered());
                go_on = self.take(report, device, downlink, around)?;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        // A clock that went back must not stop uploads.
        let pause = i64::from(self.retry.pause_seconds());
        let waited = self
            .last
            .is_none_or(|last| !(0..pause).contains(&clock::elapsed(last, now)));
        if self.is_away || !(waited || go_on) {
            return Ok(());
        }
        if waited {
            self.last = Some(now);
            self.due = Duty::ALL.to_vec();
        }
        if let Some(errand) = self.next(device, downlink, around)? {
            self.is_away = self.errands.try_send(errand).is_ok();
        }
        Ok(())
    }

    /// Each duty once a pause, before the records: none may starve the others.
    fn next<S: Storage>(
        &mut self,
        device: &mut Device<S>,
        downlink: &mut Downlink,
        around: &mut Surroundings<'_>,
    ) -> Result<Option<Errand>, RunError> {
        while let Some(duty) = self.due.pop() {
            let errand = match duty {
                Duty::Hotlist => device.hotlist_key.map(|key| {
                    let held = Box::new(device.hotlist_mut().clone());
                    Errand::Hotlist(held, key)
                }),
                Duty::Parameters => {
                    let number = device.journal().device();
                    let question = downlink.question(number, &device.key, around)?;
                    question.map(Errand::Parameters)
                }
            };
            if errand.is_some() {
                return Ok(errand);
            }
        }
        let key = device.key.clone();
        let journal = device.journal_mut();
        match next_batch(journal, &key, self.batch_records) {
            Ok(batch) => Ok(batch.map(Errand::Upload)),
            Err(error) => {
                around.print(&Line::Fault {
                    message: error.to_string(),
                })?;
                Ok(None)
            }
        }
    }

    /// Whether more can go at once.
    fn take<S: Storage>(
        &mut self,
        report: Report,
        device: &mut Device<S>,
        downlink: &mut Downlink,
        around: &mut Surroundings<'_>,
    ) -> Result<bool, RunError> {
        let (duty, was_answered) = (report.brings(), report.was_answered());
        let taken = match report {
            Report::Upload(batch, Ok(answer)) => {
                let records = answer.items.len();
                let accepted = accept_answer(device.journal_mut(), &batch, &answer);
                if accepted.is_ok() {
                    let waiting = device.journal().waiting().len();
                    around.print(&Line::Upload { records, waiting })?;
                }
                accepted.map_err(|error| error.to_string())
            }
            Report::Hotlist(fetched) => match *fetched {
                Ok(list) => {
                    *device.hotlist_mut() = list;
                    Ok(())
                }
                Err(error) => Err(error.to_string()),
            },
            Report::Parameters(question, Ok(answer)) => downlink.take(&question, answer, around)?,
            Report::Upload(_, Err(error)) | Report::Parameters(_, Err(error)) => {
                Err(error.to_string())
            }
        };
        match taken {
            Ok(()) => {
                self.retry.succeeded();
                self.is_told = false;
                if let Some(duty) = duty {
                    self.told[duty as usize] = None;
                }
                Ok(true)
            }
            // The clearing house is there: what it brought is of no use, the records go up all the
            // same. Told when it changes.
            Err(message) if was_answered && let Some(duty) = duty => {
                let told = &mut self.told[duty as usize];
                if told.as_ref() != Some(&message) {
                    *told = Some(message.clone());
                    around.print(&Line::Fault { message })?;
                }
                Ok(true)
            }
            // What failed is tried again after the pause, not at once.
            Err(message) => {
                self.retry.failed();
                // An open circuit is told once: a device out of reach for days fills no log.
                if !std::mem::replace(&mut self.is_told, self.retry.is_open()) {
                    around.print(&Line::Fault { message })?;
                }
                Ok(false)
            }
        }
    }

    /// On the way out: a last try for everything that waits. What a courier still away carries goes
    /// up twice, which the clearing house answers as once.
    pub(super) fn finish<S: Storage>(
        self,
        device: &mut Device<S>,
        client: &mut Client,
        around: &mut Surroundings<'_>,
    ) -> Result<(), RunError> {
        let (key, mut records) = (device.key.clone(), 0);
        let mut fault = None;
        let journal = device.journal_mut();
        loop {
            match upload(journal, &key, self.batch_records, client) {
                Ok(Some(answer)) => records += answer.items.len(),
                Ok(None) => break,
                Err(error) => {
                    fault = Some(error.to_string());
                    break;
                }
            }
        }
        let confirmed = device.confirm_open(client);
        let fault = fault.or(confirmed.err().map(|refusal| refusal.detail));
        if records > 0 {
            let waiting = device.journal().waiting().len();
            around.print(&Line::Upload { records, waiting })?;
        }
        fault.map_or(Ok(()), |message| around.print(&Line::Fault { message }))
    }
}
