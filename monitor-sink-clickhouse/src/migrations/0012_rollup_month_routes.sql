-- rollup_routes by month: see rollup_month_hours. Sorted by day before the route: every question has a range, few ask about one route.
CREATE TABLE IF NOT EXISTS rollup_month_routes
AS rollup_routes
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (project, kind, name, day, route, device, environment, release, failed, band, bucket)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
