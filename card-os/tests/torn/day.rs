//! A day in the card's life, seen by an outsider with APDUs and books: load, taps, visit,
//! maintenance. Wherever it is cut off, the card is before or after the command and the money is
//! conserved.

use crate::{
    Cuts,
    common::{self, SEED, sam_no, time},
};
use card_os::{Card, Nvm, NvmError};
use card_spec::{
    Channel, ChannelError, Fen, SuiteId, Sw, aid, apdu,
    channel::exchange,
    id::Pan,
    keys::{KeyType, class},
    medical::{self, Split},
    perso::Dgi,
    pki,
    purse::{
        self, InitRequest, LoadInit, PurchaseInit, TxType,
        files::Public,
        mac::{Context, ContextBuilder, Load},
        sfi,
    },
    sam, sm,
    ssse::{self, Profile},
};
use virtual_card::{
    CutMode, ImageNvm, PowerCut, SeededEntropy, VirtualCard, host,
    sample::{self, Sample, SampleSam},
};

/// Memory of a card under test: the real one, or one with a defect.
pub(crate) trait Memory: Nvm {
    fn image(&mut self) -> &mut ImageNvm;
}

impl Memory for ImageNvm {
    fn image(&mut self) -> &mut ImageNvm {
        self
    }
}

/// The defect: the entry that makes a transaction count is programmed before the others.
pub(crate) struct MarkFirst {
    pub(crate) image: ImageNvm,
    pub(crate) held_back: Vec<(usize, Vec<u8>)>,
}

impl Memory for MarkFirst {
    fn image(&mut self) -> &mut ImageNvm {
        &mut self.image
    }
}

impl Nvm for MarkFirst {
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), NvmError> {
        self.image.read(at, out)?;
        for (held_at, data) in &self.held_back {
            for (i, byte) in out.iter_mut().enumerate() {
                if let Some(held) = (at + i).checked_sub(*held_at).and_then(|k| data.get(k)) {
                    *byte = *held;
                }
            }
        }
        Ok(())
    }
    fn program(&mut self, at: usize, data: &[u8]) -> Result<(), NvmError> {
        let is_entry = data.len() > 16;
        if is_entry && data[0] & 0x80 == 0 {
            self.held_back.push((at, data.to_vec()));
            return Ok(());
        }
        self.image.program(at, data)?;
        for (at, data) in std::mem::take(&mut self.held_back) {
            self.image.program(at, &data)?;
        }
        Ok(())
    }
    fn erase(&mut self, page: usize) -> Result<(), NvmError> {
        self.image.erase(page)
    }
    fn sync(&mut self) -> Result<(), NvmError> {
        self.image.sync()
    }
}

/// What anybody can see of a card: balances, sequences, logs, records, files. Security counters
/// are not part of it: they may be ahead.
type Seen = Vec<Vec<u8>>;

