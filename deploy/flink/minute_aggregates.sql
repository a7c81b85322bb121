-- Reads the topics of events, cleans and de-duplicates them, and keeps one row for each project, minute, kind and name up to
-- date in a topic of its own. What the numbers mean is written in docs/stream-jobs.md.
--
-- ${NAME:-default} is filled in by deploy/flink/render:
--
--   BROKERS=kafka-1:9092,kafka-2:9092 deploy/flink/render > job.sql && sql-client.sh -f job.sql
--
-- Flink needs these jars in its lib folder: flink-sql-connector-kafka, flink-json, and zstd-jni, as the topics are compressed.

SET 'pipeline.name' = 'monitor minute aggregates';
SET 'execution.checkpointing.interval' = '${CHECKPOINT_INTERVAL:-30 s}';
-- Ids and minutes are remembered for this long. It must be longer than LATENESS_HOURS: a minute that was forgotten
-- would start again from nothing and replace the right numbers in the topic.
SET 'table.exec.state.ttl' = '${STATE_TTL:-80 h}';
-- A minute is written once for many events, not once for each.
SET 'table.exec.mini-batch.enabled' = 'true';
SET 'table.exec.mini-batch.allow-latency' = '${WRITE_EVERY:-5 s}';
SET 'table.exec.mini-batch.size' = '20000';
-- 'true' makes the client wait for the end of the job: for bounded runs.
SET 'table.dml-sync' = '${WAIT:-false}';

CREATE TEMPORARY TABLE messages (
  id STRING,
  `time` BIGINT,
  received BIGINT,
  kind STRING,
  name STRING,
  project STRING,
  `value` DOUBLE,
  weight DOUBLE,
  visitor STRING,
  produced TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  processed AS PROCTIME()
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '${BROKERS:-127.0.0.1:9092}',
  'properties.group.id' = '${GROUP:-monitor-minutes}',
  'topic' = '${TOPICS:-monitor.errors;monitor.performance;monitor.behavior}',
  'scan.startup.mode' = '${START:-earliest-offset}',
  'scan.bounded.mode' = '${BOUNDED:-unbounded}',
  'format' = 'json',
  'json.ignore-parse-errors' = 'true'
);

-- Complete events with a time that can be true and whose minute is still remembered. An event whose value cannot be true is
-- counted, but has no value: these are the ranges of monitor_core::enrich::Validity.
CREATE TEMPORARY VIEW events AS
SELECT
  project,
  LOWER(REPLACE(id, '-', '')) AS id,
  `time` - MOD(`time`, 60000) AS `minute`,
  kind,
  COALESCE(name, '') AS name,
  CASE WHEN CASE
    WHEN kind = 'vital' AND name IN ('LCP', 'FCP', 'FP', 'TTFB', 'INP', 'TTI', 'TBT') THEN `value` BETWEEN 0 AND 60000
    WHEN kind = 'vital' AND name = 'CLS' THEN `value` BETWEEN 0 AND 100
    WHEN kind IN ('navigation', 'longtask') THEN `value` BETWEEN 0 AND 600000
    WHEN kind IN ('resource', 'request') THEN `value` BETWEEN 0 AND 3600000
    WHEN kind = 'time_on_page' THEN `value` BETWEEN 0 AND 604800000
    WHEN kind = 'scroll_depth' THEN `value` BETWEEN 0 AND 100
    ELSE TRUE
  END THEN `value` END AS `value`,
  COALESCE(weight, 1) AS weight,
  COALESCE(visitor, '') AS visitor,
  processed
FROM messages
WHERE project <> ''
  AND kind <> ''
  AND REGEXP(REPLACE(id, '-', ''), '^[0-9a-fA-F]{32}$')
  AND COALESCE(weight, 1) BETWEEN 1 AND 1e9
  -- The receiver replaces times that are older than 7 days or more than a minute ahead of its clock. What comes with such a
  -- time nevertheless was not written by a receiver.
  AND `time` BETWEEN received - 7 * 86400000 AND received + 60000
  AND TO_TIMESTAMP_LTZ(received, 3) <= TIMESTAMPADD(MINUTE, 1, produced)
  -- By the broker's time and not by a watermark: so it is the same events in every run, and mini-batches are possible,
  -- behind which there are no watermarks of events.
  AND produced <= TIMESTAMPADD(HOUR, ${LATENESS_HOURS:-72}, TO_TIMESTAMP_LTZ(`time`, 3));

-- Only the first of those with the same id.
CREATE TEMPORARY VIEW first_events AS
SELECT * FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY project, id ORDER BY processed) AS copy
  FROM events
) WHERE copy = 1;

CREATE TEMPORARY TABLE minutes_topic (
  project STRING,
  `time` BIGINT,
  kind STRING,
  name STRING,
  `count` DOUBLE,
  value_count DOUBLE,
  `sum` DOUBLE,
  `min` DOUBLE,
  `max` DOUBLE,
  visitors BIGINT,
  PRIMARY KEY (project, `time`, kind, name) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'properties.bootstrap.servers' = '${BROKERS:-127.0.0.1:9092}',
  'topic' = '${MINUTES:-monitor.minutes}',
  'key.format' = 'json',
  'value.format' = 'json',
  'value.json.encode.ignore-null-fields' = 'true'
);

-- To look at the numbers without writing them: SINK=print.
CREATE TEMPORARY TABLE minutes_print WITH ('connector' = 'print') LIKE minutes_topic (EXCLUDING OPTIONS);

INSERT INTO minutes_${SINK:-topic}
SELECT
  project,
  `minute`,
  kind,
  name,
  SUM(weight),
  COALESCE(SUM(weight) FILTER (WHERE `value` IS NOT NULL), 0),
  SUM(`value` * weight),
  MIN(`value`),
  MAX(`value`),
  COUNT(DISTINCT visitor) FILTER (WHERE visitor <> '')
FROM first_events
GROUP BY project, `minute`, kind, name;
