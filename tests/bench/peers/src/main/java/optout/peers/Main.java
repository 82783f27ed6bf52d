package optout.peers;

import com.fasterxml.jackson.annotation.JsonProperty;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;

/** Does one job, given as JSON; prints "ready", and at the end its figures as JSON. */
public final class Main {
    private static final Duration CLOSED = Duration.ofSeconds(20);

    /**
     * @param role match or gate
     * @param topics of the source, the outputs and the block list, by their names without version
     * @param records how many to read; 0: work until SIGTERM
     * @param settings of Kafka Streams, besides exactly-once v2 and one thread
     */
    record Job(
        @JsonProperty("role") String role,
        @JsonProperty("application_id") String applicationId,
        @JsonProperty("bootstrap") String bootstrap,
        @JsonProperty("state_dir") String stateDir,
        @JsonProperty("topics") Map<String, String> topics,
        @JsonProperty("records") long records,
        @JsonProperty("settings") Map<String, String> settings) {}

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        Job job = Messages.JSON.readValue(arguments[0], Job.class);
        var progress = new Progress(job.records);
        Topology topology = job.role.equals("match")
            ? Match.topology(job.topics, progress)
            : Gate.topology(job.topics, progress);
        var streams = new KafkaStreams(topology, properties(job));
        var ready = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.RUNNING) {
                ready.countDown();
            } else if (now == KafkaStreams.State.ERROR) {
                Runtime.getRuntime().halt(1);
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(CLOSED)));
        streams.start();
        ready.await();
        System.out.println("ready");
        if (job.records == 0) {
            new CountDownLatch(1).await();
        }
        System.out.println(measured(job, progress));
        System.exit(0);
    }

    private static Properties properties(Job job) {
        var given = new Properties();
        given.put(StreamsConfig.APPLICATION_ID_CONFIG, job.applicationId);
        given.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, job.bootstrap);
        given.put(StreamsConfig.STATE_DIR_CONFIG, job.stateDir);
        given.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        given.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        given.put(
            StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        given.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
        given.putAll(job.settings);
        return given;
    }

    /** Wait until everything is read and committed; figures without start-up. */
    private static String measured(Job job, Progress progress) throws Exception {
        progress.awaitDone();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", job.bootstrap))) {
            while (committed(admin, job.applicationId) < job.records) {
                Thread.sleep(10);
            }
        }
        double seconds = (System.nanoTime() - progress.beganNs) / 1e9;
        long cpuNs = Progress.cpuNs();
        return Messages.JSON.writeValueAsString(Map.of(
            "records", job.records,
            "seconds", seconds,
            "cpu_seconds", (cpuNs - progress.cpuBeganNs) / 1e9,
            "warm_cpu_seconds", (cpuNs - progress.cpuWarmNs) / 1e9,
            "peak_rss_mb", peakRssMb()));
    }

    private static long committed(Admin admin, String group) throws Exception {
        return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().values()
            .stream().filter(one -> one != null).mapToLong(one -> one.offset()).sum();
    }

    private static double peakRssMb() throws Exception {
        String line = Files.readAllLines(Path.of("/proc/self/status")).stream()
            .filter(one -> one.startsWith("VmHWM:")).findFirst().orElseThrow();
        return Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024.0;
    }
}
