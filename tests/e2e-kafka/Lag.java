import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;

/**
 * Answers each line of its input with the number of messages that a group has not committed yet:
 * `java -cp 'kafka/lib/*' Lag.java localhost:9092 group topic…`. Kafka's own tool says the same, but starts anew for every answer.
 */
class Lag {
    public static void main(String[] arguments) throws Exception {
        String group = arguments[1];
        var topics = List.of(arguments).subList(2, arguments.length);
        var asked = new BufferedReader(new InputStreamReader(System.in));
        try (var admin = Admin.create(Map.of("bootstrap.servers", arguments[0]))) {
            while (asked.readLine() != null) {
                var partitions = admin.describeTopics(topics).allTopicNames().get().values().stream()
                    .flatMap(topic -> topic.partitions().stream().map(partition -> new TopicPartition(topic.name(), partition.partition())))
                    .collect(Collectors.toMap(partition -> partition, partition -> OffsetSpec.latest()));
                var ends = admin.listOffsets(partitions).all().get();
                var committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
                long lag = 0;
                for (var end : ends.entrySet()) {
                    var done = committed.get(end.getKey());
                    lag += end.getValue().offset() - (done == null ? 0 : done.offset());
                }
                System.out.println(lag);
            }
        }
    }
}
