-- rollup_route_totals by month: see rollup_month_hours. Sorted by day before the route, as rollup_month_routes is.
CREATE TABLE IF NOT EXISTS rollup_month_route_totals
AS rollup_route_totals
ENGINE = MergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (project, kind, name, day, route, environment, failed, band, bucket)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
