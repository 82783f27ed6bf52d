package optout.peers;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.YearMonth;
import java.util.regex.Pattern;

/** The rules of the schemas' fields. */
final class Checks {
    static final int MOST_BODY_CHARACTERS = 4096;
    private static final Pattern SENDER = Pattern.compile(
        "(?:whatsapp:|rcs:)?\\+[1-9][0-9]{6,14}|[0-9]{3,8}|rcs:[A-Za-z0-9_.-]{1,64}"
            + "|(?=.{1,11}$)[0-9 +_&-]*[A-Za-z][A-Za-z0-9 +_&-]*");
    private static final Pattern URL = Pattern.compile("https?://[^\\s]+");
    private static final String USUAL_TIME = "0000-00-00T00:00:00.000Z";
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

    static void time(String name, String value) throws Invalid {
        if (value != null && isUsualTime(value)) {
            return;
        }
        try {
            Instant time = OffsetDateTime.parse(value).toInstant();
            if (!time.isBefore(FIRST) && time.isBefore(BEHIND)) {
                return;
            }
        } catch (DateTimeException | NullPointerException error) {
            // the same as a time out of range
        }
        throw new Invalid(name + ": is not a time");
    }

    /** Whether it is a time as 2026-11-02T12:00:00.123Z; java.time takes a fifth of the job. */
    private static boolean isUsualTime(String value) {
        if (value.length() != USUAL_TIME.length()) {
            return false;
        }
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            char usual = USUAL_TIME.charAt(i);
            if (usual == '0' ? c < '0' || c > '9' : c != usual) {
                return false;
            }
        }
        int year = number(value, 0, 4);
        int month = number(value, 5, 7);
        int day = number(value, 8, 10);
        return year >= 1970 && year < 9999 && month >= 1 && month <= 12
            && YearMonth.of(year, month).isValidDay(day)
            && number(value, 11, 13) < 24 && number(value, 14, 16) < 60
            && number(value, 17, 19) < 60;
    }

    private static int number(String value, int from, int to) {
        int number = 0;
        for (int i = from; i < to; i++) {
            number = 10 * number + value.charAt(i) - '0';
        }
        return number;
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
