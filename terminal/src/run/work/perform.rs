//! What a device does with a card that lies there.

use super::*;

impl<S: Storage> Device<S> {
    /// Sends confirmations of top-ups that are still outstanding.
    pub(in crate::run) fn confirm_open(&mut self, client: &mut Client) -> Result<(), Refusal> {
        match &mut self.work {
            Work::Pos(pos) => pos.confirm_open(client).map(|_| ()),
            Work::Kiosk(kiosk) => kiosk.confirm_open(client).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Does a task with a presented card.
    pub(in crate::run) fn perform<C: Channel, P: Channel>(
        &mut self,
        task: &Task,
        card: &mut C,
        sam: Option<&mut SamUnit<P>>,
        at: CardTime,
        random: [u8; 16],
        client: &mut Client,
    ) -> Served {
        match self.try_perform(task, card, sam, at, random, client) {
            Ok(served) => served,
            Err(refusal) => self.refuse(at, refusal),
        }
    }

    /// What a refusal before any card looks like.
    pub(in crate::run) fn refuse(&self, at: CardTime, refusal: Refusal) -> Served {
        Note::default()
            .finish(self.site.device, at, Err(refusal))
            .into()
    }

    fn try_perform<C: Channel, P: Channel>(
        &mut self,
        task: &Task,
        card: &mut C,
        sam: Option<&mut SamUnit<P>>,
        at: CardTime,
        random: [u8; 16],
        client: &mut Client,
    ) -> Result<Served, Refusal> {
        if matches!(task, Task::Operator | Task::TestCard) {
            let device = self.site.device;
            return Ok(read::number(card, task, device, at).into());
        }
        match (&mut self.work, task) {
            (Work::Pos(pos), Task::TopUp(wish)) => {
                return Ok(pos.top_up(card, wish, at, client).into());
            }
            (Work::Kiosk(kiosk), Task::TopUp(wish)) => {
                return Ok(kiosk.top_up(card, wish, at, client).into());
            }
            _ => {}
        }
        let device = self.site.device;
        match (&self.work, task) {
            (Work::Inspector(terminal, inspection), Task::Inspect) => {
                let hotlist = terminal.hotlist();
                return Ok(read::inspect(card, inspection, hotlist, at));
            }
            (Work::Desk(_, desk), Task::Correct(wish)) if wish.look => {
                return Ok(read::examine(card, desk, wish, device, at));
            }
            (Work::Pos(_) | Work::Kiosk(_), Task::Balance) => {
                return Ok(read::balance(card, device, at));
            }
            _ => {}
        }
        let sam = sam.ok_or(Code::SamFault)?;
        let (site, tariffs) = (&self.site, self.tariffs.as_ref());
        let served = match (&mut self.work, task) {
            (Work::Sells(terminal, seller), Task::Sell(_)) => {
                terminal.tap(card, sam, at, seller.as_ref()).into()
            }
            (Work::Bus(terminal, bus), Task::Sell(sale)) => {
                let bus = bus.clone().for_companion(sale.companion);
                let bus = bus.through(sale.sections);
                terminal.tap(card, sam, at, &bus).into()
            }
            (Work::Desk(terminal, desk), Task::Correct(wish)) => {
                let desk = desk.visit(wish.area, wish.named.clone());
                terminal.tap(card, sam, at, &desk).into()
            }
            (Work::Pos(pos), Task::Goods(goods)) => {
                let till = Till {
                    site: site.clone(),
                    amount: goods.sale_fen,
                    receipt: goods.receipt.clone(),
                };
                pos.till().tap(card, sam, at, &till).into()
            }
            (Work::Pos(pos), Task::Pass(wish)) => {
                let sale = PassSale {
                    site: site.clone(),
                    tariffs: tariffs.ok_or(Code::TariffFault)?.clone(),
                    pass: wish.pass.clone(),
                    from: wish.from.unwrap_or(at),
                };
                pos.till().tap(card, sam, at, &sale).into()
            }
            (Work::Taxi(terminal), Task::Trip(trip)) => {
                let meter = TaxiMeter {
                    site: site.clone(),
                    tariffs: tariffs.ok_or(Code::TariffFault)?.clone(),
                    vehicle: self.plate.clone(),
                    metres: trip.metres,
                    waiting_seconds: trip.waiting_seconds,
                    started: trip.started,
                };
                terminal.tap(card, sam, at, &meter).into()
            }
            (Work::Meter(terminal, class, vehicle), Task::Stay(stay)) => {
                let meter = ParkingMeter {
                    site: site.clone(),
                    tariffs: tariffs.ok_or(Code::TariffFault)?.clone(),
                    class: class.clone(),
                    vehicle: *vehicle,
                    from: stay.from,
                };
                terminal.tap(card, sam, at, &meter).into()
            }
            (Work::Kiosk(kiosk), Task::ProofOfLife(proof)) => kiosk
                .proof_of_life(card, sam, proof.pin, at, split(random))
                .into(),
            (Work::Kiosk(kiosk), Task::LossReport(report)) => {
                let result = kiosk.report_loss(card, sam, report.pin, at, split(random));
                let receipt = result.journal.first();
                let receipt =
                    receipt.map(|seq| Row::new("受理号", "Receipt", format!("{device}-{seq}")));
                Served {
                    result,
                    rows: receipt.into_iter().collect(),
                    slip: None,
                }
            }
            (Work::Hospital(window, link), Task::Bill(order)) => {
                visit(window, link, card, sam, order, at, random)
            }
            _ => {
                let why = "this device cannot do that; look at its kind in the profile";
                return Err(Refusal::new(Code::PresentAgain, why));
            }
        };
        Ok(served)
    }

    /// The torn card did not come back: its record goes on as unknown.
    pub(in crate::run) fn give_up(&mut self) -> Result<(), Refusal> {
        match &mut self.work {
            Work::Sells(t, _) | Work::Bus(t, _) | Work::Desk(t, _) => t.give_up().map(|_| ()),
            Work::Taxi(t) | Work::Meter(t, ..) | Work::Inspector(t, _) => t.give_up().map(|_| ()),
            Work::Pos(pos) => pos.till().give_up().map(|_| ()),
            // These ask for the card again as long as it takes.
            Work::Kiosk(_) | Work::Hospital(..) => Ok(()),
        }
    }
}

fn visit<S: Storage, C: Channel, P: Channel>(
    window: &mut HospitalWindow<S>,
    link: &mut NationalLink,
    card: &mut C,
    sam: &mut SamUnit<P>,
    order: &BillOrder,
    at: CardTime,
    random: [u8; 16],
) -> Served {
    if window.is_waiting() {
        return window.resume(card, sam, order.pin, at).into();
    }
    match window.quote(card, sam, &order.bill, at, split(random), link) {
        Err(result) => (*result).into(),
        Ok(mut quoted) => {
            let settlement = window.settle(card, sam, &mut quoted, order.pin, at, link);
            Served {
                result: settlement.result,
                rows: Vec::new(),
                slip: settlement.slip,
            }
        }
    }
}

fn split(random: [u8; 16]) -> Randoms {
    let (terminal, challenge) = random.split_at(8);
    Randoms {
        terminal: terminal.try_into().unwrap_or_default(),
        challenge: challenge.try_into().unwrap_or_default(),
    }
}
