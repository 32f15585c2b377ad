-- Online top-ups. At most one live authorisation for each (card, online sequence).
CREATE TABLE topups (
    id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    device TEXT NOT NULL,
    operator TEXT NOT NULL,
    pan TEXT NOT NULL,
    seq INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL,
    time TEXT NOT NULL,
    -- held, authorised, confirmed, reversed, refused
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    mac2 BLOB,
    tac BLOB,
    confirmed_on TEXT,
    reversed_on TEXT
);
CREATE UNIQUE INDEX topups_card ON topups (pan, seq) WHERE state IN ('authorised', 'confirmed');
CREATE INDEX topups_day ON topups (day);
