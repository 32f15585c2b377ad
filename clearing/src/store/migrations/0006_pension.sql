-- When a pension began; proofs of life are records. The state is computed from both.
CREATE TABLE pensions (
    psn_no TEXT PRIMARY KEY,
    monthly INTEGER NOT NULL,
    since TEXT NOT NULL
);
