-- Whether the day, as it was built last, is in the tables by month as well.
ALTER TABLE rollup_state ADD COLUMN IF NOT EXISTS monthly UInt8 DEFAULT 0
