package optout.peers;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** The values of the source topics, read with Jackson's streaming parser; every field is checked. */
final class Messages {
    static final JsonMapper JSON = new JsonMapper();

    private Messages() {}

    record Inbound(
        String messageSid, String accountSid, String serviceSid, String from, String to, String body,
        String fromCountry, int numMedia, String receivedAt) {

        /** The list's key of the recipient's entry. */
        String entry() {
            return accountSid + "/" + Checks.bare(from);
        }

        /** Read and check a value. */
        static Inbound read(byte[] value) throws Invalid {
            return parsed(value, Inbound::read).checked();
        }

        private static Inbound read(JsonParser in) throws IOException, Invalid {
            String messageSid = null, accountSid = null, serviceSid = null, from = null, to = null;
            String body = null, fromCountry = null, receivedAt = null;
            int numMedia = 0;
            for (String name = in.nextFieldName(); name != null; name = in.nextFieldName()) {
                in.nextToken();
                switch (name) {
                    case "schema_version" -> version(in);
                    case "message_sid" -> messageSid = text(in, name);
                    case "account_sid" -> accountSid = text(in, name);
                    case "messaging_service_sid" -> serviceSid = text(in, name);
                    case "from" -> from = text(in, name);
                    case "to" -> to = text(in, name);
                    case "body" -> body = text(in, name);
                    case "from_country" -> fromCountry = text(in, name);
                    case "num_media" -> numMedia = whole(in, name, 0);
                    case "received_at" -> receivedAt = text(in, name);
                    default -> in.skipChildren();
                }
            }
            return new Inbound(
                messageSid, accountSid, serviceSid, from, to, body, fromCountry, numMedia, receivedAt);
        }

        private Inbound checked() throws Invalid {
            Checks.sid("message_sid", messageSid);
            Checks.sid("account_sid", accountSid);
            if (serviceSid != null) {
                Checks.sid("messaging_service_sid", serviceSid);
            }
            Checks.address("from", from);
            Checks.sender("to", to);
            Checks.body(body);
            if (fromCountry != null) {
                Checks.country("from_country", fromCountry);
            }
            if (numMedia < 0 || numMedia > 100) {
                throw new Invalid("num_media: not 0 to 100");
            }
            Checks.time("received_at", receivedAt);
            return this;
        }
    }

    record Outbound(
        String messageSid, String accountSid, String serviceSid, String from, String to, String body,
        List<String> mediaUrls, String statusCallback, String createdAt) {

        /** The list's key of the recipient's entry. */
        String entry() {
            return accountSid + "/" + Checks.bare(to);
        }

        /** Read and check a value. */
        static Outbound read(byte[] value) throws Invalid {
            return parsed(value, Outbound::read).checked();
        }

        private static Outbound read(JsonParser in) throws IOException, Invalid {
            String messageSid = null, accountSid = null, serviceSid = null, from = null, to = null;
            String body = null, statusCallback = null, createdAt = null;
            List<String> mediaUrls = List.of();
            for (String name = in.nextFieldName(); name != null; name = in.nextFieldName()) {
                in.nextToken();
                switch (name) {
                    case "schema_version" -> version(in);
                    case "message_sid" -> messageSid = text(in, name);
                    case "account_sid" -> accountSid = text(in, name);
                    case "messaging_service_sid" -> serviceSid = text(in, name);
                    case "from" -> from = text(in, name);
                    case "to" -> to = text(in, name);
                    case "body" -> body = text(in, name);
                    case "media_urls" -> mediaUrls = texts(in, name);
                    case "status_callback" -> statusCallback = text(in, name);
                    case "created_at" -> createdAt = text(in, name);
                    default -> in.skipChildren();
                }
            }
            return new Outbound(
                messageSid, accountSid, serviceSid, from, to, body, mediaUrls, statusCallback,
                createdAt);
        }

        private Outbound checked() throws Invalid {
            Checks.sid("message_sid", messageSid);
            Checks.sid("account_sid", accountSid);
            if (serviceSid != null) {
                Checks.sid("messaging_service_sid", serviceSid);
            }
            if (from != null) {
                Checks.sender("from", from);
            }
            Checks.address("to", to);
            Checks.body(body);
            for (String url : mediaUrls) {
                Checks.url("media_urls", url);
            }
            if (statusCallback != null) {
                Checks.url("status_callback", statusCallback);
            }
            Checks.time("created_at", createdAt);
            return this;
        }
    }

    /** Reads the fields of an object, from its first name to its end. */
    private interface Reading<T> {
        T read(JsonParser in) throws IOException, Invalid;
    }

    private static <T> T parsed(byte[] value, Reading<T> reading) throws Invalid {
        if (value == null) {
            throw new Invalid("no value");
        }
        try (JsonParser in = JSON.createParser(value)) {
            if (in.nextToken() != JsonToken.START_OBJECT) {
                throw new Invalid("not a JSON object");
            }
            T read = reading.read(in);
            if (in.nextToken() != null) {
                throw new Invalid("more than a JSON object");
            }
            return read;
        } catch (IOException error) {
            throw new Invalid("not JSON");
        }
    }

    private static String text(JsonParser in, String name) throws IOException, Invalid {
        return switch (in.currentToken()) {
            case VALUE_STRING -> in.getText();
            case VALUE_NULL -> null;
            default -> throw new Invalid(name + ": not a text");
        };
    }

    private static int whole(JsonParser in, String name, int missing) throws IOException, Invalid {
        return switch (in.currentToken()) {
            case VALUE_NUMBER_INT -> in.getIntValue();
            case VALUE_NULL -> missing;
            default -> throw new Invalid(name + ": not a whole number");
        };
    }

    private static List<String> texts(JsonParser in, String name) throws IOException, Invalid {
        if (in.currentToken() == JsonToken.VALUE_NULL) {
            return List.of();
        }
        if (in.currentToken() != JsonToken.START_ARRAY) {
            throw new Invalid(name + ": not an array");
        }
        var found = new ArrayList<String>();
        while (in.nextToken() != JsonToken.END_ARRAY) {
            if (in.currentToken() != JsonToken.VALUE_STRING) {
                throw new Invalid(name + ": not texts");
            }
            found.add(in.getText());
        }
        return found;
    }

    private static void version(JsonParser in) throws IOException, Invalid {
        if (whole(in, "schema_version", 1) != 1) {
            throw new Invalid("schema_version: unknown");
        }
    }
}
