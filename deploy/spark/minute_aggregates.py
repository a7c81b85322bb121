"""Reads the topics of events, cleans and de-duplicates them, and keeps one row for each project, minute, kind and name up to
date in a topic of its own, or in files. What the numbers mean is written in docs/stream-jobs.md.

    spark-submit --packages org.apache.spark:spark-sql-kafka-0-10_2.13:4.0.0 \\
        deploy/spark/minute_aggregates.py --brokers kafka-1:9092 --checkpoint s3a://bucket/minutes
"""

import argparse

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as f

TOPICS = "monitor.errors,monitor.performance,monitor.behavior"

# Of the documented fields, those that are used here.
SCHEMA = """id STRING, time BIGINT, received BIGINT, kind STRING, name STRING, project STRING,
            value DOUBLE, weight DOUBLE, visitor STRING"""

MINUTE = 60_000
DAY = 24 * 60 * MINUTE

# The largest values that can be true, by kinds and names (any, if none are named); the smallest is 0. These are the ranges of
# monitor_core::enrich::Validity.
LARGEST = [
    (["vital"], ["LCP", "FCP", "FP", "TTFB", "INP", "TTI", "TBT"], 60_000),
    (["vital"], ["CLS"], 100),
    (["navigation", "longtask"], None, 600_000),
    (["resource", "request"], None, 3_600_000),
    (["time_on_page"], None, 604_800_000),
    (["scroll_depth"], None, 100),
]

# What makes a row of the result, and the key of its message.
KEY = ["project", "time", "kind", "name"]


def instant(milliseconds: Column) -> Column:
    return f.timestamp_millis(milliseconds)


def parsed(messages: DataFrame) -> DataFrame:
    """One row for each message; fields that cannot be read are null."""
    body = f.from_json(f.col("value").cast("string"), SCHEMA)
    return messages.select(body.alias("event"), f.col("timestamp").alias("produced")).select("event.*", "produced")


def cleaned(events: DataFrame) -> DataFrame:
    """Complete events with a time that can be true. An event whose value cannot be true is counted, but has no value."""
    id = f.lower(f.regexp_replace("id", "-", ""))
    weight = f.coalesce("weight", f.lit(1.0))
    # The receiver replaces times that are older than 7 days or more than a minute ahead of its clock. What comes with such
    # a time nevertheless was not written by a receiver, and must not move the watermark.
    time_is_plausible = f.col("time").between(f.col("received") - 7 * DAY, f.col("received") + MINUTE) & (
        instant(f.col("received")) <= f.col("produced") + f.expr("INTERVAL 1 MINUTE")
    )
    value_is_plausible = f.lit(True)
    for kinds, names, largest in LARGEST:
        concerned = f.col("kind").isin(kinds) & (f.col("name").isin(names) if names else f.lit(True))
        value_is_plausible &= ~concerned | f.col("value").between(0, largest)
    return events.where(
        (f.col("project") != "")
        & (f.col("kind") != "")
        & id.rlike("^[0-9a-f]{32}$")
        & time_is_plausible
        & weight.between(1, 1e9)
    ).select(
        "project",
        id.alias("id"),
        instant(f.col("time")).alias("at"),
        "kind",
        f.coalesce("name", f.lit("")).alias("name"),
        f.when(value_is_plausible, f.col("value")).alias("value"),
        weight.alias("weight"),
        f.coalesce("visitor", f.lit("")).alias("visitor"),
    )


def minutes(events: DataFrame) -> DataFrame:
    """The numbers of each project, minute, kind and name. `events` has a watermark."""
    has_value = f.col("value").isNotNull()
    return (
        events.dropDuplicatesWithinWatermark(["project", "id"])
        .groupBy("project", f.window("at", "1 minute"), "kind", "name")
        .agg(
            f.sum("weight").alias("count"),
            f.sum(f.when(has_value, f.col("weight")).otherwise(0.0)).alias("value_count"),
            f.sum(f.col("value") * f.col("weight")).alias("sum"),
            f.min("value").alias("min"),
            f.max("value").alias("max"),
            # A streaming query has no exact distinct count; the set of a minute's visitors is small.
            f.size(f.collect_set(f.when(f.col("visitor") != "", f.col("visitor")))).alias("visitors"),
        )
        .select(
            "project",
            f.unix_millis("window.start").alias("time"),
            "kind",
            "name",
            "count",
            "value_count",
            "sum",
            "min",
            "max",
            "visitors",
        )
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Aggregates events by minute.")
    parser.add_argument("--brokers", default="127.0.0.1:9092")
    parser.add_argument("--topics", default=TOPICS, help="separated by commas")
    parser.add_argument("--kafka", action="append", default=[], metavar="KEY=VALUE", help="setting of every Kafka client")
    parser.add_argument("--checkpoint", required=True, help="folder that remembers what was read; one for each running job")
    parser.add_argument("--to-topic", metavar="TOPIC", help="write the changed minutes there; monitor.minutes by default")
    parser.add_argument("--to-files", metavar="FOLDER", help="write the changed minutes there, as JSON lines")
    parser.add_argument("--lateness", default="72 hours", help="how old events may be; ids and minutes are remembered that long")
    parser.add_argument("--every", default="10 seconds", help="how often minutes are written")
    parser.add_argument("--max-messages", type=int, default=1_000_000, help="read at once")
    parser.add_argument("--once", action="store_true", help="stop when all that is there now has been read")
    options = parser.parse_args()
    if options.to_topic is None and options.to_files is None:
        options.to_topic = "monitor.minutes"
    return options


def main() -> None:
    options = arguments()
    kafka = {"kafka.bootstrap.servers": options.brokers}
    for setting in options.kafka:
        key, _, value = setting.partition("=")
        kafka[f"kafka.{key}"] = value

    spark = (
        SparkSession.builder.appName("monitor minute aggregates")
        # The ids of days do not belong on the heap.
        .config(
            "spark.sql.streaming.stateStore.providerClass",
            "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
        )
        .getOrCreate()
    )

    messages = (
        spark.readStream.format("kafka")
        .options(**kafka)
        .option("subscribe", options.topics)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", options.max_messages)
        .load()
    )

    def write(changed: DataFrame, batch: int) -> None:
        """Rows are whole numbers of their minute, not differences: to write a batch a second time changes nothing."""
        changed = changed.persist()
        try:
            if options.to_topic:
                key = f.to_json(f.struct(*KEY)).alias("key")
                value = f.to_json(f.struct(*changed.columns)).alias("value")
                changed.select(key, value).write.format("kafka").options(**kafka).option("topic", options.to_topic).save()
            if options.to_files:
                changed.coalesce(1).write.mode("overwrite").json(f"{options.to_files}/batch={batch:010}")
        finally:
            changed.unpersist()

    stream = minutes(cleaned(parsed(messages)).withWatermark("at", options.lateness)).writeStream
    trigger = {"availableNow": True} if options.once else {"processingTime": options.every}
    stream.outputMode("update").option("checkpointLocation", options.checkpoint).foreachBatch(write).trigger(
        **trigger
    ).start().awaitTermination()


if __name__ == "__main__":
    main()
