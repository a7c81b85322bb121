-- What a closed day holds by route, over all releases and devices. Added up from rollup_routes; the measures are the same.
CREATE TABLE IF NOT EXISTS rollup_route_totals
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    route LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    failed UInt8 CODEC(ZSTD(1)),
    band UInt8 CODEC(ZSTD(1)),
    bucket Int16 CODEC(ZSTD(1)),
    rows UInt64 CODEC(T64, ZSTD(1)),
    count Float64 CODEC(ZSTD(1)),
    total Float64 CODEC(ZSTD(1)),
    low Float64 CODEC(ZSTD(1)),
    high Float64 CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY day
ORDER BY (project, kind, name, route, environment, failed, band, bucket)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
