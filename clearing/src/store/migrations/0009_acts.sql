-- Privileged acts, who asked for them and when: each hash covers the one before.
CREATE TABLE acts (
    number INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    hash TEXT NOT NULL
);
