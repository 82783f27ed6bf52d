"""Made-up traffic that resembles real traffic in lengths, scripts, near misses and keywords."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from processor.wire.json_values import to_text

# As in public SMS corpora: half of the English texts have up to 36 characters, one in twenty has
# over 151, and few are not ASCII.
_LENGTHS = (8, 14, 20, 28, 36, 45, 60, 80, 110, 151, 240)
_WORDS = (
    (
        0.90,
        "ok thanks see you at the gate tomorrow is it still on my way home call me when done yes I"
        " will be there in ten can we move this to friday got your message no problem at all",
    ),
    (0.05, "hola ¿a qué hora mañana? sí está bien gracias llegaré más tarde el niño tiene fiebre"),
    (0.02, "à bientôt j'ai reçu votre reçu merci où êtes-vous déjà à l'hôtel après le dîner"),
    (0.02, "你好 请问 今天 有空 吗 我 想 和 你 见面 明天 再说 谢谢"),
    (0.01, "привет завтра в семь у входа хорошо спасибо до встречи 👍 😀"),
)
_NEAR_MISSES = (
    "Can I stop by at nine?",
    "STOP?",
    'Liked "Reply STOP to end"',
    "yes I will",
    "start at 9",
    "STOP 12345",
    "please help me find it",
    "don't quit now",
)
_NEAR_MISS_SHARE = 0.02
KEYWORDS = (
    *("STOP", "Stop", "stop", "stop.", "STOP!", "Stop ", "unsubscribe", "End", "QUIT", "cancel"),
    *("opt out", "“STOP”", "STOP 🛑"),
    *("START", "start", "Unstop", "YES"),
    *("HELP", "help", "info"),
)
_WITH_ID = 10  # on WhatsApp, a tenth of the people has only a user id, and a tenth has both
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender that recipients write to and hear from."""

    account_sid: str
    service_sid: str | None
    address: str


class Traffic:
    """Inbound messages and sends of made-up recipients; equal seeds make equal traffic.

    Args:
        seed: of every random choice.
        sender: the other party of every message.
        recipients: how many different recipients there are.
        keyword_share: of inbound messages, 0 to 1.
    """

    def __init__(self, seed: int, sender: Sender, *, recipients: int, keyword_share: float) -> None:
        self._random = random.Random(seed)
        self._sender = sender
        self._recipients = recipients
        self._on_whatsapp = sender.address.startswith("whatsapp:")
        self._keyword_share = keyword_share
        self._bodies = [ordinary_body(self._random) for _ in range(2_000)]
        self._run = f"{seed:x}{self._random.getrandbits(32):08x}"
        self._count = 0

    def inbound(self, count: int, at_ms: int) -> list[tuple[bytes, bytes]]:
        """Make keys and values for `inbound-messages.v1`, received at ``at_ms``."""
        share, choice, chance = self._keyword_share, self._random.choice, self._random.random
        fields = {
            "message_sid": "",
            **self._common(),
            "from": "",
            "to": self._sender.address,
            "body": "",
            "num_media": 0,
            "received_at": to_text(at_ms),
        }
        records = []
        for _ in range(count):
            fields["from"], key, named = self._recipient()
            fields["message_sid"] = self._sid()
            fields["body"] = choice(KEYWORDS) if chance() < share else choice(self._bodies)
            records.append((key, orjson.dumps({**fields, **named} if named else fields)))
        return records

    def sends(self, count: int, at_ms: int) -> list[tuple[bytes, bytes]]:
        """Make keys and values for `outbound-messages.v1`, created at ``at_ms``."""
        fields = {
            "message_sid": "",
            **self._common(),
            "from": self._sender.address,
            "to": "",
            "body": "Your appointment is tomorrow at 10:00. Reply STOP to opt out.",
            "created_at": to_text(at_ms),
        }
        records = []
        for _ in range(count):
            fields["to"], key, _ = self._recipient()
            fields["message_sid"] = self._sid()
            records.append((key, orjson.dumps(fields)))
        return records

    def _common(self) -> dict[str, str | None]:
        return {
            "account_sid": self._sender.account_sid,
            "messaging_service_sid": self._sender.service_sid,
        }

    def _recipient(self) -> tuple[str, bytes, Mapping[str, str]]:
        """An address, its key, and the user id that a message from a number names with it."""
        one = int(self._random.random() * self._recipients)
        number = f"+1555{one:07d}"  # 555 numbers are unassigned
        if not self._on_whatsapp:
            return number, number.encode(), _NOTHING
        id_, kind = f"US.1555{one:016d}", one % _WITH_ID
        if kind == 0 or (kind == 1 and self._random.random() < 0.5):
            return f"whatsapp:{id_}", id_.encode(), _NOTHING
        named = {"user_id": id_} if kind == 1 else _NOTHING
        return f"whatsapp:{number}", number.encode(), named

    def _sid(self) -> str:
        self._count += 1
        return f"SM{self._run}{self._count:016x}"


class TollFreeNetwork:
    """The network behind a US toll-free number, with its own block and replies (R20)."""

    def __init__(self) -> None:
        self.replies = 0
        self._blocked: set[str] = set()

    def hears(self, recipient: str, body: str) -> None:
        """Take a text from a recipient in the US or Canada."""
        word = body.strip().lower()
        if word == "stop":
            self._blocked.add(recipient)
        elif word in ("start", "unstop"):
            self._blocked.discard(recipient)
        else:
            return
        self.replies += 1

    def refuses(self, recipient: str) -> bool:
        """Whether the network refuses a send to the recipient."""
        return recipient in self._blocked


def ordinary_body(chance: random.Random) -> str:
    """Make up a text that is not a keyword; one in fifty looks like one."""
    if chance.random() < _NEAR_MISS_SHARE:
        return chance.choice(_NEAR_MISSES)
    shares: Sequence[float] = [share for share, _ in _WORDS]
    words = chance.choices([text for _, text in _WORDS], shares)[0].split()
    wanted = chance.choice(_LENGTHS)
    body = ""
    while len(body) < wanted:
        body += chance.choice(words) + " "
    return body.strip()
