-- One balanced entry per (source, account pair): a debit account, a credit account, one amount.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    source TEXT NOT NULL,
    source_id TEXT NOT NULL,
    debit TEXT NOT NULL,
    credit TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    CHECK (debit <> credit),
    UNIQUE (source, source_id, debit, credit)
);
CREATE INDEX entries_day ON entries (day);
-- A day row exists from the cut-off on; the report is there once it is closed.
CREATE TABLE days (day TEXT PRIMARY KEY, report TEXT);
