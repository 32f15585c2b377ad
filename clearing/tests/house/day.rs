//! The settlement day.

use crate::world::*;
use card_spec::Fen;

fn one(seq: u16) -> Tap {
    Tap {
        card: 1,
        seq,
        before: 10_000,
        amount: fare(),
        sam: 1,
        terminal_seq: u32::from(seq) + 1,
    }
}

#[tokio::test]
async fn a_day_closes_once_and_late_records_go_to_the_next() {
    let world = World::new().await;
    world.load(1, 0, 10_000).await;
    world.upload(1, vec![tap(1, one(0))]).await;
    assert!(
        world
            .house
            .statement(today(), "operator:FZBUS")
            .await
            .is_err()
    );
    let closed = world.house.close_day(today()).await.unwrap();
    assert!(closed.closed);
    let statement = world
        .house
        .statement(today(), "operator:FZBUS")
        .await
        .unwrap();

    // A record of the closed day comes late: it keeps its own date and counts tomorrow.
    world.upload(1, vec![tap(2, one(1))]).await;
    world.load(1, 1, 500).await;
    assert_eq!(world.house.day(today()).await.unwrap(), closed);
    assert_eq!(world.house.close_day(today()).await.unwrap(), closed);
    assert_eq!(
        world
            .house
            .statement(today(), "operator:FZBUS")
            .await
            .unwrap(),
        statement
    );
    let next = world.house.day(date("2026-11-24")).await.unwrap();
    assert!(!next.closed);
    assert_eq!(
        (next.modes["bus"].events, next.modes["top_up"].events),
        (1, 1)
    );
    assert_eq!(next.purse_float, Fen(10_500 - 2 * fare()));
    let bus = next
        .positions
        .iter()
        .find(|p| p.party == "operator:FZBUS")
        .unwrap();
    assert_eq!((bus.net.0, bus.name_zh.as_str()), (fare(), "FZBUS公司"));

    world.clock.set(time("2026-11-24T23:00:00"));
    assert!(world.house.close_day(date("2026-11-25")).await.is_err());
    world.house.close_day(date("2026-11-24")).await.unwrap();
    let audit = clearing::audit::audit(world.house.store()).await.unwrap();
    assert!(audit.ok(), "{audit:#?}");
}

#[tokio::test]
async fn statements_list_every_event_of_a_party() {
    let world = World::new().await;
    world.load(1, 0, 10_000).await;
    world
        .upload(1, (0..3).map(|n| tap(u64::from(n) + 1, one(n))).collect())
        .await;
    world.house.close_day(today()).await.unwrap();
    let csv = world
        .house
        .statement(today(), "operator:FZBUS")
        .await
        .unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "day,party,kind,reference,time,mode,outcome,amount_fen"
    );
    let fare = fare();
    assert_eq!(
        lines[1],
        format!(
            "2026-11-23,operator:FZBUS,event,record|0000000000000001|00000000000000000001,2026-11-23T08:15:00,bus,0,{fare}"
        )
    );
    assert_eq!(
        lines[4],
        format!("2026-11-23,operator:FZBUS,net,,,,,{}", 3 * fare)
    );
    let cash = world.house.statement(today(), "topup:FZPOS").await.unwrap();
    assert!(
        cash.ends_with("2026-11-23,topup:FZPOS,net,,,,,-10000\r\n"),
        "{cash}"
    );
    assert!(
        world
            .house
            .statement(today(), "operator:NOBODY")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn gaps_are_named_until_they_are_filled() {
    let world = World::new().await;
    world.upload(1, vec![tap(1, one(3))]).await;
    let shadow = world.house.card_shadow(pan(1)).await.unwrap();
    assert_eq!((shadow.last_seq, shadow.gaps), (Some(3), vec![0, 1, 2]));
    world.upload(1, vec![tap(2, one(1)), tap(3, one(0))]).await;
    let shadow = world.house.card_shadow(pan(1)).await.unwrap();
    assert_eq!(shadow.gaps, vec![2]);
}