fn look(image: &[u8]) -> Option<Seen> {
    let mut card = VirtualCard::from_image(image.to_vec(), SEED).ok()?;
    let mut seen = Seen::new();
    let mut see = |command: &[u8], must: bool| -> Option<()> {
        let reply = exchange(&mut card, command).ok()?;
        if must && !reply.sw.is_ok() {
            return None;
        }
        let mut answer = reply.data.to_vec();
        answer.extend(reply.sw.to_bytes());
        seen.push(answer);
        Some(())
    };
    see(&apdu::select(aid::T_UNION), true)?;
    see(&purse::get_balance(), true)?;
    see(&apdu::read_binary(sfi::REGION, 0, 60), true)?;
    for number in 1..=4 {
        see(&apdu::read_record(sfi::LOG, number, 23), false)?;
        see(&apdu::read_record(sfi::JOURNEY, number, 48), false)?;
    }
    see(&apdu::read_record(sfi::METRO, 1, 128), true)?;
    for seq in 0..4 {
        for tx in [TxType::Load, TxType::Purchase, TxType::Capp] {
            see(&purse::prove(tx, seq), false)?;
        }
    }
    // INIT shows the sequences and changes nothing.
    let init = InitRequest {
        kid: 1,
        amount: Fen(0),
        terminal: sam_no(),
    };
    let reply = exchange(&mut card, &init.purchase().ok()?).ok()?;
    seen.push(reply.data.get(..6)?.to_vec());
    let mut see = |command: &[u8]| -> Option<()> {
        let reply = exchange(&mut card, command).ok()?;
        seen.push(reply.sw.is_ok().then(|| reply.data.to_vec())?);
        Some(())
    };
    see(&apdu::select(aid::SSSE_MEDICAL))?;
    for which in [
        medical::Balance::Personal,
        medical::Balance::SelfPaid,
        medical::Balance::Pooled,
    ] {
        see(&medical::get_balance(which))?;
    }
    see(&apdu::select(aid::SSSE))?;
    see(&[0x00, 0xB2, 0x06, 5 << 3, 0x06])?;
    see(&apdu::select(aid::PKI_CERTIFICATES))?;
    see(&pki::read_public_key())?;
    see(&pki::signatures_made())?;
    // None while a new key has no certificate.
    let certificate = exchange(
        &mut card,
        &apdu::read_binary(pki::CERTIFICATE as u8, 0, 256),
    );
    seen.push(certificate.ok()?.data.to_vec());
    // The proof of the visit: there with the money, or neither.
    exchange(&mut card, &apdu::select(aid::SSSE_MEDICAL)).ok()?;
    let proof = exchange(&mut card, &medical::prove(medical::VISIT, 1)).ok()?;
    seen.push(proof.data.to_vec());
    Some(seen)
}

fn balance_of(seen: &Seen) -> i64 {
    i64::from(u32::from_be_bytes(seen[1][..4].try_into().unwrap()))
}

/// A card that notes what it looks like after every command.
struct Watched<N> {
    card: Card<N, SeededEntropy>,
    states: Vec<Option<Seen>>,
    watching: bool,
    apdus: usize,
}

impl<N: Memory> Channel for Watched<N> {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        let n = self.card.transmit(command, response);
        if self.card.nvm_mut().image().is_dead() {
            return Err(ChannelError::CardRemoved);
        }
        self.apdus += 1;
        if self.watching {
            let image = self.card.nvm_mut().image().bytes().to_vec();
            self.states.push(look(&image));
        }
        Ok(n)
    }
    fn atr(&self) -> &[u8] {
        self.card.atr()
    }
}

/// The facts of a run that an outsider keeps: what was loaded and what was debited for sure.
#[derive(Default)]
struct Books {
    loaded: i64,
    debited: i64,
    /// The amount in flight when the card was torn out, with the command that would move it.
    in_flight: i64,
}

