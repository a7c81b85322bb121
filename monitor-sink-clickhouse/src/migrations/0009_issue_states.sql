-- What people have decided about issues; of the rows of an issue the one that was decided last counts.
CREATE TABLE IF NOT EXISTS issue_states
(
    project LowCardinality(String),
    fingerprint String,
    status LowCardinality(String),
    decided DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(decided)
ORDER BY (project, fingerprint)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
