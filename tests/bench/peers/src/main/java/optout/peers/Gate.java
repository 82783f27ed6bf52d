package optout.peers;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.ValueAndTimestamp;

/** The job of the gate, with its own copy of the block list: sends in, verdicts out. */
final class Gate implements Processor<byte[], byte[], byte[], byte[]> {
    private static final String BLOCKS = "blocks";

    private final Progress progress;
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<String, ValueAndTimestamp<byte[]>> blocks;

    private Gate(Progress progress) {
        this.progress = progress;
    }

    static Topology topology(Map<String, String> topics, Progress progress) {
        var builder = new StreamsBuilder();
        // The whole list is read before the first send.
        builder.globalTable(
            topics.get("block_list"),
            Consumed.with(Serdes.String(), Serdes.ByteArray()),
            Materialized.<String, byte[]>as(HashedStore.named(BLOCKS))
                .withKeySerde(Serdes.String())
                .withValueSerde(Serdes.ByteArray())
                .withCachingDisabled());
        var topology = builder.build();
        var bytes = Serdes.ByteArray();
        topology.addSource("sends", bytes.deserializer(), bytes.deserializer(), topics.get("source"));
        topology.addProcessor("gate", () -> new Gate(progress), "sends");
        for (String sink : new String[] {"allowed_sends", "message_statuses", "dead_letters"}) {
            topology.addSink(sink, topics.get(sink), bytes.serializer(), bytes.serializer(), "gate");
        }
        return topology;
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        blocks = context.getStateStore(BLOCKS);
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        try {
            Messages.Outbound send = Messages.Outbound.read(record.value());
            ValueAndTimestamp<byte[]> entry = blocks.get(send.entry());
            if (entry == null) {
                context.forward(record, "allowed_sends");
            } else {
                refuse(send, entry.value(), record);
            }
        } catch (Invalid error) {
            record.headers().add("reason", Events.bytes(error.getMessage()));
            context.forward(record, "dead_letters");
        }
        progress.one();
    }

    private void refuse(Messages.Outbound send, byte[] entry, Record<byte[], byte[]> record) {
        String at = Events.time(record.timestamp());
        String id = send.messageSid() + ".refused."
            + Events.id(send.accountSid(), send.messageSid(), send.to());
        var headers = Events.headers("send.refused", id, at);
        byte[] value = Events.refusal(send, refusedBy(entry), at);
        context.forward(
            new Record<>(record.key(), value, record.timestamp(), headers), "message_statuses");
    }

    private static ObjectNode refusedBy(byte[] entry) {
        try {
            JsonNode block = Messages.JSON.readTree(entry).path("blocks").path(0);
            JsonNode source = block.path("sources").path(0);
            return Events.object()
                .put("scope", block.path("scope").textValue())
                .put("since", source.path("since").textValue())
                .put("change_id", source.path("change_id").textValue())
                .put("mark", block.path("mark").textValue());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}
