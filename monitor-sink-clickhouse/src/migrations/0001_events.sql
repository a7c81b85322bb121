-- One row per event. Column names are the field names of an event document.
--
-- Sorted by what questions fix first; `user_hash` before `time` keeps a visitor's events together and makes samples cheap.
-- Unknown text is '', an unknown `value` NaN, an unknown `seq` -1: no nulls. `data` is text because it must come back
-- byte for byte. `user_hash` is cityHash64 of the visitor, or of the session when there is no visitor.
-- The window remembers the tokens of the last inserts: it is what makes a repeated insert harmless. The filter of `id` is
-- strict because a thousand ids are looked up at once: at 0.001 two of three blocks of rows would pass it by chance.
CREATE TABLE IF NOT EXISTS events
(
    id UUID CODEC(ZSTD(1)),
    time DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    received DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    seq Int64 DEFAULT -1 CODEC(T64, ZSTD(1)),
    kind LowCardinality(String) CODEC(ZSTD(1)),
    name LowCardinality(String) CODEC(ZSTD(1)),
    value Float64 DEFAULT nan CODEC(ZSTD(1)),
    project LowCardinality(String) CODEC(ZSTD(1)),
    release LowCardinality(String) CODEC(ZSTD(1)),
    environment LowCardinality(String) CODEC(ZSTD(1)),
    sdk LowCardinality(String) CODEC(ZSTD(1)),
    page String CODEC(ZSTD(1)),
    url String CODEC(ZSTD(1)),
    route LowCardinality(String) CODEC(ZSTD(1)),
    referrer String CODEC(ZSTD(1)),
    title String CODEC(ZSTD(1)),
    session String CODEC(ZSTD(1)),
    visitor String CODEC(ZSTD(1)),
    user String CODEC(ZSTD(1)),
    user_hash UInt64 MATERIALIZED cityHash64(if(visitor = '', session, visitor)) CODEC(ZSTD(1)),
    browser LowCardinality(String) CODEC(ZSTD(1)),
    browser_version LowCardinality(String) CODEC(ZSTD(1)),
    os LowCardinality(String) CODEC(ZSTD(1)),
    os_version LowCardinality(String) CODEC(ZSTD(1)),
    device LowCardinality(String) CODEC(ZSTD(1)),
    screen LowCardinality(String) CODEC(ZSTD(1)),
    viewport LowCardinality(String) CODEC(ZSTD(1)),
    language LowCardinality(String) CODEC(ZSTD(1)),
    connection LowCardinality(String) CODEC(ZSTD(1)),
    timezone LowCardinality(String) CODEC(ZSTD(1)),
    country LowCardinality(String) CODEC(ZSTD(1)),
    ip String CODEC(ZSTD(1)),
    user_agent LowCardinality(String) CODEC(ZSTD(1)),
    fingerprint String CODEC(ZSTD(1)),
    message String CODEC(ZSTD(1)),
    status UInt16 CODEC(T64, ZSTD(1)),
    method LowCardinality(String) CODEC(ZSTD(1)),
    target String CODEC(ZSTD(1)),
    failure LowCardinality(String) CODEC(ZSTD(1)),
    rating LowCardinality(String) CODEC(ZSTD(1)),
    tags Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    data String CODEC(ZSTD(1)),

    INDEX id_bloom id TYPE bloom_filter(0.00001) GRANULARITY 1,
    INDEX session_bloom session TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX fingerprint_bloom fingerprint TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX received_range received TYPE minmax GRANULARITY 1,
    INDEX message_text lowerUTF8(message) TYPE text(tokenizer = ngrams(3))
)
ENGINE = MergeTree
PARTITION BY toDate(time)
ORDER BY (project, kind, name, toDate(time), user_hash, time)
SAMPLE BY user_hash
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
