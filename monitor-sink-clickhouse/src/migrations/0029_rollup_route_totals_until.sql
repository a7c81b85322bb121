-- As in rollup_routes.
ALTER TABLE rollup_route_totals ADD COLUMN IF NOT EXISTS until DateTime('UTC') CODEC(ZSTD(1))
