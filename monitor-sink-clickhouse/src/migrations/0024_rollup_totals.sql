-- What an hour holds over all releases and devices, for questions that tell neither apart. Added up from rollup_hours; the measures are the same.
CREATE TABLE IF NOT EXISTS rollup_totals
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    hour DateTime('UTC') CODEC(ZSTD(1)),
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
PARTITION BY toDate(hour)
ORDER BY (project, kind, name, hour, environment, failed, band, bucket)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
