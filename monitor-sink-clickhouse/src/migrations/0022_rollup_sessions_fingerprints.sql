-- The issues that a session has met: distinct and sorted, like `routes` and `kinds`. Which sessions an issue has is asked on its page.
ALTER TABLE rollup_sessions ADD COLUMN IF NOT EXISTS fingerprints Array(LowCardinality(String)) CODEC(ZSTD(1))
