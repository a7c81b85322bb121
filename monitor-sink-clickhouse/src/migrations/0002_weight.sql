-- How many events a row stands for. Rows from before, and of processes that do not know the column yet, stand for themselves.
ALTER TABLE events ADD COLUMN IF NOT EXISTS weight Float32 DEFAULT 1 CODEC(ZSTD(1)) AFTER value
