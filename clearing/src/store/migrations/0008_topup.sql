-- A reversed top-up whose TAC comes after all is reinstated; one below the card's later online
-- sequence was taken, TAC or not: `taken_by` is the later one.
ALTER TABLE topups ADD COLUMN reinstated_on TEXT;
ALTER TABLE topups ADD COLUMN taken_by INTEGER REFERENCES topups (id);
