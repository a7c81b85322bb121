-- As in rollup_sessions.
ALTER TABLE rollup_month_sessions ADD COLUMN IF NOT EXISTS users Array(String) CODEC(ZSTD(1))
