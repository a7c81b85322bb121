-- rollup_targets by month: see rollup_month_hours.
CREATE TABLE IF NOT EXISTS rollup_month_targets
AS rollup_targets
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (project, kind, name, day, target, method, status, failure, environment, failed, band, bucket)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
