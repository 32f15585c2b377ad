-- What a second person must agree to, and what came of it; parameters published; what devices told.
CREATE TABLE proposals (
    number INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_at TEXT NOT NULL,
    approved_by TEXT,
    approved_at TEXT
);
CREATE TABLE parameters (
    version INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    signature TEXT NOT NULL
);
CREATE TABLE parameter_reports (
    device TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    at TEXT NOT NULL
);
-- A card taken off the hotlist keeps its row, with the version in which it went.
ALTER TABLE hotlist ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
