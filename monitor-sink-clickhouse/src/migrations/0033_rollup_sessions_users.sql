-- The users of a session: distinct and sorted, like `routes` and `kinds`, with '' for its events before somebody logged in. `user` is the last one.
ALTER TABLE rollup_sessions ADD COLUMN IF NOT EXISTS users Array(String) CODEC(ZSTD(1))
