-- What a proved debit is known by: the fields that every suite's TAC covers, and the TAC itself.
-- SM4 and 3DES leave sequence and balance out of the TAC: such a sequence is what a device says, and
-- claims nothing. `claims_card` is a sequence that the card itself vouches for; `posted` is money.
ALTER TABLE records ADD COLUMN debit_time TEXT;
ALTER TABLE records ADD COLUMN tac TEXT;
ALTER TABLE records ADD COLUMN seq_authenticated INTEGER NOT NULL DEFAULT 0;
ALTER TABLE records ADD COLUMN posted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE records ADD COLUMN setl_id TEXT;
ALTER TABLE records ADD COLUMN claims_settlement INTEGER NOT NULL DEFAULT 0;
UPDATE records SET
    debit_time = json_extract(body, '$.event.time'),
    tac = json_extract(body, '$.event.debit.tac'),
    seq_authenticated = coalesce(json_extract(body, '$.event.card.suite') = 'aes', 0),
    posted = claims_card,
    setl_id = json_extract(body, '$.event.setl_id');
UPDATE records SET claims_card = 0 WHERE seq_authenticated = 0;
UPDATE records SET claims_settlement = 1 WHERE rowid IN (
    SELECT min(rowid) FROM records
    WHERE app = 'medical' AND posted = 1 AND outcome IN (0, 3) GROUP BY setl_id);
CREATE INDEX records_debit ON records (pan, app, card_seq) WHERE posted = 1;
CREATE UNIQUE INDEX records_tac ON records (pan, app, sam, terminal_seq, debit_time, tac)
    WHERE posted = 1;
CREATE UNIQUE INDEX records_settlement ON records (setl_id) WHERE claims_settlement = 1;
-- Every key that a device ever signed with: what it signed before a change still verifies.
CREATE TABLE device_keys (device TEXT NOT NULL, public_key TEXT NOT NULL, PRIMARY KEY (device, public_key));
INSERT INTO device_keys SELECT device, json_extract(body, '$.public_key') FROM devices;
