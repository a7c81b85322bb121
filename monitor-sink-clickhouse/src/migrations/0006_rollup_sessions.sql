-- The sessions of a day: one row per session, visitor and combination of dimensions (a session that changes its network has two).
--
-- Bit h of `hours` says that there is an event in hour h (UTC) of the day, which makes distinct visitors and sessions exact for
-- ranges of whole hours. `events`, `views`, `errors`, `clicks`, `rage_clicks` and `failures` are sums of weights. `entry` and `exit` are the
-- routes of the first and last page view, of the first and last event when there is none. `routes` and `kinds` are distinct and sorted.
-- `known` (whether there is a visitor) and `session_hash` (0 when there is no session) are what counting needs of two long texts.
CREATE TABLE IF NOT EXISTS rollup_sessions
(
    project LowCardinality(String) CODEC(ZSTD(1)),
    day Date CODEC(ZSTD(1)),
    user_hash UInt64 CODEC(ZSTD(1)),
    session String CODEC(ZSTD(1)),
    visitor String CODEC(ZSTD(1)),
    known UInt8 MATERIALIZED notEmpty(visitor) CODEC(ZSTD(1)),
    session_hash UInt64 MATERIALIZED if(empty(session), 0, cityHash64(session)) CODEC(ZSTD(1)),
    user String CODEC(ZSTD(1)),
    browser LowCardinality(String) CODEC(ZSTD(1)),
    os LowCardinality(String) CODEC(ZSTD(1)),
    device LowCardinality(String) CODEC(ZSTD(1)),
    country LowCardinality(String) CODEC(ZSTD(1)),
    connection LowCardinality(String) CODEC(ZSTD(1)),
    language LowCardinality(String) CODEC(ZSTD(1)),
    release LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    hours UInt32 CODEC(ZSTD(1)),
    start DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    end DateTime64(3, 'UTC') CODEC(ZSTD(1)),
    rows UInt64 CODEC(T64, ZSTD(1)),
    events Float64 CODEC(ZSTD(1)),
    views Float64 CODEC(ZSTD(1)),
    errors Float64 CODEC(ZSTD(1)),
    clicks Float64 CODEC(ZSTD(1)),
    rage_clicks Float64 CODEC(ZSTD(1)),
    failures Float64 CODEC(ZSTD(1)),
    entry LowCardinality(String) CODEC(ZSTD(1)),
    exit LowCardinality(String) CODEC(ZSTD(1)),
    routes Array(LowCardinality(String)) CODEC(ZSTD(1)),
    kinds Array(LowCardinality(String)) CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY day
ORDER BY (project, user_hash, session)
SAMPLE BY user_hash
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1
