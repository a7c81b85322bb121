-- rollup_totals by month: see rollup_month_hours.
CREATE TABLE IF NOT EXISTS rollup_month_totals
AS rollup_totals
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (project, kind, name, hour, environment, failed, band, bucket)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
