package optout.peers;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.util.List;

/** The values of the source topics, read with Jackson; every field is checked. */
final class Messages {
    static final JsonMapper JSON = JsonMapper.builder()
        .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
        .disable(MapperFeature.ALLOW_COERCION_OF_SCALARS)
        .build();
    private static final ObjectReader INBOUND = JSON.readerFor(Inbound.class);
    private static final ObjectReader OUTBOUND = JSON.readerFor(Outbound.class);

    private Messages() {}

    record Inbound(
        @JsonProperty("schema_version") Integer schemaVersion,
        @JsonProperty("message_sid") String messageSid,
        @JsonProperty("account_sid") String accountSid,
        @JsonProperty("messaging_service_sid") String serviceSid,
        @JsonProperty("from") String from,
        @JsonProperty("to") String to,
        @JsonProperty("body") String body,
        @JsonProperty("from_country") String fromCountry,
        @JsonProperty("num_media") Integer numMedia,
        @JsonProperty("received_at") String receivedAt) {

        /** The list's key of the recipient's entry. */
        String entry() {
            return accountSid + "/" + Checks.bare(from);
        }

        /** Read and check a value. */
        static Inbound read(byte[] value) throws Invalid {
            Inbound read = parsed(INBOUND, value);
            version(read.schemaVersion);
            Checks.sid("message_sid", read.messageSid);
            Checks.sid("account_sid", read.accountSid);
            if (read.serviceSid != null) {
                Checks.sid("messaging_service_sid", read.serviceSid);
            }
            Checks.address("from", read.from);
            Checks.sender("to", read.to);
            Checks.body(read.body);
            if (read.fromCountry != null) {
                Checks.country("from_country", read.fromCountry);
            }
            if (read.numMedia != null && (read.numMedia < 0 || read.numMedia > 100)) {
                throw new Invalid("num_media: not 0 to 100");
            }
            Checks.time("received_at", read.receivedAt);
            return read;
        }
    }

    record Outbound(
        @JsonProperty("schema_version") Integer schemaVersion,
        @JsonProperty("message_sid") String messageSid,
        @JsonProperty("account_sid") String accountSid,
        @JsonProperty("messaging_service_sid") String serviceSid,
        @JsonProperty("from") String from,
        @JsonProperty("to") String to,
        @JsonProperty("body") String body,
        @JsonProperty("media_urls") List<String> mediaUrls,
        @JsonProperty("status_callback") String statusCallback,
        @JsonProperty("created_at") String createdAt) {

        /** The list's key of the recipient's entry. */
        String entry() {
            return accountSid + "/" + Checks.bare(to);
        }

        /** Read and check a value. */
        static Outbound read(byte[] value) throws Invalid {
            Outbound read = parsed(OUTBOUND, value);
            version(read.schemaVersion);
            Checks.sid("message_sid", read.messageSid);
            Checks.sid("account_sid", read.accountSid);
            if (read.serviceSid != null) {
                Checks.sid("messaging_service_sid", read.serviceSid);
            }
            if (read.from != null) {
                Checks.sender("from", read.from);
            }
            Checks.address("to", read.to);
            Checks.body(read.body);
            if (read.mediaUrls != null) {
                for (String url : read.mediaUrls) {
                    Checks.url("media_urls", url);
                }
            }
            if (read.statusCallback != null) {
                Checks.url("status_callback", read.statusCallback);
            }
            Checks.time("created_at", read.createdAt);
            return read;
        }
    }

    private static <T> T parsed(ObjectReader reader, byte[] value) throws Invalid {
        if (value == null) {
            throw new Invalid("no value");
        }
        try {
            T read = reader.readValue(value);
            if (read != null) {
                return read;
            }
            throw new Invalid("not a JSON object");
        } catch (IOException error) {
            throw new Invalid("not JSON of this topic");
        }
    }

    private static void version(Integer said) throws Invalid {
        if (said != null && said != 1) {
            throw new Invalid("schema_version: unknown");
        }
    }
}
