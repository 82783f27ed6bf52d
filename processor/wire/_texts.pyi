from processor.wire.records import Parts, Texts

def texts(
    sid: str,
    recipient: str,
    tail: str,
    reply_sid: str,
    received_ms: int,
    at_ms: int,
    before_ms: int,
    offset: int,
    rest: Texts,
    /,
) -> Texts: ...
def filled(parts: Parts, texts: Texts, /) -> bytes: ...
