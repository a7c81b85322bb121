-- Up to which time a row's events are in it: of the open day an hour more with every build. Only questions that know the same time can
-- put the rest beside it.
ALTER TABLE rollup_routes ADD COLUMN IF NOT EXISTS until DateTime('UTC') CODEC(ZSTD(1))
