-- Which days have been looked at for events that are stored more than once; of the rows of a day the latest counts. `rows` and `block` are the
-- signature of the day's events at that time (see rollup_state), `copies` how many were removed.
CREATE TABLE IF NOT EXISTS repair_state
(
    day Date,
    rows UInt64,
    block Int64,
    copies UInt64,
    looked DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(looked)
ORDER BY day
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
