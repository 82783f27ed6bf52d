"""STOP keywords in force, in the forms that a text is searched for (R30)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from processor.suspicion.lexicon import documents, expressions, lexicons, tagged
from processor.suspicion.reading import tokens_of
from processor.suspicion.slips import slips_of
from processor.suspicion.stems import batch, folded_bytes, is_spaceless, patterns_of
from processor.suspicion.values import StopWords

Tokens = tuple[str, ...]
_LEAVING = frozenset(("stop", "unsub", "remove", "cancel", "revoke", "enough"))


@dataclass(frozen=True, slots=True)
class Keyword:
    """A STOP keyword as a phrase has it."""

    tokens: Tokens
    languages: frozenset[str]  # none: it goes with the company of any language
    alone: bool  # takes no courtesy and no pronoun, because it may be an appointment


@dataclass(frozen=True, slots=True)
class Forms:
    """Keywords and their slips as bytes of a folded text."""

    words: frozenset[bytes]  # with a space on either side
    parts: frozenset[bytes]  # anywhere
    exact: frozenset[str]  # of scripts without spaces: anywhere, as they are

    def are_in(self, text: str) -> bool:
        """Whether a text has any of them."""
        data = folded_bytes(batch([text]))
        return (
            not self.words.isdisjoint(data.split(b" "))
            or any(part in data for part in self.parts)
            or any(part in text for part in self.exact)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Keywords:
    """Keywords by their first token; slips by the word they make. Compared by identity."""

    by_first: Mapping[str, tuple[Keyword, ...]]
    by_slip: Mapping[str, Keyword]
    tokens: frozenset[str]  # of any keyword, and slips
    forms: Forms


_MAX_KNOWN = 256
_known: dict[int, tuple[StopWords, Keywords]] = {}  # by identity, which costs no look at the words


def compiled(words: StopWords) -> Keywords:
    """The keywords of a recipient, ready for search; the mapping never changes afterwards."""
    found = _known.get(id(words))
    if found is None or found[0] is not words:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        found = _known[id(words)] = (words, _compiled(frozenset(words.items())))
    return found[1]


@lru_cache(maxsize=256)
def _compiled(words: frozenset[tuple[str, frozenset[str]]]) -> Keywords:
    found = list(_keywords(words))
    by_first: dict[str, list[Keyword]] = {}
    by_slip: dict[str, Keyword] = {}
    for each in sorted(found, key=lambda one: (-len(one.tokens), one.tokens)):
        by_first.setdefault(each.tokens[0], []).append(each)
        if len(each.tokens) == 1:
            for slip in slips_of(each.tokens[0]):
                if not is_other_word(slip):
                    by_slip.setdefault(slip, each)
    tokens = frozenset(token for each in found for token in each.tokens)
    firsts = {first: tuple(rest) for first, rest in by_first.items()}
    forms = forms_of(frozenset(word for word, _ in words))
    return Keywords(firsts, by_slip, tokens | by_slip.keys(), forms)


def _keywords(words: frozenset[tuple[str, frozenset[str]]]) -> Iterator[Keyword]:
    for word, languages in sorted(words, key=lambda pair: (pair[0], sorted(pair[1]))):
        tokens = tuple(token for token in tokens_of(word) if token[0].isalpha())
        if tokens and len("".join(tokens)) > 1:
            own = frozenset(each.partition("-")[0] for each in languages)
            yield Keyword(tokens, own, _is_cancel(tokens))


def _is_cancel(tokens: Tokens) -> bool:
    return any(list(tagged(tokens, language)) == [("cancel", tokens)] for language in lexicons())


@lru_cache(maxsize=65_536)
def is_other_word(token: str) -> bool:
    """Whether a word has a meaning of its own, so that it is not a slip."""
    if token in _others():
        return True
    return any(
        (concept := lexicon.words.get(token)) is not None and concept not in _LEAVING
        for lexicon in lexicons().values()
    )


@lru_cache(maxsize=1)
def _others() -> frozenset[str]:
    listed = [document.get("other_words", "") for document in documents().values()]
    return frozenset(tokens[0] for words in listed for tokens in expressions(words))


@lru_cache(maxsize=256)
def forms_of(keywords: frozenset[str]) -> Forms:
    """The forms that a text is searched for; a keyword of several words is searched as written."""
    words: set[bytes] = set()
    parts: set[bytes] = set()
    exact: set[str] = set()
    for keyword in keywords:
        tokens = tokens_of(keyword)
        slips = slips_of(tokens[0]) if len(tokens) == 1 else frozenset()
        for form in (keyword, *(slip for slip in slips if not is_other_word(slip))):
            if is_spaceless(form):
                exact.add(form.strip())
            else:
                some = parts if " " in form.strip() else words
                some.update(pattern.strip() for pattern in patterns_of(form))
    return Forms(frozenset(words - {b""}), frozenset(parts - {b""}), frozenset(exact - {""}))
