-- As in rollup_routes.
ALTER TABLE rollup_issues ADD COLUMN IF NOT EXISTS until DateTime('UTC') CODEC(ZSTD(1))
