package optout.peers;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.regex.Pattern;

/** The rules of the schemas' fields. */
final class Checks {
    static final int MOST_BODY_CHARACTERS = 4096;
    private static final Pattern SENDER = Pattern.compile(
        "(?:whatsapp:|rcs:)?\\+[1-9][0-9]{6,14}|[0-9]{3,8}|rcs:[A-Za-z0-9_.-]{1,64}"
            + "|(?=.{1,11}$)[0-9 +_&-]*[A-Za-z][A-Za-z0-9 +_&-]*");
    private static final Pattern URL = Pattern.compile("https?://[^\\s]+");
    private static final Instant FIRST = Instant.EPOCH;
    private static final Instant BEHIND = Instant.parse("9999-01-01T00:00:00Z");

    private Checks() {}

    static String sid(String name, String value) throws Invalid {
        boolean good = value != null && !value.isEmpty() && value.length() <= 64;
        for (int i = 0; good && i < value.length(); i++) {
            char c = value.charAt(i);
            good = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= ':'
                || c == '_' || c == '.' || c == '-';
        }
        return checked(name, value, good);
    }

    static String address(String name, String value) throws Invalid {
        return checked(name, value, value != null && isNumber(value, channelEnd(value)));
    }

    static String sender(String name, String value) throws Invalid {
        boolean good = value != null && value.length() <= 68
            && (isNumber(value, 0) || SENDER.matcher(value).matches());
        return checked(name, value, good);
    }

    static String body(String value) throws Invalid {
        boolean good = value != null && (value.length() <= MOST_BODY_CHARACTERS
            || value.codePointCount(0, value.length()) <= MOST_BODY_CHARACTERS);
        return checked("body", value, good);
    }

    static String country(String name, String value) throws Invalid {
        boolean good = value.length() == 2 && isCapital(value.charAt(0))
            && isCapital(value.charAt(1));
        return checked(name, value, good);
    }

    static String url(String name, String value) throws Invalid {
        return checked(name, value, value.length() <= 2048 && URL.matcher(value).matches());
    }

    static Instant time(String name, String value) throws Invalid {
        try {
            Instant time = OffsetDateTime.parse(value).toInstant();
            if (!time.isBefore(FIRST) && time.isBefore(BEHIND)) {
                return time;
            }
        } catch (DateTimeException | NullPointerException error) {
            // the same as a time out of range
        }
        throw new Invalid(name + ": is not a time");
    }

    /** The number without the prefix of its channel. */
    static String bare(String address) {
        return address.substring(channelEnd(address));
    }

    private static int channelEnd(String value) {
        return value.startsWith("whatsapp:") ? 9 : value.startsWith("rcs:") ? 4 : 0;
    }

    private static boolean isNumber(String value, int from) {
        int digits = value.length() - from - 1;
        if (digits < 7 || digits > 15 || value.charAt(from) != '+' || value.charAt(from + 1) == '0') {
            return false;
        }
        for (int i = from + 1; i < value.length(); i++) {
            if (value.charAt(i) < '0' || value.charAt(i) > '9') {
                return false;
            }
        }
        return true;
    }

    private static boolean isCapital(char c) {
        return c >= 'A' && c <= 'Z';
    }

    private static String checked(String name, String value, boolean good) throws Invalid {
        if (!good) {
            throw new Invalid(name + ": missing, or not as the schema says");
        }
        return value;
    }
}
