//! Serving the card that lies there: one try, or two where the SAM failed.

use super::*;

/// One try to do a task.
struct Attempt {
    served: Served,
    cost: Option<Cost>,
    sam_failed: bool,
}

impl<S: Storage, R: Slot, M: Slot> Running<'_, '_, S, R, M> {
    /// Does a task; says how the SAMs are where that task changed it.
    pub(super) fn perform(&mut self, task: &Task) -> Result<(Served, Option<Event>), RunError> {
        let Attempt {
            mut served,
            mut cost,
            sam_failed,
        } = self.attempt(task)?;
        // The card still lies there: another SAM serves it, or ends the debit that this one left. A
        // bill is never begun twice.
        let again = sam_failed
            && served.result.verdict != Verdict::Open
            && !matches!(task, Task::Bill(_))
            && self.sams.wait(SAM_WAIT).is_ok();
        self.tell_sam_faults()?;
        if again {
            let mut second = self.attempt(task)?;
            // It left in the meantime: what was said of the first try stands.
            if second.served.result.code != Code::PresentAgain {
                let journal = &mut second.served.result.journal;
                journal.splice(0..0, served.result.journal);
                (served, cost) = (second.served, second.cost);
            }
        }
        self.print(served.clone(), cost)?;
        let sam = self.sams.news().map(|ready| Event::Sam { ready });
        Ok((served, sam))
    }

    fn attempt(&mut self, task: &Task) -> Result<Attempt, RunError> {
        let at = self.downlink.now(self.around)?;
        let random = (self.around.random)()?;
        let wanted = self.device.awaited_sam();
        let reader = self.field.take().and_then(|at| self.readers.get_mut(at));
        let connected = match reader.map(Slot::connect) {
            Some(Ok(card)) => Ok(card),
            Some(Err(error)) => Err(slot::refusal(&error)),
            None => Err(Code::PresentAgain.into()),
        };
        let meter = &self.around.meter;
        let mut card = match connected {
            Ok(card) => meter.card(card),
            Err(mut refusal) => {
                // While a card is awaited, one that leaves again changes nothing.
                if wanted.is_some() && refusal.code == Code::PresentAgain {
                    refusal.code = Code::SameCardAgain;
                }
                return Ok(Attempt {
                    served: self.device.refuse(at, refusal),
                    cost: None,
                    sam_failed: false,
                });
            }
        };
        let (device, client) = (&mut *self.device, &mut self.client);
        // What the journal and the SAM did since the last card is no part of this one.
        meter.take(Duration::ZERO);
        let began = Instant::now();
        let (served, sam_failed) = self.sams.lend(wanted, |sam| {
            device.perform(task, &mut card, sam, at, random, client)
        });
        Ok(Attempt {
            served,
            cost: Some(meter.take(began.elapsed())),
            sam_failed,
        })
    }

    pub(super) fn print(&mut self, served: Served, cost: Option<Cost>) -> Result<(), RunError> {
        let result = &served.result;
        self.around.print(&Line::Tap { result, cost })?;
        if let Some(slip) = &served.slip {
            self.around.print(&Line::Slip(slip))?;
        }
        self.last = Some(served.result);
        Ok(())
    }
}
