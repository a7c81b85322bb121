-- rollup_issues by month: see rollup_month_hours.
CREATE TABLE IF NOT EXISTS rollup_month_issues
AS rollup_issues
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (project, fingerprint, kind, day)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
