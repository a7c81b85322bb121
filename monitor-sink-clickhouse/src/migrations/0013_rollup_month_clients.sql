-- rollup_clients by month: see rollup_month_hours.
CREATE TABLE IF NOT EXISTS rollup_month_clients
AS rollup_clients
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (project, kind, name, day, country, browser, os, device, connection, environment, failed, band, bucket)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
