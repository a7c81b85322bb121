-- rollup_sessions by month: see rollup_month_hours. A visitor's days are neighbours, and a sample of visitors is one stretch of the part.
CREATE TABLE IF NOT EXISTS rollup_month_sessions
AS rollup_sessions
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (project, user_hash, day, session)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
