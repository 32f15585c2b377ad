-- Persons whose every field was checked at intake. `body` is the person as JSON.
CREATE TABLE persons (
    psn_no TEXT PRIMARY KEY NOT NULL,
    certno TEXT NOT NULL UNIQUE,
    body   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
