-- The issues of a closed day: errors and messages that have a fingerprint. `name` and `message` are those of the latest event;
-- `release_first` and `release_last` the releases of the first and the last.
CREATE TABLE IF NOT EXISTS rollup_issues
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    fingerprint String CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    rows UInt64 CODEC(T64, ZSTD(1)),
    count Float64 CODEC(ZSTD(1)),
    first DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    last DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    message String CODEC(ZSTD(1)),
    release_first LowCardinality(String) CODEC(ZSTD(1)),
    release_last LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY day
ORDER BY (project, fingerprint, kind)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
