-- The closed days of rollup_hours once more, a month in a part: a question over weeks opens one or two parts instead of one for each day.
-- Months are replaced as a whole; rollup_state says which days are in, as they are.
CREATE TABLE IF NOT EXISTS rollup_month_hours
AS rollup_hours
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (project, kind, name, hour, environment, release, device, failed, band, bucket)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
