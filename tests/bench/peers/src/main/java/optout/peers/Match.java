package optout.peers;

import java.time.Duration;
import java.util.Map;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The job of match: keywords in; replies, notifications and changes of the block list out. */
final class Match implements Processor<byte[], byte[], byte[], byte[]> {
    private static final String BLOCKS = "blocks";
    private static final String HANDLED = "handled";
    private static final Duration REMEMBERED = Duration.ofHours(24);
    private static final Duration FORGETS_EVERY = Duration.ofHours(1);

    private final Progress progress;
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<String, byte[]> blocks;
    private KeyValueStore<String, Long> handled; // ids of keywords, and when they were read, ms
    private long writes;

    private Match(Progress progress) {
        this.progress = progress;
    }

    static Topology topology(Map<String, String> topics, Progress progress) {
        var topology = new Topology();
        var bytes = Serdes.ByteArray();
        topology.addSource("messages", bytes.deserializer(), bytes.deserializer(), topics.get("source"));
        topology.addProcessor("match", () -> new Match(progress), "messages");
        topology.addStateStore(
            Stores.keyValueStoreBuilder(
                Stores.inMemoryKeyValueStore(BLOCKS), Serdes.String(), Serdes.ByteArray()),
            "match");
        topology.addStateStore(
            Stores.keyValueStoreBuilder(
                Stores.inMemoryKeyValueStore(HANDLED), Serdes.String(), Serdes.Long()),
            "match");
        for (String sink : new String[] {
            "reply_sends", "opt_out_notifications", "block_changes", "dead_letters"}) {
            topology.addSink(
                sink, topics.get(sink), bytes.serializer(), bytes.serializer(), "match");
        }
        return topology;
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        blocks = context.getStateStore(BLOCKS);
        handled = context.getStateStore(HANDLED);
        context.schedule(FORGETS_EVERY, PunctuationType.STREAM_TIME, this::forget);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        try {
            Messages.Inbound message = Messages.Inbound.read(record.value());
            Keywords.Match match = Keywords.match(message.body());
            if (match != null && isNew(message, record.timestamp())) {
                decide(message, match, record);
            }
        } catch (Invalid error) {
            record.headers().add("reason", Events.bytes(error.getMessage()));
            context.forward(record, "dead_letters");
        }
        progress.one();
    }

    private boolean isNew(Messages.Inbound message, long atMs) {
        String id = Events.id(
            message.accountSid(), message.messageSid(), message.from(), message.to());
        Long before = handled.get(id);
        if (before != null && before > atMs - REMEMBERED.toMillis()) {
            return false;
        }
        handled.put(id, atMs);
        return true;
    }

    /** A window store would keep a segment for each millisecond, and look into all of them. */
    private void forget(long nowMs) {
        try (KeyValueIterator<String, Long> all = handled.all()) {
            while (all.hasNext()) {
                KeyValue<String, Long> one = all.next();
                if (one.value <= nowMs - REMEMBERED.toMillis()) {
                    handled.delete(one.key);
                }
            }
        }
    }

    private void decide(
            Messages.Inbound message, Keywords.Match match, Record<byte[], byte[]> record) {
        String entry = message.entry();
        boolean blocked = blocks.get(entry) != null;
        boolean block = match.kind() == Keywords.Kind.STOP;
        boolean lift = match.kind() == Keywords.Kind.START;
        boolean reply = lift || !blocked;
        String at = Events.time(record.timestamp());
        String tail = Events.id(
            "change", message.accountSid(), message.messageSid(), message.from(), message.to());
        String changeId = message.messageSid() + ".a." + tail;
        if (block && !blocked || lift && blocked) {
            String mark = progress.startedAtMs() + "-" + ++writes;
            blocks.put(entry, block ? Events.entry(message, changeId, mark, at) : null);
            put("block_changes", record,
                Events.change(message, match, changeId, block, blocked, mark, at),
                block ? "recipient.blocked" : "recipient.unblocked", changeId, at);
        }
        if (reply) {
            String replySid = "SM" + tail + tail;
            put("reply_sends", record, Events.reply(message, match.kind(), replySid),
                "reply.requested", replySid, at);
        }
        put("opt_out_notifications", record, Events.notification(message, match, reply, at),
            "keyword.matched", message.messageSid() + ".matched." + tail, at);
    }

    private void put(
            String sink, Record<byte[], byte[]> cause, byte[] value, String type, String id,
            String at) {
        var headers = Events.headers(type, id, at);
        context.forward(
            new Record<>(cause.key(), value, cause.timestamp(), headers), sink);
    }
}