pub(crate) struct Bench {
    image: Vec<u8>,
    sam: Vec<u8>,
    social: Vec<u8>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let sam = |kind| {
            sample::sample_sam(kind, sam_no(), SEED)
                .unwrap()
                .image()
                .to_vec()
        };
        Self {
            image: Sample::new(SuiteId::Aes, Profile::V2)
                .card(SEED)
                .unwrap()
                .image()
                .to_vec(),
            sam: sam(SampleSam::Purse(class::TRANSIT)),
            social: sam(SampleSam::Social),
        }
    }

    /// A card that was used so much that the day opens and collects pages.
    pub(crate) fn worn() -> Self {
        let fresh = Self::new();
        let mut card = VirtualCard::from_image(fresh.image.clone(), SEED).unwrap();
        for _ in 0..1_000 {
            common::select_purse(&mut card);
            common::put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
        }
        let untouched = card.nvm_mut().erases().iter().filter(|n| **n == 0).count();
        assert!(untouched < 16, "the pages do not rotate: {untouched}");
        Self {
            image: card.image().to_vec(),
            ..fresh
        }
    }

    fn card<N: Memory>(&self, wrap: impl Fn(ImageNvm) -> N) -> Watched<N> {
        let nvm = ImageNvm::from_image(self.image.clone()).unwrap();
        let card = Card::new(wrap(nvm), SeededEntropy::new([3; 32]));
        Watched {
            card,
            states: Vec::new(),
            watching: false,
            apdus: 0,
        }
    }

    /// A day: load, CAPP with two records, purchase, hospital visit, a record rewritten, the purse
    /// maintained, files rewritten by the issuer. Ends at the first torn command.
    fn day<N: Memory>(&self, card: &mut Watched<N>, books: &mut Books) -> Result<(), ChannelError> {
        let mut sam = VirtualCard::from_image(self.sam.clone(), [4; 32]).unwrap();
        common::put(&mut sam, &apdu::select(aid::T_UNION_SAM));
        let fci = exchange(card, &apdu::select(aid::T_UNION))?.data;
        let public = Public::from_fci(&fci).unwrap();

        // Load 50.00.
        exchange(card, &apdu::verify(0, &sample::PIN_BYTES))?;
        let request = InitRequest {
            kid: 1,
            amount: Fen(5_000),
            terminal: sam_no(),
        };
        let init = exchange(card, &request.load().unwrap())?;
        let init = LoadInit::from_bytes(&init.data).unwrap();
        let load = Load {
            amount: request.amount,
            tx: TxType::Load,
            terminal: request.terminal,
            seq: init.seq,
            rnd: init.rnd,
            balance_before: init.balance,
        };
        let dlk = sample::card_key(sample::header(KeyType::Dlk, 1, SuiteId::Aes)).unwrap();
        let mac2 = load.mac2(SuiteId::Aes, &dlk, time());
        books.in_flight = 5_000;
        ok(exchange(card, &purse::credit_for_load(time(), mac2))?);
        books.loaded += 5_000;

        // CAPP with a journey and the metro record, then a plain purchase.
        for (amount, capp) in [(300, true), (200, false)] {
            let request = InitRequest {
                amount: Fen(amount),
                ..request
            };
            let tx = if capp { TxType::Capp } else { TxType::Purchase };
            let command = if capp {
                request.capp_purchase()
            } else {
                request.purchase()
            };
            let init = exchange(card, &command.unwrap())?;
            let init = PurchaseInit::from_bytes(&init.data).unwrap();
            let mut context = Context::default();
            if capp {
                let mut builder = ContextBuilder::new(&fci);
                ok(exchange(
                    card,
                    &purse::update_capp_cache(sfi::JOURNEY, 0, &[7; 48]),
                )?);
                builder.update(0, sfi::JOURNEY << 3, &[7; 48]);
                builder.read_1a(&[0; 128]);
                ok(exchange(
                    card,
                    &purse::update_capp_cache(sfi::METRO, 1, &[8; 128]),
                )?);
                builder.update(1, (sfi::METRO << 3) | 4, &[8; 128]);
                context = builder.finish();
            }
            let serial8 = public.pan.serial8();
            let command = sam::InitForPurchase::new(
                &init,
                request.amount,
                tx,
                time(),
                serial8,
                public.issuer,
                context,
            );
            let mac1 = common::ask(&mut sam, &command.to_apdu().unwrap());
            let mac1 = sam::Mac1::from_bytes(&mac1).unwrap();
            books.in_flight = -amount;
            ok(exchange(
                card,
                &purse::debit(mac1.terminal_seq, time(), mac1.mac1),
            )?);
            books.debited += amount;
        }
        books.in_flight = 0;
        self.visit(card)?;
        self.rewrite_expiry(card)?;
        maintain(card)?;
        rewrite_region(card)?;
        sign(card)
    }

    fn visit<N: Memory>(&self, card: &mut Watched<N>) -> Result<(), ChannelError> {
        let mut social = VirtualCard::from_image(self.social.clone(), [4; 32]).unwrap();
        common::put(&mut social, &apdu::select(aid::SSSE_SAM));
        exchange(card, &apdu::select(aid::SSSE_MEDICAL))?;
        exchange(card, &apdu::verify(0, &sample::PIN_BYTES))?;
        let split = Split {
            personal: Fen(452),
            self_paid: Fen(23),
            pooled: Fen(9),
        };
        let init = exchange(card, &medical::init_purchase(1, split, sam_no()).unwrap())?;
        let init = medical::PurchaseInit::from_bytes(&init.data).unwrap();
        let f1 = ssse::f1(sample::PAN.parse::<Pan>().unwrap());
        let region = sample::REGION.parse().unwrap();
        let command = medical::psam_init(&init, split, time(), f1, region).unwrap();
        let mac1 = sam::Mac1::from_bytes(&common::ask(&mut social, &command)).unwrap();
        ok(exchange(
            card,
            &medical::debit(mac1.terminal_seq, time(), mac1.mac1),
        )?);
        Ok(())
    }

    fn rewrite_expiry<N: Memory>(&self, card: &mut Watched<N>) -> Result<(), ChannelError> {
        exchange(card, &apdu::select(aid::SSSE))?;
        let challenge = exchange(card, &apdu::get_challenge(8))?.data;
        let challenge: [u8; 8] = challenge.as_slice().try_into().unwrap();
        let key = sample::card_key(sample::header(KeyType::Uk, 4, SuiteId::Aes)).unwrap();
        let process = card_spec::keys::ssse_process_key(&key, SuiteId::Aes, &challenge);
        let cryptogram = process.cryptogram8(SuiteId::Aes, &[1; 8]);
        ok(exchange(
            card,
            &ssse::external_authenticate(4, cryptogram, [1; 8]),
        )?);
        let expires = [0x20, 0x40, 0x12, 0x31];
        ok(exchange(
            card,
            &ssse::update_by_tag(5, ssse::tag::EXPIRES.0, &expires).unwrap(),
        )?);
        Ok(())
    }
}

