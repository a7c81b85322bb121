import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;

/**
 * Names the partition of each key: `java -cp 'kafka/lib/*' Partition.java murmur2 12 < keys`, one key per line.
 *
 * `murmur2` asks what Kafka's own producer asks; `crc32` is what librdkafka documents of `consistent_random`, with Java's own CRC-32.
 */
class Partition {
    public static void main(String[] arguments) throws Exception {
        boolean murmur2 = switch (arguments[0]) {
            case "murmur2" -> true;
            case "crc32" -> false;
            default -> throw new IllegalArgumentException(arguments[0]);
        };
        int partitions = Integer.parseInt(arguments[1]);
        var keys = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var answer = new StringBuilder();
        for (String line = keys.readLine(); line != null; line = keys.readLine()) {
            byte[] key = line.getBytes(StandardCharsets.UTF_8);
            answer.append(murmur2 ? BuiltInPartitioner.partitionForKey(key, partitions) : crc32(key, partitions)).append('\n');
        }
        System.out.print(answer);
    }

    private static int crc32(byte[] key, int partitions) {
        var sum = new CRC32();
        sum.update(key);
        return (int) (sum.getValue() % partitions);
    }
}
