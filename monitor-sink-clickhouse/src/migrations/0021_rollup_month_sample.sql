-- rollup_sample by month: see rollup_month_hours.
CREATE TABLE IF NOT EXISTS rollup_month_sample
AS rollup_sample
ENGINE = MergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (project, kind, user_hash, time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