/// The maintainer changes a byte of file 17 and opens what wrong MACs may have locked.
fn maintain<N: Memory>(card: &mut Watched<N>) -> Result<(), ChannelError> {
    exchange(card, &apdu::select(aid::T_UNION))?;
    let damk = sample::card_key(sample::header(KeyType::Damk, 1, SuiteId::Aes)).unwrap();
    for (header, data) in [
        ([0x04, 0xD6, 0x97, 10], &[2][..]),
        ([0x84, 0x18, 0, 0], &[]),
    ] {
        let challenge = exchange(card, &apdu::get_challenge(8))?.data;
        let challenge = sm::Challenge8::from_bytes(&challenge).unwrap();
        let [cla, ins, p1, p2] = header;
        let covered = [cla, ins, p1, p2, data.len() as u8 + 4];
        let mac = sm::mac(SuiteId::Aes, &damk, challenge, covered, data);
        let command = apdu::build(cla, ins, p1, p2, &[data, &mac].concat(), None);
        ok(exchange(card, &command)?);
    }
    Ok(())
}

/// The issuer rewrites file 17 and the metro record in one STORE DATA sequence of two blocks.
fn rewrite_region<N: Memory>(card: &mut Watched<N>) -> Result<(), ChannelError> {
    let removed = |error| match error {
        host::HostError::Channel(error) => error,
        other => panic!("{other}"),
    };
    let keys = sample::issuer_keys();
    let mut issuer = host::Scp03::open(card, &keys, 0x30, 0x33, [5; 8]).map_err(removed)?;
    let mut metro = vec![1];
    metro.extend([0x77; 128]);
    let groups = [
        (Dgi::file(sfi::REGION), vec![0x66; 60]),
        (Dgi::record(sfi::METRO), metro),
        (Dgi::file(sfi::HOLDER), vec![0x55; 55]),
    ];
    issuer
        .personalise(card, aid::T_UNION, &groups)
        .map_err(removed)
}

