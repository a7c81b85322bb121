-- Which days the rollups hold, and of which events; of the rows of a day the one that was built last counts.
--
-- Events before `until` are in: the end of the day when it is closed. `rows` and `block` are the signature of the day's events, read before
-- they were: their number, and the largest number that an insert or a mutation has given their parts. `definition` is the version of the
-- rollups' definitions, `expired` a hash of the projects whose events of that day are no longer kept, `stored` the rows of all rollups of
-- the day. A day whose figures are no longer these is built again. The rows of the projects in `frozen` are then taken over instead: their
-- events are gone.
CREATE TABLE IF NOT EXISTS rollup_state
(
    day Date,
    until DateTime('UTC'),
    rows UInt64,
    block Int64,
    definition UInt16,
    expired UInt64,
    frozen Array(String),
    stored UInt64,
    built DateTime64(3, 'UTC'),
    took_ms UInt32
)
ENGINE = ReplacingMergeTree(built)
ORDER BY day
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
