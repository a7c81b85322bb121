-- The events of an eighth of the visitors and all errors, with the columns that tell events apart: what samples are read from, and issues.
--
-- A sample takes few rows of each day, kind and name of the events, and their granules with them: one row in seven that are read. Here a
-- kind's events are sorted by visitor alone, so that a sample is one stretch, and by month one stretch for all days. Who has no hash of
-- their own (neither visitor nor session) is in here as a whole. `known`: whether there is a visitor; hashes are 0 when there is no text.
CREATE TABLE IF NOT EXISTS rollup_sample
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    seq Int64 CODEC(T64, ZSTD(1)),
    user_hash UInt64 CODEC(ZSTD(1)),
    known UInt8 CODEC(ZSTD(1)),
    session_hash UInt64 CODEC(ZSTD(1)),
    page_hash UInt32 CODEC(ZSTD(1)),
    value Float64 CODEC(ZSTD(1)),
    weight Float32 CODEC(ZSTD(1)),
    release LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    route LowCardinality(String) CODEC(ZSTD(1)),
    referrer LowCardinality(String) CODEC(ZSTD(1)),
    browser LowCardinality(String) CODEC(ZSTD(1)),
    os LowCardinality(String) CODEC(ZSTD(1)),
    device LowCardinality(String) CODEC(ZSTD(1)),
    language LowCardinality(String) CODEC(ZSTD(1)),
    connection LowCardinality(String) CODEC(ZSTD(1)),
    country LowCardinality(String) CODEC(ZSTD(1)),
    target LowCardinality(String) CODEC(ZSTD(1)),
    method LowCardinality(String) CODEC(ZSTD(1)),
    status UInt16 CODEC(T64, ZSTD(1)),
    failure LowCardinality(String) CODEC(ZSTD(1)),
    rating LowCardinality(String) CODEC(ZSTD(1)),
    fingerprint LowCardinality(String) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (project, kind, user_hash, time)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
