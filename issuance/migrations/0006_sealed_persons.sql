-- Personal data rest wrapped by the HSM: `certno_hash` is its keyed hash of the identity number,
-- `body` its blob over the person's JSON, bound to the person number. Both in hex.
ALTER TABLE persons RENAME COLUMN certno TO certno_hash;
