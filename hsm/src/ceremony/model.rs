//! Every sequence of messages up to a length, with up to two that must be refused anywhere among
//! them, against a model that knows only the rules.

use std::collections::BTreeSet;

use super::*;
use crate::{Entropy, Quorum, ceremony::Sheet, ceremony::deal};

const AT: &str = "2026-11-23T08:00:00";
const NAMES: [&str; 3] = ["Wu", "Zheng", "Huang"];

fn officers() -> Officers {
    Officers::new("Lin", "Chen").expect("two")
}

/// A message: somebody brings a part, or an officer says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// A custodian brings the part of a custodian.
    Enter(usize, usize),
    /// A custodian brings a part with a wrong value, well formed.
    Wrong(usize),
    /// A custodian brings a part of another dealing.
    Foreign(usize),
    /// A person confirms: officer 0, officer 1, or a custodian.
    Confirm(usize),
}

const PEOPLE: [&str; 3] = ["Lin", "Chen", "Wu"];

fn messages() -> Vec<Message> {
    let mut all: Vec<Message> = Vec::new();
    for who in 0..3 {
        all.extend([
            Message::Enter(who, who),
            Message::Wrong(who),
            Message::Foreign(who),
        ]);
        all.push(Message::Confirm(who));
    }
    all.push(Message::Enter(1, 0));
    all
}

/// What the rules say: whose parts are in, brought by whom, and who confirmed.
#[derive(Clone, Default)]
struct Model {
    /// (custodian, number of the part).
    entered: Vec<(usize, usize)>,
    /// The parts are of the other dealing.
    foreign: bool,
    /// A wrong share among them cannot be told from a right one until the key is formed.
    spoiled: bool,
    confirmed: BTreeSet<usize>,
}

struct World {
    form: Form,
    right: Vec<Sheet>,
    wrong: Vec<Sheet>,
    foreign: Vec<Sheet>,
    recorded: bool,
}

impl World {
    fn new(form: Form, recorded: bool) -> Self {
        let subject = [Subject::Root(SuiteId::Aes)];
        let dealt =
            |seed| deal(&Entropy::seeded([seed; 32]), form, &subject, &NAMES).expect("dealt");
        let right = dealt(1);
        let mut wrong = right.clone();
        for sheet in &mut wrong {
            // The value differs; set, number and check value are the right ones.
            sheet.parts[0].value[3] ^= 0x40;
        }
        Self {
            form,
            right,
            wrong,
            foreign: dealt(2),
            recorded,
        }
    }

    fn begin(&self) -> Ceremony {
        let plan = Plan::single(Subject::Root(SuiteId::Aes), self.form, &NAMES).expect("plan");
        let plan = if self.recorded {
            plan.checked_by(Dealing::of(self.form, &self.right))
        } else {
            plan
        };
        Ceremony::new(plan, &officers(), AT.parse().expect("time"))
    }

    fn send(&self, ceremony: &mut Ceremony, message: Message) -> bool {
        let done = match message {
            Message::Enter(who, whose) => ceremony.enter(NAMES[who], &self.right[whose].parts[0]),
            Message::Wrong(who) => ceremony.enter(NAMES[who], &self.wrong[who].parts[0]),
            Message::Foreign(who) => ceremony.enter(NAMES[who], &self.foreign[who].parts[0]),
            Message::Confirm(who) => ceremony.confirm(PEOPLE[who]),
        };
        done.is_ok()
    }
}

