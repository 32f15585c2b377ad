-- Movements of blank stock: received > 0, used by a card, spoiled. Never updated.
CREATE TABLE blanks (
    id       INTEGER PRIMARY KEY,
    at       TEXT NOT NULL,
    by_staff TEXT NOT NULL,
    received INTEGER NOT NULL DEFAULT 0 CHECK (received >= 0),
    used     INTEGER NOT NULL DEFAULT 0 CHECK (used IN (0, 1)),
    spoiled  INTEGER NOT NULL DEFAULT 0 CHECK (spoiled IN (0, 1))
) STRICT;
