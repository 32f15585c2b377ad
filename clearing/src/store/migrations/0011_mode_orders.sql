-- Modes of operation ordered for every device; what is ordered is never taken out.
CREATE TABLE mode_orders (
    version INTEGER PRIMARY KEY,
    starts TEXT NOT NULL,
    mode TEXT NOT NULL
);