impl Model {
    /// Whether the message must be accepted; takes it in if so.
    fn accepts(&mut self, world: &World, message: Message) -> bool {
        let needed = usize::from(world.form.needed());
        let shares = matches!(world.form, Form::Shares(_));
        let last = self.entered.len() + 1 == needed;
        // Whether it is `who`'s turn with part `number`.
        let turn = |model: &Self, who: usize, number: usize| {
            let free = |(w, n): &(usize, usize)| *w != who && *n != number;
            let order = if shares {
                model.entered.iter().all(free)
            } else {
                (who, number) == (model.entered.len(), model.entered.len())
            };
            order && model.entered.len() < needed
        };
        match message {
            Message::Enter(who, number) => {
                let fits = turn(self, who, number) && !self.foreign && !(self.spoiled && last);
                if fits {
                    self.entered.push((who, number));
                }
                fits
            }
            Message::Wrong(who) => {
                let unseen = shares && !world.recorded && !last && !self.foreign;
                let fits = unseen && turn(self, who, who);
                if fits {
                    self.entered.push((who, who));
                    self.spoiled = true;
                }
                fits
            }
            // Parts of another dealing make its key, whose check values the officers see.
            Message::Foreign(who) => {
                let one_set = self.foreign || self.entered.is_empty();
                let fits = turn(self, who, who) && !world.recorded && one_set;
                if fits {
                    self.entered.push((who, who));
                    self.foreign = true;
                }
                fits
            }
            Message::Confirm(who) => {
                self.entered.len() == needed && who < 2 && self.confirmed.insert(who)
            }
        }
    }
}

struct Count {
    visited: u64,
    finished: u64,
}

fn explore(
    world: &World,
    ceremony: &Ceremony,
    model: &Model,
    depth: u32,
    refusals: u32,
    count: &mut Count,
) {
    count.visited += 1;
    let full = model.entered.len() == usize::from(world.form.needed());
    let allowed = full && model.confirmed.len() == 2;
    let finished = ceremony.clone().finish();
    assert_eq!(
        finished.is_ok(),
        allowed,
        "a key without its conditions, or none with them"
    );
    if let Ok((formed, transcript)) = finished {
        count.finished += 1;
        let dealt = if model.foreign {
            &world.foreign
        } else {
            &world.right
        };
        let expected = expected_key(world.form, dealt);
        assert_eq!(formed.0, [(Subject::Root(SuiteId::Aes), expected)]);
        assert_eq!(transcript.confirmed.len(), 2);
        assert_eq!(
            transcript.keys[0].parts.len(),
            usize::from(world.form.needed())
        );
    }
    let shown = serde_json::to_string(&ceremony.clone().abort("Lin")).expect("JSON");
    for sheet in world.right.iter().chain(&world.wrong) {
        assert!(!shown.contains(&hex::encode_upper(&*sheet.parts[0].value)[..8]));
    }
    if depth == 0 {
        return;
    }
    for message in messages() {
        let (mut next, mut after) = (ceremony.clone(), model.clone());
        let expected = after.accepts(world, message);
        let before = next.next();
        let accepted = world.send(&mut next, message);
        assert_eq!(accepted, expected, "{message:?} after {:?}", model.entered);
        if accepted {
            explore(world, &next, &after, depth - 1, refusals, count);
        } else {
            assert_eq!(next.next(), before, "a refusal changed the state");
            if refusals > 0 {
                explore(world, &next, &after, depth - 1, refusals - 1, count);
            }
        }
    }
}

fn expected_key(form: Form, dealt: &[Sheet]) -> Zeroizing<Vec<u8>> {
    match form {
        Form::Components(_) => {
            let mut sum = Zeroizing::new(vec![0; 16]);
            for sheet in dealt {
                for (byte, p) in sum.iter_mut().zip(sheet.parts[0].value.iter()) {
                    *byte ^= p;
                }
            }
            sum
        }
        Form::Shares(_) => {
            let parts: Vec<&Part> = dealt.iter().map(|s| &s.parts[0]).collect();
            shamir::recover(&[(1, &parts[0].value), (2, &parts[1].value)])
        }
    }
}

#[test]
fn every_order_of_messages_components() {
    let mut count = Count {
        visited: 0,
        finished: 0,
    };
    let world = World::new(Form::Components(3), false);
    explore(&world, &world.begin(), &Model::default(), 6, 2, &mut count);
    assert!(
        count.visited > 1_000 && count.finished > 4,
        "{}",
        count.visited
    );
}

#[test]
fn every_order_of_messages_shares() {
    for recorded in [false, true] {
        let world = World::new(Form::Shares(Quorum::new(2, 3).expect("quorum")), recorded);
        let mut count = Count {
            visited: 0,
            finished: 0,
        };
        explore(&world, &world.begin(), &Model::default(), 5, 2, &mut count);
        assert!(count.finished > 12, "{}", count.finished);
    }
}
