-- Admission: one row a signed batch, durable before the answer. Ranges of one device never overlap;
-- the single writer checks that inside its transaction.
CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    body BLOB NOT NULL,
    hash TEXT NOT NULL,
    signature BLOB NOT NULL,
    day TEXT NOT NULL,
    admitted_at TEXT NOT NULL,
    answer TEXT,
    UNIQUE (device, first_seq)
);
CREATE INDEX batches_open ON batches (day) WHERE answer IS NULL;
-- Application: one immutable row a record.
CREATE TABLE records (
    device TEXT NOT NULL,
    journal_seq INTEGER NOT NULL,
    batch INTEGER NOT NULL REFERENCES batches (id),
    day TEXT NOT NULL,
    at TEXT NOT NULL,
    mode TEXT NOT NULL,
    operator TEXT NOT NULL,
    outcome INTEGER NOT NULL,
    detail TEXT NOT NULL,
    hash TEXT NOT NULL,
    body TEXT NOT NULL,
    pan TEXT NOT NULL,
    app TEXT NOT NULL,
    card_seq INTEGER,
    sam TEXT,
    terminal_seq INTEGER,
    amount INTEGER NOT NULL,
    completes INTEGER,
    proved INTEGER NOT NULL,
    claims_card INTEGER NOT NULL,
    claims_sam INTEGER NOT NULL,
    PRIMARY KEY (device, journal_seq)
);
CREATE UNIQUE INDEX records_card ON records (pan, app, card_seq) WHERE claims_card = 1;
CREATE UNIQUE INDEX records_sam ON records (sam, terminal_seq) WHERE claims_sam = 1;
CREATE INDEX records_day ON records (day);
CREATE INDEX records_completes ON records (device, completes) WHERE completes IS NOT NULL;
