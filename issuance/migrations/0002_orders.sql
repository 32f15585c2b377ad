-- Orders. The two people of an approved order differ, whatever a program above does.
CREATE TABLE orders (
    id       INTEGER PRIMARY KEY,
    purpose  TEXT NOT NULL,
    options  TEXT NOT NULL,
    author   TEXT NOT NULL,
    drafted  TEXT NOT NULL,
    approver TEXT,
    approved TEXT,
    CHECK ((approver IS NULL) = (approved IS NULL)),
    CHECK (approver IS NULL OR lower(approver) <> lower(author))
) STRICT;
