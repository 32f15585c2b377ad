//! Another reader of the journal's bytes, written from its format alone: `length 4 | check 4 |
//! payload | chain 32` behind an eight-byte magic, payloads of one JSON object or a list of them.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// What whole frames say of each record: amount in fen, state of the debit, record it completes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sale {
    pub(crate) amount: i64,
    pub(crate) state: String,
    pub(crate) completes: Option<u64>,
}

/// The sales of all whole frames from the start; what follows the last whole frame is not read.
pub(crate) fn sales(bytes: &[u8]) -> BTreeMap<u64, Sale> {
    let (mut at, mut chain) = (8, Sha256::digest(&bytes[..8]).to_vec());
    let mut sales = BTreeMap::new();
    while let Some(length) = bytes.get(at..at + 4) {
        let size = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let Some(end) = bytes.get(at + 8 + size..at + 40 + size) else {
            break;
        };
        let payload = &bytes[at + 8..at + 8 + size];
        let link = Sha256::digest([chain.as_slice(), length, payload].concat()).to_vec();
        if link != end {
            break;
        }
        let value: Value = serde_json::from_slice(payload).unwrap();
        match value {
            Value::Array(entries) => entries.iter().for_each(|e| take(&mut sales, e)),
            one => take(&mut sales, &one),
        }
        (at, chain) = (at + 40 + size, link);
    }
    sales
}

fn take(sales: &mut BTreeMap<u64, Sale>, entry: &Value) {
    let record = &entry["record"];
    match entry["entry"].as_str().unwrap() {
        "intent" | "record" => {
            let (seq, event) = (record["journal_seq"].as_u64().unwrap(), &record["event"]);
            let sale = Sale {
                amount: event["amount"].as_i64().unwrap(),
                state: event["debit"]["state"].as_str().unwrap().to_owned(),
                completes: record["completes"].as_u64(),
            };
            assert!(sales.insert(seq, sale).is_none(), "record {seq} twice");
        }
        "commit" => {
            let seq = entry["journal_seq"].as_u64().unwrap();
            let state = entry["debit"]["state"].as_str().unwrap();
            state.clone_into(&mut sales.get_mut(&seq).expect("its intent").state);
        }
        _ => {}
    }
}

/// What the sales took from cards for certain, what they may have, completed records replaced.
pub(crate) fn taken(sales: &BTreeMap<u64, Sale>) -> (i64, i64) {
    let completed = |seq: &u64| sales.values().any(|s| s.completes == Some(*seq));
    let of = |state: &str| {
        let open = sales.iter().filter(|(seq, _)| !completed(seq));
        open.filter(|(_, s)| s.state == state)
            .map(|(_, s)| s.amount)
            .sum()
    };
    (of("done"), of("unknown"))
}