/// The holder signs, makes a new key, and gets a certificate for it in two pieces.
fn sign<N: Memory>(card: &mut Watched<N>) -> Result<(), ChannelError> {
    ok(exchange(card, &apdu::select(aid::PKI_CERTIFICATES))?);
    let verify = apdu::verify(0, &sample::SIGN_PIN_BYTES);
    ok(exchange(card, &verify)?);
    ok(exchange(card, &pki::hash_last(b"a message"))?);
    ok(exchange(card, &pki::sign())?);
    let old = exchange(card, &pki::read_public_key())?.data;
    let old = pki::public_key(&old).unwrap();
    let mut certificate = exchange(card, &apdu::read_binary(0x18, 0, 256))?
        .data
        .to_vec();
    certificate.extend_from_slice(&exchange(card, &[0x00, 0xB0, 0x01, 0x00, 0x00])?.data);
    ok(exchange(card, &verify)?);
    let new = exchange(card, &pki::generate_key_pair())?.data;
    let new = pki::public_key(&new).unwrap();
    let at = certificate.windows(64).position(|w| w == old).unwrap();
    certificate[at..at + 64].copy_from_slice(&new);
    let uk = sample::card_key(sample::header(KeyType::Uk, class::ONLY, SuiteId::Aes)).unwrap();
    for (i, piece) in certificate.chunks(200).enumerate() {
        let challenge = exchange(card, &apdu::get_challenge(8))?.data;
        let challenge = sm::Challenge8::from_bytes(&challenge).unwrap();
        let covered = [0x04, 0xD6, 0, 200 * i as u8, piece.len() as u8 + 4];
        let mac = sm::mac(SuiteId::Aes, &uk, challenge, covered, piece);
        let command = [&covered[..], piece, &mac].concat();
        ok(exchange(card, &command)?);
    }
    Ok(())
}

fn ok(reply: card_spec::Reply) {
    assert_eq!(reply.sw, Sw::OK);
}

/// Cuts the recovery from a torn image at each of its operations, in each mode, and says what the
/// card looks like after the power-up that is let alone.
fn recovered(image: &[u8], cuts: &mut Cuts) -> Vec<Option<Seen>> {
    let mut looks = vec![look(image)];
    cuts.of_recovery(image, |torn| looks.push(look(torn)));
    looks
}

/// Runs the day once for every cut; returns what was wrong, if anything.
pub(crate) fn violations<N: Memory>(
    bench: &Bench,
    wrap: impl Fn(ImageNvm) -> N + Copy,
) -> (Cuts, Vec<String>) {
    let mut reference = bench.card(wrap);
    reference.watching = true;
    let start = look(&bench.image);
    bench
        .day(&mut reference, &mut Books::default())
        .expect("an uncut day");
    let opening = balance_of(start.as_ref().unwrap());

    let mut wrong = Vec::new();
    let mut cuts = Cuts::default();
    for mode in CutMode::ALL {
        for n in 1.. {
            let mut card = bench.card(wrap);
            card.card.nvm_mut().image().arm(Some(PowerCut::At(n, mode)));
            let mut books = Books::default();
            if bench.day(&mut card, &mut books).is_ok() {
                break;
            }
            let torn = card.apdus;
            cuts.tried += 1;
            cuts.torn.insert(torn);
            let before = match torn {
                0 => &start,
                _ => &reference.states[torn - 1],
            };
            let image = card.card.nvm_mut().image().bytes().to_vec();
            for now in recovered(&image, &mut cuts) {
                let Some(now) = now.filter(|now| {
                    Some(now) == before.as_ref() || Some(now) == reference.states[torn].as_ref()
                }) else {
                    wrong.push(format!("{mode:?} {n}: command {torn} is half done"));
                    continue;
                };
                // The card says what it holds; the outsider knows all but the torn command.
                let sure = opening + books.loaded - books.debited;
                let balance = balance_of(&now);
                let moved = balance == sure + books.in_flight && now != *before.as_ref().unwrap();
                if balance != sure && !moved {
                    wrong.push(format!("{mode:?} {n}: {balance} fen, not {sure}"));
                }
            }
        }
    }
    (cuts, wrong)
}
