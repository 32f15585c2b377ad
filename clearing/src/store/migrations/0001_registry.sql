-- Who exists: parties, devices, SAMs, cards, insured persons; and the hotlist.
CREATE TABLE operators (id TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE devices (device TEXT PRIMARY KEY, operator TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE sams (sam TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE cards (pan TEXT PRIMARY KEY, psn_no TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE insured (psn_no TEXT PRIMARY KEY, certno TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE hotlist (
    version INTEGER PRIMARY KEY,
    pan TEXT NOT NULL,
    generation INTEGER NOT NULL,
    reason TEXT NOT NULL,
    listed_on TEXT NOT NULL,
    UNIQUE (pan, generation)
);
