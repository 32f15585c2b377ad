-- Cards by their running number. A person has at most one live card.
CREATE TABLE cards (
    seq        INTEGER PRIMARY KEY,
    pan        TEXT NOT NULL UNIQUE,
    psn_no     TEXT NOT NULL REFERENCES persons (psn_no),
    order_id   INTEGER NOT NULL REFERENCES orders (id),
    generation INTEGER NOT NULL CHECK (generation BETWEEN 1 AND 255),
    options    TEXT NOT NULL,
    state      TEXT NOT NULL,
    chip       TEXT,
    valid_from TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX cards_one_live ON cards (psn_no)
    WHERE state NOT IN ('replaced', 'retired', 'spoiled');
CREATE INDEX cards_queue ON cards (order_id, state, seq);
CREATE INDEX cards_person ON cards (psn_no);
-- One chip carries one card.
CREATE UNIQUE INDEX cards_chip ON cards (chip) WHERE chip IS NOT NULL;
