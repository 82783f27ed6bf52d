package optout.peers;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.HexFormat;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;

/** The values and headers of what is put out, as this project's schemas have them. */
final class Events {
    private static final DateTimeFormatter TIME =
        DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);
    private static final byte[] VERSION = bytes("1.0");
    private static final byte[] CONTENT_TYPE = bytes("application/json");
    private static final byte[] SOURCE = bytes("/optout/peer");

    private Events() {}

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String time(long atMs) {
        return TIME.format(Instant.ofEpochMilli(atMs));
    }

    /** An id that is the same at every replay. */
    static String id(String... parts) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (String part : parts) {
                digest.update(bytes(part.length() + ":" + part));
            }
            return HexFormat.of().formatHex(Arrays.copyOf(digest.digest(), 8));
        } catch (NoSuchAlgorithmException error) {
            throw new AssertionError(error); // every Java has it
        }
    }

    static Headers headers(String type, String id, String time) {
        return new RecordHeaders()
            .add("ce_specversion", VERSION)
            .add("ce_type", bytes("io.optout." + type + ".v1"))
            .add("ce_source", SOURCE)
            .add("content-type", CONTENT_TYPE)
            .add("ce_id", bytes(id))
            .add("ce_time", bytes(time));
    }

    static byte[] reply(Messages.Inbound message, Keywords.Kind kind, String replySid) {
        return json(object()
            .put("reply_sid", replySid)
            .put("in_reply_to", message.messageSid())
            .put("account_sid", message.accountSid())
            .put("messaging_service_sid", message.serviceSid())
            .put("from", message.to())
            .put("to", message.from())
            .put("body", kind.reply)
            .put("kind", kind.name())
            .putNull("language"));
    }

    static byte[] notification(
            Messages.Inbound message, Keywords.Match match, boolean replied, String at) {
        return json(object()
            .put("message_sid", message.messageSid())
            .put("account_sid", message.accountSid())
            .put("from", message.from())
            .put("to", message.to())
            .put("body", message.body())
            .put("from_country", message.fromCountry())
            .put("num_media", message.numMedia())
            .put("received_at", message.receivedAt())
            .put("messaging_service_sid", message.serviceSid())
            .put("kind", match.kind().name())
            .putNull("opt_out_type")
            .put("keyword", match.keyword())
            .putNull("language")
            .putNull("country")
            .put("match", match.tier())
            .put("effective", true)
            .put("reply_sent", replied ? "default" : "none")
            .putNull("config_version")
            .put("aoo_enabled", false)
            .put("at", at));
    }

    /** A change of the account's block on a recipient. */
    static byte[] change(
            Messages.Inbound message, Keywords.Match match, String changeId, boolean blocked,
            boolean previous, String mark, String at) {
        ObjectNode value = object()
            .put("change_id", changeId)
            .put("account_sid", message.accountSid())
            .put("scope", "account")
            .putNull("messaging_service_sid")
            .putNull("sender")
            .put("carrier", false)
            .put("recipient", Checks.bare(message.from()))
            .put("channel_group", message.from().startsWith("whatsapp:") ? "whatsapp" : "sms")
            .put("blocked", blocked)
            .put("previous", previous);
        if (blocked) {
            standing(value.putObject("standing"), changeId, at);
        } else {
            value.putNull("standing");
        }
        value.putObject("cause")
            .put("id", message.messageSid())
            .put("source", "keyword")
            .put("kind", match.kind().name())
            .put("keyword", match.keyword())
            .put("sender", message.to())
            .putNull("reason")
            .putNull("claimed_at")
            .putNull("claimed_source")
            .putNull("actor");
        return json(value.put("mark", mark).put("at", at));
    }

    /** The entry of a recipient that the account may not write to. */
    static byte[] entry(Messages.Inbound message, String changeId, String mark, String at) {
        ObjectNode value = object()
            .put("schema_version", 2)
            .put("account_sid", message.accountSid())
            .put("recipient", Checks.bare(message.from()))
            .put("channel_group", message.from().startsWith("whatsapp:") ? "whatsapp" : "sms");
        ObjectNode block = value.putArray("blocks").addObject()
            .put("scope", "account")
            .putNull("messaging_service_sid")
            .putNull("sender")
            .put("carrier", false)
            .put("mark", mark);
        standing(block, changeId, at);
        return json(value);
    }

    static byte[] refusal(Messages.Outbound send, ObjectNode refusedBy, String at) {
        ObjectNode value = object()
            .put("message_sid", send.messageSid())
            .put("account_sid", send.accountSid())
            .put("messaging_service_sid", send.serviceSid())
            .put("from", send.from())
            .put("to", send.to())
            .put("status", "failed")
            .put("error_code", 21610)
            .put("error_message", "Attempt to send to unsubscribed recipient")
            .put("status_callback", send.statusCallback());
        value.set("block", refusedBy);
        return json(value.put("at", at));
    }

    static ObjectNode object() {
        return Messages.JSON.createObjectNode();
    }

    private static void standing(ObjectNode into, String changeId, String at) {
        into.putArray("sources").addObject()
            .put("kind", "keyword")
            .put("change_id", changeId)
            .put("since", at)
            .put("last", at);
        into.putNull("only");
        into.putArray("but");
        into.put("locked", false);
    }

    private static byte[] json(ObjectNode value) {
        try {
            return Messages.JSON.writeValueAsBytes(value);
        } catch (JsonProcessingException error) {
            throw new IllegalStateException(error); // a tree of texts can always be written
        }
    }
}
