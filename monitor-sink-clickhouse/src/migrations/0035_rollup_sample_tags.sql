-- The tags of an event, which its visitor's other events have, too: next to each other they take little. Errors are looked at by tag, and their events
-- lie in as many places as there are days.
ALTER TABLE rollup_sample ADD COLUMN IF NOT EXISTS tags Map(String, String) CODEC(ZSTD(1))
