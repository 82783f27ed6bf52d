package optout.peers;

import java.text.Normalizer;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/** The keywords and replies of default handling, in the exact and the tolerant form of a body. */
final class Keywords {
    enum Kind {
        STOP("You have successfully been unsubscribed. You will not receive any more messages"
            + " from this number. Reply START to resubscribe.",
            "stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"),
        START("You have successfully been re-subscribed to messages from this number. Reply HELP"
            + " for help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
            "start", "yes", "unstop"),
        HELP("Reply STOP to unsubscribe. Msg&Data Rates May Apply.", "help", "info");

        final String reply;
        final String[] keywords;

        Kind(String reply, String... keywords) {
            this.reply = reply;
            this.keywords = keywords;
        }
    }

    record Match(Kind kind, String keyword, String tier) {}

    private static final int LONGEST = 64; // no body that is longer when trimmed is a keyword
    private static final int MOST_LETTERS = "unsubscribe".length();
    private static final Pattern MARKS = Pattern.compile("[\\p{Mn}\\p{Cf}\\uFE0F]+");
    private static final String OUTSIDE = " \t\n\u000B\f\r.!,\"'`"; // besides symbols and quotes
    private static final Map<String, Match> EXACT = new HashMap<>();
    private static final Map<String, Match> TOLERANT = new HashMap<>();

    static {
        for (Kind kind : Kind.values()) {
            for (String keyword : kind.keywords) {
                EXACT.put(keyword, new Match(kind, keyword, "exact"));
                if (kind != Kind.START) {
                    TOLERANT.put(keyword, new Match(kind, keyword, "tolerant"));
                }
            }
        }
        TOLERANT.put("opt out", TOLERANT.get("optout"));
        TOLERANT.put("opt-out", TOLERANT.get("optout"));
        TOLERANT.put("stop all", TOLERANT.get("stopall"));
        TOLERANT.put("stop-all", TOLERANT.get("stopall"));
    }

    private Keywords() {}

    /** The keyword that a whole body is, or null. */
    static Match match(String body) {
        String trimmed = body.strip();
        if (trimmed.length() > LONGEST || hasMoreLetters(trimmed)) {
            return null;
        }
        String exact = Normalizer.normalize(trimmed, Normalizer.Form.NFKC).toLowerCase(Locale.ROOT);
        Match match = EXACT.get(exact);
        return match != null ? match : TOLERANT.get(tolerant(exact));
    }

    /** Whether it has more letters than any keyword: no form of a body has fewer. */
    private static boolean hasMoreLetters(String body) {
        int letters = 0;
        for (int i = 0; i < body.length() && letters <= MOST_LETTERS; i++) {
            if (Character.isLetter(body.charAt(i))) {
                letters++;
            }
        }
        return letters > MOST_LETTERS;
    }

    private static String tolerant(String exact) {
        String plain = exact;
        for (int i = 0; i < exact.length(); i++) {
            if (exact.charAt(i) > 127) {
                plain = MARKS.matcher(Normalizer.normalize(exact, Normalizer.Form.NFD)).replaceAll("");
                break;
            }
        }
        int from = 0;
        int to = plain.length();
        while (from < to && isOutside(plain.codePointAt(from))) {
            from += Character.charCount(plain.codePointAt(from));
        }
        while (from < to && isOutside(plain.codePointBefore(to))) {
            to -= Character.charCount(plain.codePointBefore(to));
        }
        return plain.substring(from, to);
    }

    private static boolean isOutside(int character) {
        return switch (Character.getType(character)) {
            case Character.OTHER_SYMBOL, Character.INITIAL_QUOTE_PUNCTUATION,
                Character.FINAL_QUOTE_PUNCTUATION -> true;
            default -> OUTSIDE.indexOf(character) >= 0;
        };
    }
}
