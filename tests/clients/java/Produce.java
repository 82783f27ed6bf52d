// Writes records with Java's own producer: a line each, of codec, topic, key, value and padding, in hex.
// java -cp "<Kafka's jars>/*" Produce.java <bootstrap servers>

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Produce {
    public static void main(String[] arguments) throws Exception {
        Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            String[] parts = line.split(" ");
            var producer = producers.computeIfAbsent(parts[0], codec -> new KafkaProducer<>(
                Map.of("bootstrap.servers", arguments[0], "compression.type", codec, "linger.ms", 50),
                new ByteArraySerializer(), new ByteArraySerializer()));
            var record = new ProducerRecord<>(parts[1], bytes(parts[2]), bytes(parts[3]));
            record.headers().add("padding", bytes(parts[4]));
            producer.send(record).get();
        }
        producers.values().forEach(KafkaProducer::close);
    }

    private static byte[] bytes(String hex) {
        return HexFormat.of().parseHex(hex);
    }
}
