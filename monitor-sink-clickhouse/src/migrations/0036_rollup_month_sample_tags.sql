-- As in rollup_sample.
ALTER TABLE rollup_month_sample ADD COLUMN IF NOT EXISTS tags Map(String, String) CODEC(ZSTD(1))
