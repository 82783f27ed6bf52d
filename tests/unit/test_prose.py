"""The checker of the project's English finds prose in each kind of file, and its list shrinks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prose import exceptions, rules
from tests.prose.reading import Text, texts_of

RULES = rules.load(Path(rules.__file__).parent / "rules.toml")


def broken(sentence: str) -> list[str]:
    return [name for name, _ in rules.breaches(sentence, RULES)]


def read(folder: Path, name: str, content: str) -> list[Text]:
    path = folder / name
    path.write_text(content, "utf-8")
    return list(texts_of(path))


@pytest.mark.parametrize(
    ("sentence", "rule"),
    [
        ("What is in force.", "relative-subject"),
        ("Whose turn it is.", "relative-subject"),
        ("what the caller asked for", "relative-subject"),
        ("It is refused: who asks again waits.", "relative-after-colon"),
        ("Write the file anew.", "anew"),
        ("The applications whom we call.", "whom"),
        ("The name stands in the header.", "stands"),
        ("An empty text is no keyword.", "no-noun"),
        ("These are no numbers.", "no-noun"),
        ("An application is told of it.", "tells"),
        ("It returns the one that is older.", "one-as-noun"),
        ("Read each one.", "one-as-noun"),
        ("The newer ones are kept.", "one-as-noun"),
        ("Nobody reads it.", "nobody"),
        ("Hold the list against its topic.", "held-against"),
        ("The page whereupon it depends.", "archaic"),
        ("word " * 31, "long-sentence"),
    ],
)
def test_an_avoidable_construction_is_found(sentence: str, rule: str) -> None:
    assert broken(sentence) == [rule]


@pytest.mark.parametrize(
    "sentence",
    [
        "What does a worker need?",
        "There is no record left.",
        "The lease is no longer ours.",
        "Workers stand alone, and X stands for a code.",
        "Each one-time token is used in one place, and one of them expires.",
        "The one service that asked.",
        "word " * 30,
    ],
)
def test_plain_english_passes(sentence: str) -> None:
    assert broken(sentence) == []


def test_docstrings_comments_and_messages_of_code_are_read(tmp_path: Path) -> None:
    source = '''"""One line.

A second
paragraph with ``some code``.
"""

MOST = 3  # of a request


def find(name: str) -> None:
    """Find it.

    Example: optout find what

    Args:
        name: whose it is,
            on two lines.

    Raises:
        ValueError: always.
    """
    # A comment on
    # two lines.
    raise ValueError(f"{name} is not a name " "of ours")
'''
    assert read(tmp_path, "code.py", source) == [
        Text(1, "One line."),
        Text(3, "A second paragraph with X."),
        Text(11, "Find it."),
        Text(16, "whose it is, on two lines."),
        Text(20, "always."),
        Text(7, "of a request"),
        Text(22, "A comment on two lines."),
        Text(24, "X is not a name of ours"),
    ]


def test_paragraphs_items_and_cells_of_a_manual_are_read(tmp_path: Path) -> None:
    page = """# A heading

Some `code` and
a [link](place.md).

    optout up

- an item
| cell | other |
|---|---|
"""
    assert read(tmp_path, "page.md", page) == [
        Text(3, "Some X and a link."),
        Text(8, "an item"),
        Text(9, "cell"),
        Text(9, "other"),
    ]


def test_sentences_of_a_template_are_read_without_its_tags(tmp_path: Path) -> None:
    page = """{% block main %}<h1>A heading</h1>
<p>{{ name }} has <b>three</b>
senders.</p><script>let x</script>{# note #}
{% endblock %}"""
    assert read(tmp_path, "page.html", page) == [Text(2, "X has three senders.")]


def test_comments_of_other_files_are_read(tmp_path: Path) -> None:
    content = """# First line,
# and second.
partitions: 12  # of each topic
name: "a # b"
"""
    assert read(tmp_path, "values.yaml", content) == [
        Text(1, "First line, and second."),
        Text(3, "of each topic"),
    ]


def test_a_passage_is_cut_at_full_stops() -> None:
    text = Text(1, "Say this. X follows: (see below). Not e.g. here")
    assert rules.sentences(text) == ["Say this.", "X follows: (see below).", "Not e.g. here"]


def found(file: str, rule: str = "anew") -> rules.Finding:
    return rules.Finding(file, 1, rule, "say again", "Write it anew.")


def test_more_and_fewer_findings_than_allowed_both_differ() -> None:
    now = exceptions.count([found("a.py"), found("a.py"), found("c.py")], ["anew", "whom"])
    allowed = {"anew": {"a.py": 1, "b.py": 1, "c.py": 1}}
    assert exceptions.differences(now, allowed) == [
        ("a.py", "anew", 2, 1),
        ("b.py", "anew", 0, 1),
    ]


def test_the_list_may_not_grow_but_a_file_may_be_renamed() -> None:
    allowed = {"anew": {"a.py": 1}, "whom": {}}
    renamed = exceptions.count([found("b.py")], ["anew", "whom"])
    assert exceptions.grown(renamed, allowed) == []
    grown = exceptions.count([found("b.py"), found("c.py"), found("c.py", "whom")], RULES.names)
    assert exceptions.grown(grown, allowed) == [("anew", 2, 1), ("whom", 1, 0)]


def test_the_list_is_written_as_it_is_read(tmp_path: Path) -> None:
    counts = exceptions.count([found("b.py"), found("a.py")], ["anew", "whom"])
    path = tmp_path / "exceptions.toml"
    path.write_text(exceptions.written(counts), "utf-8")
    assert exceptions.load(path) == {"anew": {"a.py": 1, "b.py": 1}, "whom": {}}
