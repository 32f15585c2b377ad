//! Every command that a card or SAM obeys, as a list: the table of `docs/card.md`, names for
//! measurements, and what the tests hold the card to in both directions.

use crate::aid;

/// Where a command is obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Application {
    /// Whatever is selected.
    Every,
    /// Issuer domain.
    Issuer,
    /// Transit purse.
    Purse,
    /// Social security: the SSSE; the authentications and PIN commands also in its DFs.
    Social,
    /// Medical purse in DF04.
    Medical,
    /// Health data.
    Health,
    /// PKI application.
    Pki,
    /// Payment system directory for contacts; that over the air has its entries in the FCI.
    Directory,
    /// SAM.
    Sam,
}

impl Application {
    /// Every application that can be selected, in the table's order.
    pub const ALL: [Self; 9] = [
        Self::Every,
        Self::Purse,
        Self::Social,
        Self::Medical,
        Self::Health,
        Self::Pki,
        Self::Directory,
        Self::Sam,
        Self::Issuer,
    ];

    /// The DF name to select; the issuer domain's for [`Self::Every`].
    pub const fn name(self) -> &'static [u8] {
        match self {
            Self::Every | Self::Issuer => aid::ISD,
            Self::Purse => aid::T_UNION,
            Self::Social => aid::SSSE,
            Self::Medical => aid::SSSE_MEDICAL,
            Self::Health => aid::HEALTH,
            Self::Pki => aid::PKI_CERTIFICATES,
            Self::Directory => aid::PSE,
            Self::Sam => aid::T_UNION_SAM,
        }
    }

    /// A heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Every => "Everywhere",
            Self::Issuer => "Issuer domain",
            Self::Purse => "Transit purse 电子钱包",
            Self::Social => "Social security 社会保障",
            Self::Medical => "Medical purse 医疗钱包",
            Self::Health => "Health data 健康信息",
            Self::Pki => "PKI",
            Self::Directory => "Payment system directory 支付系统目录",
            Self::Sam => "SAM",
        }
    }
}

/// One command. In its header `x` stands for what the fields say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// Where.
    pub application: Application,
    /// Name in its standard or in the field.
    pub name: &'static str,
    /// Class.
    pub cla: u8,
    /// Instruction.
    pub ins: u8,
    /// P1 and P2, as text.
    pub parameters: &'static str,
    /// Command data.
    pub data: &'static str,
    /// Answer data.
    pub answer: &'static str,
    /// What it wants first.
    pub access: &'static str,
}

/// The name of a command by its first bytes; `None` when no application obeys it.
pub fn name(application: Application, apdu: &[u8]) -> Option<&'static str> {
    let (&[cla, ins, p1], _) = apdu.split_first_chunk::<3>()?;
    let fits = |c: &&Command| {
        (c.cla, c.ins) == (cla, ins)
            && (c.application == application || c.application == Application::Every)
    };
    let mut fitting = COMMANDS.iter().filter(fits);
    let digits = [
        b"0123456789ABCDEF"[usize::from(p1 >> 4)],
        b"0123456789ABCDEF"[usize::from(p1 & 15)],
    ];
    let exact = fitting
        .clone()
        .find(|c| c.parameters.as_bytes().starts_with(&digits));
    exact.or_else(|| fitting.next()).map(|c| c.name)
}

macro_rules! commands {
    ($($application:ident: $name:literal $cla:literal $ins:literal $parameters:literal $data:literal $answer:literal $access:literal;)*) => {
        /// The list.
        pub static COMMANDS: &[Command] = &[$(Command {
            application: Application::$application, name: $name, cla: $cla, ins: $ins,
            parameters: $parameters, data: $data, answer: $answer, access: $access,
        }),*];
    };
}

