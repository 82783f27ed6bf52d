package optout.peers;

/** A record that its topic's schema does not allow. */
final class Invalid extends Exception {
    private static final long serialVersionUID = 1;

    Invalid(String why) {
        super(why, null, false, false); // no stack trace: it is an expected outcome
    }
}
