//! Reading a card without writing: an operator's number, a card in test mode, balance and trips, an
//! inspection, a desk's look at a journey.

use card_spec::{
    Channel,
    id::DeviceNo,
    purse::files::{CardKind, Journey, JourneyType, Mode},
    time::CardTime,
};
use fare::{CityCode, DeskAdvice, Passage};

use crate::{
    card::purse::{JOURNEYS_MAX, PurseSession},
    clock,
    code::Code,
    device::{CardView, FareDesk, Inspection},
    hotlist::Hotlist,
    machine::{Correction, Row, Served, Task},
    result::{Note, Refusal, TapResult},
};

/// The card's number; in test mode its kind and balance too.
pub(super) fn number<C: Channel + ?Sized>(
    card: &mut C,
    task: &Task,
    device: DeviceNo,
    at: CardTime,
) -> TapResult {
    let mut note = Note::default();
    let outcome = (|| {
        let mut purse = PurseSession::select(card)?;
        note.pan = Some(purse.public().pan);
        if matches!(task, Task::Operator) {
            return Ok(Code::Identified);
        }
        note.card_kind = Some(purse.region()?.kind);
        note.balance = Some(purse.balance()?);
        Ok(Code::TestPassed)
    })();
    note.finish(device, at, outcome)
}

/// Balance and the last ten trips.
pub(super) fn balance<C: Channel + ?Sized>(card: &mut C, device: DeviceNo, at: CardTime) -> Served {
    let mut note = Note::default();
    let mut rows = Vec::new();
    let outcome = view(card, at, None, &mut note).map(|view| {
        rows = trips(&view);
        Code::ReadOut
    });
    served(note.finish(device, at, outcome), rows)
}

/// What a card says of this ride.
pub(super) fn inspect<C: Channel + ?Sized>(
    card: &mut C,
    inspection: &Inspection,
    hotlist: &Hotlist,
    at: CardTime,
) -> Served {
    let mut note = Note::default();
    let mut rows = Vec::new();
    let outcome = view(card, at, None, &mut note).and_then(|view| {
        rows = trips(&view);
        rows.truncate(3);
        let public = &view.public;
        if let Some(reason) = hotlist.reason(public.pan, public.generation) {
            return Err(Refusal::new(Code::Blocked, format!("listed as {reason}")));
        }
        match inspection.judge(at, &view) {
            Code::RidePaid => Ok(Code::RidePaid),
            other => Err(other.into()),
        }
    });
    served(note.finish(inspection.site.device, at, outcome), rows)
}

/// What a desk would do with a card, without doing it.
pub(super) fn examine<C: Channel + ?Sized>(
    card: &mut C,
    desk: &FareDesk,
    wish: &Correction,
    device: DeviceNo,
    at: CardTime,
) -> Served {
    let mut note = Note::default();
    let mut rows = Vec::new();
    let city = Some(desk.city());
    let outcome = view(card, at, city, &mut note).and_then(|view| {
        let (passage, advice) = desk
            .visit(wish.area, wish.named.clone())
            .advice(at, &view)?;
        if let Passage::Inside { stop, at, .. } = &passage {
            rows.push(Row::new(
                "进站",
                "Entered",
                format!("{} {at}", stop.as_str()),
            ));
        }
        rows.push(match &advice {
            DeskAdvice::UseTheGate => Row::new("无需补票", "Nothing to correct", ""),
            DeskAdvice::WriteEntry { stop, .. } => {
                Row::new("补写进站", "Will write the entry", stop.as_str())
            }
            DeskAdvice::CloseJourney { quote } => Row::new("应补车费", "Fare due", quote.amount),
        });
        Ok(Code::ReadOut)
    });
    served(note.finish(device, at, outcome), rows)
}

fn served(result: TapResult, rows: Vec<Row>) -> Served {
    Served {
        rows,
        ..result.into()
    }
}

/// Everything that a card tells without a key, and its number, kind and balance in `note`.
fn view<C: Channel + ?Sized>(
    card: &mut C,
    at: CardTime,
    city: Option<CityCode>,
    note: &mut Note,
) -> Result<CardView, Refusal> {
    let mut purse = PurseSession::select(card)?;
    let (public, region) = (*purse.public(), purse.region()?);
    note.pan = Some(public.pan);
    note.card_kind = Some(region.kind);
    note.balance = Some(purse.balance()?);
    let birth = match region.kind {
        CardKind::Elderly => purse.birth()?,
        _ => None,
    };
    Ok(CardView {
        public,
        region,
        age: birth.and_then(|birth| clock::age(birth, at.date())),
        journeys: purse.journeys(JOURNEYS_MAX)?,
        metro: purse.metro()?,
        fares: purse.fares(city)?,
    })
}

fn trips(view: &CardView) -> Vec<Row> {
    let row = |record: &Journey| {
        let (zh, en) = means(record);
        Row::new(zh, en, format!("{} {}", record.time, record.amount))
    };
    view.journeys.iter().map(|read| row(&read.record)).collect()
}

const fn means(record: &Journey) -> (&'static str, &'static str) {
    match (record.mode, record.kind) {
        (Mode::Metro, JourneyType::Entry) => ("地铁进站", "Metro entry"),
        (Mode::Metro, _) => ("地铁", "Metro"),
        (Mode::Bus, _) => ("公交", "Bus"),
        (Mode::Taxi, _) => ("出租车", "Taxi"),
        (Mode::ParkingMeter, _) => ("路边停车", "Parking meter"),
        (Mode::CarPark, JourneyType::Entry) => ("停车入场", "Car park entry"),
        (Mode::CarPark, _) => ("停车场", "Car park"),
    }
}
