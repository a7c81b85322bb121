import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

import static java.nio.charset.StandardCharsets.UTF_8;

/** Records of topics as lines of topic, key and value, separated by tabs: "read BROKERS TOPIC…" to stdout, "write BROKERS" from stdin. */
class Records {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", arguments[1], "acks", "all", "enable.auto.commit", "false");
        if (arguments[0].equals("read")) {
            read(settings, Arrays.asList(arguments).subList(2, arguments.length));
        } else {
            write(settings);
        }
    }

    /** Everything that is in the topics now. */
    static void read(Map<String, Object> settings, List<String> topics) {
        PrintStream out = new PrintStream(System.out, false, UTF_8);
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (String topic : topics) {
                consumer.partitionsFor(topic).forEach(info -> partitions.add(new TopicPartition(topic, info.partition())));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            var ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    out.println(record.topic() + "\t" + text(record.key()) + "\t" + text(record.value()));
                }
            }
        }
        out.flush();
    }

    static void write(Map<String, Object> settings) throws Exception {
        List<Future<?>> sent = new ArrayList<>();
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            var lines = new BufferedReader(new InputStreamReader(System.in, UTF_8));
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] part = line.split("\t", 3);
                sent.add(producer.send(new ProducerRecord<>(part[0], part[1], part[2])));
            }
            for (Future<?> future : sent) {
                future.get();
            }
        }
    }

    static String text(String text) {
        return text == null ? "" : text;
    }
}
