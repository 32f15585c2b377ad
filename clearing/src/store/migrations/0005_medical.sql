-- National interface: answered messages, visits, lines, settlements, accumulators, accounts.
CREATE TABLE messages (
    msgid TEXT PRIMARY KEY,
    institution TEXT NOT NULL,
    hash TEXT NOT NULL,
    response TEXT NOT NULL
);
CREATE TABLE visits (
    id INTEGER PRIMARY KEY,
    institution TEXT NOT NULL,
    psn_no TEXT NOT NULL,
    insutype TEXT NOT NULL,
    mdtrtarea TEXT NOT NULL,
    ipt_otp_no TEXT NOT NULL,
    UNIQUE (institution, ipt_otp_no)
);
CREATE TABLE lines (
    visit INTEGER NOT NULL REFERENCES visits (id),
    feedetl_sn TEXT NOT NULL,
    chrg_bchno TEXT NOT NULL,
    sent TEXT NOT NULL,
    priced TEXT NOT NULL,
    settlement INTEGER,
    PRIMARY KEY (visit, feedetl_sn)
);
CREATE TABLE settlements (
    id INTEGER PRIMARY KEY,
    visit INTEGER NOT NULL REFERENCES visits (id),
    day TEXT NOT NULL,
    institution TEXT NOT NULL,
    psn_no TEXT NOT NULL,
    city TEXT NOT NULL,
    insutype TEXT NOT NULL,
    year INTEGER NOT NULL,
    chrg_bchno TEXT NOT NULL,
    msgid TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    answer TEXT NOT NULL,
    reverses INTEGER UNIQUE REFERENCES settlements (id)
);
CREATE INDEX settlements_day ON settlements (day);
CREATE TABLE accumulators (
    psn_no TEXT NOT NULL,
    insutype TEXT NOT NULL,
    year INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (psn_no, insutype, year)
);
-- Personal medical accounts: opening balance by the registry, present balance by settlements.
CREATE TABLE accounts (
    psn_no TEXT PRIMARY KEY,
    city TEXT NOT NULL,
    opening INTEGER NOT NULL,
    balance INTEGER NOT NULL CHECK (balance >= 0)
);
CREATE TABLE signins (id INTEGER PRIMARY KEY, institution TEXT NOT NULL, opter TEXT NOT NULL, at TEXT NOT NULL);
