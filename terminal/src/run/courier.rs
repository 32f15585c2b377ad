//! Uploads and hotlist beside the taps: a thread does the waiting for the network, the device's own
//! thread keeps the journal. A dead network never delays a card.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use card_spec::time::CardTime;
use clearing_api::{BatchAnswer, Client, ClientError};
use ed25519_dalek::VerifyingKey;

use super::{Line, RunError, Surroundings, work::Device};
use crate::{
    clock,
    hotlist::{self, FetchError, Hotlist, HotlistStore},
    journal::Storage,
    profile::DeviceProfile,
    retry::Retry,
    upload::{SignedBatch, accept_answer, next_batch, upload},
};

enum Errand {
    Upload(SignedBatch),
    /// With the list held: the new one is made beside the taps.
    Hotlist(Box<Hotlist>, VerifyingKey),
}

enum Report {
    Upload(SignedBatch, Result<BatchAnswer, ClientError>),
    Hotlist(Box<Result<Hotlist, FetchError>>),
}

impl Report {
    /// A refusal is an answer too.
    fn was_answered(&self) -> bool {
        match self {
            Self::Upload(_, answer) => !matches!(answer, Err(ClientError::Unreachable { .. })),
            Self::Hotlist(fetched) => !matches!(
                fetched.as_ref(),
                Err(FetchError::Client(ClientError::Unreachable { .. }))
            ),
        }
    }
}

pub(super) struct Courier {
    errands: SyncSender<Errand>,
    reports: Receiver<Report>,
    is_away: bool,
    online: Option<bool>,
    hotlist_due: bool,
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
            hotlist_due: false,
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

    /// Takes what came back and sends the next errand when it is time.
    pub(super) fn tick<S: Storage>(
        &mut self,
        device: &mut Device<S>,
        around: &mut Surroundings<'_>,
    ) -> Result<(), RunError> {
        let mut go_on = false;
        match self.reports.try_recv() {
            Ok(report) => {
                self.is_away = false;
                self.online = Some(report.was_answered());
                go_on = self.take(report, device, around)?;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        let now = (around.now)()?;
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
            self.hotlist_due = device.hotlist_key.is_some();
        }
        if let Some(errand) = self.next(device, around)? {
            self.is_away = self.errands.try_send(errand).is_ok();
        }
        Ok(())
    }

    /// The hotlist once a pause, before the records: neither may starve the other.
    fn next<S: Storage>(
        &mut self,
        device: &mut Device<S>,
        around: &mut Surroundings<'_>,
    ) -> Result<Option<Errand>, RunError> {
        if std::mem::take(&mut self.hotlist_due)
            && let Some(key) = device.hotlist_key
        {
            let held = Box::new(device.hotlist_mut().clone());
            return Ok(Some(Errand::Hotlist(held, key)));
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
        around: &mut Surroundings<'_>,
    ) -> Result<bool, RunError> {
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
            Report::Upload(_, Err(error)) => Err(error.to_string()),
        };
        match taken {
            Ok(()) => {
                self.retry.succeeded();
                self.is_told = false;
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
