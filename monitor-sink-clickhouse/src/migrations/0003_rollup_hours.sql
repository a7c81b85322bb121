-- What an hour holds, for questions over time: one row per combination of dimensions and bucket of the value.
--
-- `bucket` is a twelfth of an octave of the value (see rollup/bucket.rs), `band` its rating as a web vital (0 none, 1 good,
-- 2 needs improvement, 3 poor), `failed` whether the events name a failure. `rows` counts events as stored, `count` what they
-- stand for (sum of weights), `total` is the sum of value * weight; `low` and `high` are NaN in the bucket without values.
-- The rollups of a day are replaced as a whole, so nothing is ever inserted into this table itself.
CREATE TABLE IF NOT EXISTS rollup_hours
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    hour DateTime('UTC') CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    release LowCardinality(String) CODEC(ZSTD(1)),
    device LowCardinality(String) CODEC(ZSTD(1)),
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
ORDER BY (project, kind, name, hour, environment, release, device, failed, band, bucket)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