commands! {
    Every: "SELECT" 0x00 0xA4 "04 xx, 00 xx, 02 xx, 03 xx, 08 xx, 09 xx" "DF name or its beginning, file identifier, path" "FCI, FCP or nothing" "free";
    Every: "MANAGE CHANNEL" 0x00 0x70 "00 00, 00 0n, 80 0n" "" "number" "free";
    Every: "GET CHALLENGE" 0x00 0x84 "00 00" "" "4 or 8 random bytes" "free";
    Every: "GET RESPONSE" 0x00 0xC0 "00 00" "" "the rest of the last answer" "after 61xx";

    Purse: "READ BINARY" 0x00 0xB0 "80+SFI offset" "" "contents" "the file's";
    Purse: "READ RECORD" 0x00 0xB2 "number SFI*8+4" "" "record" "the file's";
    Purse: "SEARCH RECORD" 0x00 0xA2 "from SFI*8+4" "bytes" "record numbers" "the file's";
    Purse: "UPDATE BINARY" 0x00 0xD6 "80+SFI offset" "contents" "" "none in clear";
    Purse: "UPDATE RECORD" 0x00 0xDC "number SFI*8+4" "record" "" "none in clear";
    Purse: "APPEND RECORD" 0x00 0xE2 "00 SFI*8" "record" "" "none in clear";
    Purse: "READ BINARY, secured" 0x04 0xB0 "80+SFI offset" "MAC4" "contents, MAC4" "challenge, DAMK; contacts";
    Purse: "READ RECORD, secured" 0x04 0xB2 "number SFI*8+4" "MAC4" "record, MAC4" "challenge, DAMK; contacts";
    Purse: "SEARCH RECORD, secured" 0x04 0xA2 "from SFI*8+4" "bytes, MAC4" "record numbers, MAC4" "challenge, DAMK; contacts";
    Purse: "UPDATE BINARY, secured" 0x04 0xD6 "80+SFI offset" "contents, MAC4" "" "challenge, DAMK; contacts";
    Purse: "UPDATE RECORD, secured" 0x04 0xDC "number SFI*8+4" "record, MAC4" "" "challenge, DAMK; contacts";
    Purse: "APPEND RECORD, secured" 0x04 0xE2 "00 SFI*8" "record, MAC4" "" "challenge, DAMK; contacts";
    Purse: "GET BALANCE" 0x80 0x5C "00, 01, 02, 03; 02" "" "amount4" "free";
    Purse: "VERIFY" 0x00 0x20 "00 00" "PIN, or nothing: tries" "" "free; last try: contacts";
    Purse: "CHANGE PIN" 0x80 0x5E "01 00" "old FF new" "" "the old PIN";
    Purse: "RELOAD PIN" 0x80 0x5E "00 00" "PIN, MAC4" "" "DPRK; contacts";
    Purse: "PIN UNBLOCK" 0x84 0x24 "00 00, 00 01" "enciphered PIN, MAC4" "" "challenge, DPUK; contacts";
    Purse: "INITIALIZE FOR LOAD" 0x80 0x50 "00 02" "kid amount4 terminal6" "balance4 seq2 ver alg rnd4 MAC1" "PIN";
    Purse: "INITIALIZE FOR PURCHASE" 0x80 0x50 "01 02" "kid amount4 terminal6" "balance4 seq2 overdraft3 ver alg rnd4" "free";
    Purse: "INITIALIZE FOR CAPP PURCHASE" 0x80 0x50 "03 02" "kid amount4 terminal6" "balance4 seq2 overdraft3 ver alg rnd4" "free";
    Purse: "INITIALIZE FOR OVERDRAFT" 0x80 0x50 "04 01" "kid terminal6" "balance4 seq2 limit3 ver alg rnd4 MAC1" "PIN";
    Purse: "CREDIT FOR LOAD" 0x80 0x52 "00 00" "date4 time3 MAC2" "TAC" "INIT, DLK";
    Purse: "DEBIT" 0x80 0x54 "01 00" "termseq4 date4 time3 MAC1" "TAC MAC2" "INIT, DPK";
    Purse: "UPDATE OVERDRAFT LIMIT" 0x80 0x58 "00 00" "limit3 date4 time3 MAC2" "TAC" "INIT, DUK";
    Purse: "GET TRANSACTION PROVE" 0x80 0x5A "00 type" "seq2" "MAC2 TAC" "free";
    Purse: "UPDATE CAPP DATA CACHE" 0x80 0xDC "record SFI*8" "record" "" "INIT FOR CAPP";
    Purse: "APPLICATION BLOCK" 0x84 0x1E "00 00, 00 01" "MAC4" "" "challenge; 00: DACK or DAMK; 01: DAMK, contacts";
    Purse: "APPLICATION UNBLOCK" 0x84 0x18 "00 00" "MAC4" "" "challenge, DAMK; contacts";
    Purse: "CARD BLOCK" 0x84 0x16 "00 00" "MAC4" "" "challenge, DAMK; contacts";

    Social: "READ BINARY" 0x00 0xB0 "80+SFI offset, or offset" "" "contents" "the file's";
    Social: "READ RECORD" 0x00 0xB2 "number SFI*8+4, tag SFI*8" "" "tag len value" "the file's";
    Social: "SEARCH RECORD" 0x00 0xA2 "from SFI*8+4" "bytes" "record numbers" "the file's";
    Social: "UPDATE BINARY" 0x00 0xD6 "80+SFI offset, or offset" "contents" "" "the file's";
    Social: "UPDATE RECORD" 0x00 0xDC "tag SFI*8" "tag len value" "" "the file's";
    Social: "APPEND RECORD" 0x00 0xE2 "00 SFI*8" "tag len value" "" "the file's";
    Social: "READ BINARY, secured" 0x04 0xB0 "as in clear" "MAC4" "contents, MAC4" "challenge, the file's key; contacts";
    Social: "READ RECORD, secured" 0x04 0xB2 "as in clear" "MAC4" "record, MAC4" "challenge, the file's key; contacts";
    Social: "SEARCH RECORD, secured" 0x04 0xA2 "as in clear" "bytes, MAC4" "numbers, MAC4" "challenge, the file's key; contacts";
    Social: "UPDATE BINARY, secured" 0x04 0xD6 "as in clear" "contents, MAC4" "" "challenge, the file's key; contacts";
    Social: "UPDATE RECORD, secured" 0x04 0xDC "as in clear" "record, MAC4" "" "challenge, the file's key; contacts";
    Social: "APPEND RECORD, secured" 0x04 0xE2 "as in clear" "record, MAC4" "" "challenge, the file's key; contacts";
    Social: "EXTERNAL AUTHENTICATE" 0x00 0x82 "00 kid" "E8 T8; with Le: mutual" "cryptogram8 if mutual" "challenge of 8";
    Social: "INTERNAL AUTHENTICATE" 0x00 0x88 "00 kid" "R8" "cryptogram8" "free";
    Social: "VERIFY" 0x00 0x20 "00 00" "PIN, or nothing: tries" "" "free; last try: contacts";
    Social: "RESET RETRY COUNTER" 0x00 0x2C "02 00, 03 00" "new PIN, or nothing" "" "proof of PUK; contacts";
    Social: "CHANGE PIN" 0x80 0x5E "01 00" "old FF new" "" "the old PIN";
    Social: "PIN UNBLOCK" 0x84 0x24 "00 00, 00 01" "enciphered PIN, MAC4" "" "challenge, PUK; contacts";

    Medical: "EXTERNAL AUTHENTICATE" 0x00 0x82 "00 kid" "E8 T8; with Le: mutual" "cryptogram8 if mutual" "challenge of 8";
    Medical: "INTERNAL AUTHENTICATE" 0x00 0x88 "00 kid" "R8" "cryptogram8" "free";
    Medical: "VERIFY" 0x00 0x20 "00 00" "PIN, or nothing: tries" "" "free; last try: contacts";
    Medical: "RESET RETRY COUNTER" 0x00 0x2C "02 00, 03 00" "new PIN, or nothing" "" "proof of PUK; contacts";
    Medical: "CHANGE PIN" 0x80 0x5E "01 00" "old FF new" "" "the old PIN";
    Medical: "PIN UNBLOCK" 0x84 0x24 "00 00, 00 01" "enciphered PIN, MAC4" "" "challenge, PUK; contacts";
    Medical: "GET BALANCE" 0xB0 0x26 "00 01, 00 02, 00 03" "" "amount4, or amount4 year2" "free";
    Medical: "INITIALIZE FOR LOAD" 0xB0 0x28 "00 01" "kid amount4 terminal6" "balance4 seq2 ver alg rnd4 MAC1" "PIN";
    Medical: "INITIALIZE FOR PURCHASE" 0xB0 0x28 "01 01" "kid 3 x amount4 terminal6" "3 x amount4 year2 seq2 ver alg rnd4" "PIN";
    Medical: "CREDIT FOR LOAD" 0xB0 0x2A "00 00" "date4 time3 MAC2" "TAC" "INIT, MLK";
    Medical: "DEBIT" 0xB0 0x2C "01 00" "termseq4 date4 time3 MAC1" "TAC MAC2" "INIT, MPK";
    Medical: "GET TRANSACTION PROVE" 0xB0 0x2E "00 type" "seq2" "MAC2 TAC" "free";

    Health: "READ BINARY" 0x00 0xB0 "80+SFI offset" "" "contents" "no such file: 6981";
    Health: "READ RECORD" 0x00 0xB2 "number SFI*8+4, tag SFI*8" "" "tag len value" "the file's";
    Health: "SEARCH RECORD" 0x00 0xA2 "from SFI*8+4" "bytes" "record numbers" "the file's";
    Health: "UPDATE BINARY" 0x00 0xD6 "80+SFI offset" "contents" "" "no such file: 6981";
    Health: "UPDATE RECORD" 0x00 0xDC "tag SFI*8" "tag len value" "" "the file's";
    Health: "APPEND RECORD" 0x00 0xE2 "00 SFI*8" "tag len value" "" "the file's";
    Health: "READ BINARY, secured" 0x04 0xB0 "as in clear" "MAC4" "" "no such file: 6981";
    Health: "READ RECORD, secured" 0x04 0xB2 "as in clear" "MAC4" "record, MAC4" "challenge, the file's key; contacts";
    Health: "SEARCH RECORD, secured" 0x04 0xA2 "as in clear" "bytes, MAC4" "numbers, MAC4" "challenge, the file's key; contacts";
    Health: "UPDATE BINARY, secured" 0x04 0xD6 "as in clear" "contents, MAC4" "" "no such file: 6981";
    Health: "UPDATE RECORD, secured" 0x04 0xDC "as in clear" "record, MAC4" "" "challenge, the file's key; contacts";
    Health: "APPEND RECORD, secured" 0x04 0xE2 "as in clear" "record, MAC4" "" "challenge, the file's key; contacts";
    Health: "EXTERNAL AUTHENTICATE" 0x00 0x82 "00 kid" "E8 T8; with Le: mutual" "cryptogram8 if mutual" "challenge of 8";
    Health: "INTERNAL AUTHENTICATE" 0x00 0x88 "00 kid" "R8" "cryptogram8" "free";

    Directory: "READ RECORD" 0x00 0xB2 "01 0C" "" "entry of the purse" "free";

    Sam: "READ BINARY" 0x00 0xB0 "95, 96, 97; offset" "" "serial 10, terminal number 6, class 1" "free";
    Sam: "INIT SAM FOR PURCHASE" 0x80 0x70 "00 00, 00 10" "rnd4 seq2 amount4 type1 date4 time3 ver alg serial8 issuer8 (AES: H0 H1)" "termseq4 MAC1" "key of class and region";
    Sam: "INIT SAM FOR VISIT" 0x80 0x70 "01 00" "rnd4 seq2 3 x amount4 32 date4 time3 ver alg F1 F2" "termseq4 MAC1" "MPK of the region";
    Sam: "CREDIT SAM FOR PURCHASE" 0x80 0x72 "00 00" "MAC2" "" "INIT";
    Sam: "DELIVERY KEY" 0x80 0x1A "45 02" "serial8 issuer8 (alg (version))" "" "DACK of the region";
    Sam: "DELIVERY KEY, social" 0xBF 0xDE "48 kid" "F1 F2 R8 (alg (version))" "" "RK or IRK of the region";
    Sam: "CIPHER DATA" 0x80 0xFA "00 00, 05 00" "T8, or rnd4 zeros4 841E000004800000" "cryptogram8, MAC4" "DELIVERY KEY";
    Sam: "RAISE CEILING" 0x84 0xF0 "00 00" "ceiling4 MAC4" "" "challenge, SAM-CEILING; contacts";
    Sam: "WRITE KEY" 0x84 0xD4 "00 00" "enciphered region3 header4 key16 KCV3, MAC4" "" "challenge, SAM-ISSUE; contacts";

    Issuer: "INITIALIZE UPDATE" 0x80 0x50 "KVN 00" "host challenge 8" "29 or 32 bytes" "free";
    Issuer: "GET DATA" 0x80 0xCA "tag" "" "00E0, 0066, 00CF, 0042, 0045, 9F7F" "free";
    Issuer: "GET DATA" 0x00 0xCA "tag" "" "as with class 80" "free";
    Issuer: "PUT KEY" 0x80 0xD8 "KVN 81" "new KVN, three keys" "KVN, three KCVs" "SCP03";
    Issuer: "STORE DATA" 0x80 0xE2 "08, 88, 10, 90; block" "DGI or BER-TLV" "" "SCP03";
    Issuer: "DELETE" 0x80 0xE4 "00 00" "key version" "00" "SCP03";
    Issuer: "INSTALL" 0x80 0xE6 "20 00" "00 00 len AID 00 00 00" "00" "SCP03";
    Issuer: "SET STATUS" 0x80 0xF0 "80 state, 40 state" "AID" "" "SCP03";
    Issuer: "GET STATUS" 0x80 0xF2 "80, 40; 00, 02" "4F len AID" "AID, state, privileges" "SCP03";

    Pki: "READ BINARY" 0x00 0xB0 "92, 98; offset" "" "contents" "contacts";
    Pki: "READ RECORD" 0x00 0xB2 "number" "" "" "no such file: 6981";
    Pki: "SEARCH RECORD" 0x00 0xA2 "from" "" "" "no such file: 6981";
    Pki: "UPDATE BINARY" 0x00 0xD6 "98 offset" "contents" "" "none in clear";
    Pki: "UPDATE RECORD" 0x00 0xDC "number" "" "" "no such file: 6981";
    Pki: "APPEND RECORD" 0x00 0xE2 "00" "" "" "no such file: 6981";
    Pki: "READ BINARY, secured" 0x04 0xB0 "92, 98; offset" "MAC4" "" "refused, 6982: read them in clear";
    Pki: "READ RECORD, secured" 0x04 0xB2 "number" "MAC4" "" "no such file: 6981";
    Pki: "SEARCH RECORD, secured" 0x04 0xA2 "from" "MAC4" "" "no such file: 6981";
    Pki: "UPDATE BINARY, secured" 0x04 0xD6 "98 offset" "contents, MAC4" "" "challenge, UK; contacts";
    Pki: "UPDATE RECORD, secured" 0x04 0xDC "number" "MAC4" "" "no such file: 6981";
    Pki: "APPEND RECORD, secured" 0x04 0xE2 "00" "MAC4" "" "no such file: 6981";
    Pki: "VERIFY" 0x00 0x20 "00 00" "PIN, or nothing: tries" "" "free; contacts";
    Pki: "CHANGE PIN" 0x80 0x5E "01 00" "old FF new" "" "the old PIN";
    Pki: "GENERATE KEY PAIR" 0x00 0x47 "80 00, 81 00" "B6 00" "7F49 template" "80: PIN";
    Pki: "GENERATE KEY PAIR" 0x00 0x46 "80 00, 81 00" "B6 00" "7F49 template" "80: PIN";
    Pki: "HASH, SIGN" 0x00 0x2A "90 A0, 90 80, 9E 9A" "message" "digest 32, signature 64" "sign: PIN";
    Pki: "GET DATA" 0x00 0xCA "00 93" "" "signatures made 4" "free";
}
