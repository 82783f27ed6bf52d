"""Find the prose in a file: docstrings, comments, messages, paragraphs."""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from tests.parsing import parsed

_SECTIONS = {"Args:", "Returns:", "Raises:", "Yields:", "Attributes:"}
_SKIPPED = ("Example:", "Source:", "Examples:", "\\b")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_DIRECTIVE = re.compile(r"#\s*(?:!|noqa|type:|pragma|ruff:|fmt:)")
_MESSAGE = re.compile(r"(?:[^\W\d_]{2,}|X)(?:[^\w\n]* [^\w\n]*(?:[^\W\d_]+|X)){3,}")
_CODE_LIKE = re.compile(r"\n {2,}|local |redis\.call|\(\?|\\[dswb]|SELECT |[{}]{2}|=>|\$\(")
_BLOCK_TAG = re.compile(
    r"</?(?:p|h\d|li|ul|ol|dl|dt|dd|td|th|tr|table|div|section|button|label|option|select|form"
    r"|title|summary|details|legend|fieldset|input|textarea|a|br|header|main|nav|body|head|html)\b"
    r"[^>]*>"
)


@dataclass(frozen=True, slots=True)
class Text:
    """A passage of prose, on one line; inline code and placeholders in it are the word X."""

    line: int
    words: str


def texts_of(path: Path) -> Iterator[Text]:
    """The prose of a file, by the kind of file that its name says."""
    content = path.read_text("utf-8")
    if path.suffix == ".py":
        is_test = "tests" in path.parts
        yield from _python(content, with_messages=not is_test)
    elif path.suffix == ".md":
        yield from _markdown(content)
    elif path.suffix == ".html":
        yield from _template(content)
    elif path.suffix == ".js":
        yield from _lines(content, re.compile(r"(?:^|\s)//(?P<words>.*)"))
    elif path.suffix == ".tpl":
        yield from (_text(content, found) for found in re.finditer(r"/\*(.*?)\*/", content, re.S))
    else:
        yield from _lines(content, re.compile(r"(?:^|\s)##?(?P<words>[^#\"']*(?:'s?\b[^#\"']*)*)$"))


def plain(words: str) -> str:
    """Put a passage on one line, with X for the code in it."""
    words = re.sub(r"``.+?``|`[^`]+`", "X", words, flags=re.S)
    return " ".join(words.split())


def _text(content: str, found: re.Match[str]) -> Text:
    return Text(content.count("\n", 0, found.start()) + 1, plain(found[1]))


def _lines(content: str, comment: re.Pattern[str]) -> Iterator[Text]:
    """Comments; those that fill lines in a row are one passage."""
    block: list[str] = []
    began = 0
    for number, line in enumerate([*content.splitlines(), ""], 1):
        found = comment.search(line)
        if found and not line[: found.start()].strip():
            began = began if block else number
            block.append(found["words"])
            continue
        if block:
            yield Text(began, plain("\n".join(block)))
            block = []
        if found:
            yield Text(number, plain(found["words"]))


def _python(source: str, *, with_messages: bool) -> Iterator[Text]:
    tree = parsed(source)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, (*_DOCUMENTED, ast.Expr)):
            for string in _docstrings(node):
                docstrings.add(string)
                yield from _docstring(string.lineno, str(string.value))
    yield from _comments(source)
    if with_messages:
        yield from _messages(tree, docstrings)


def _docstrings(node: ast.AST) -> Iterator[ast.Constant]:
    for each in getattr(node, "body", []) if isinstance(node, _DOCUMENTED) else []:
        match each:
            case ast.Expr(value=ast.Constant(value=str()) as string):
                yield string
            case _:
                pass


def _docstring(began: int, words: str) -> Iterator[Text]:
    """The paragraphs of a docstring; each argument or error is a passage of its own."""
    lines = words.splitlines()
    lines[1:] = textwrap.dedent("\n".join(lines[1:])).splitlines()
    passage: list[str] = []
    first = began
    section: int | None = None
    skipped = False
    for number, line in enumerate([*lines, ""], began):
        bare = line.strip()
        indent = len(line) - len(line.lstrip())
        is_entry = section == indent and bool(re.match(r"\S+(?: \([^)]*\))?: ", bare))
        is_item = bare.startswith(("- ", "* "))
        if passage and (not bare or is_entry or is_item or bare in _SECTIONS):
            yield Text(first, plain("\n".join(passage)))
            passage = []
        if not bare:
            section = None
            skipped = False
        elif bare in _SECTIONS:
            section = indent + 4
        elif bare.startswith(_SKIPPED) or (section is None and indent >= 4 and not passage):
            skipped = True
        elif not skipped:
            if is_entry:
                bare = bare.split(": ", 1)[1]
            first = first if passage else number
            passage.append(bare.removeprefix("- ").removeprefix("* "))


def _comments(source: str) -> Iterator[Text]:
    block: list[str] = []
    began = column = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NL, tokenize.NEWLINE):
            continue
        is_comment = token.type == tokenize.COMMENT and not _DIRECTIVE.match(token.string)
        fills_line = is_comment and not token.line[: token.start[1]].strip()
        follows = fills_line and block and token.start == (began + len(block), column)
        if block and not follows:
            yield Text(began, plain("\n".join(block)))
            block = []
        if is_comment:
            if not block:
                began, column = token.start
            block.append(token.string.lstrip("#"))
            if not fills_line:
                column = -1


def _messages(tree: ast.Module, docstrings: set[ast.Constant]) -> Iterator[Text]:
    """The string literals that read as prose: help, errors, output, descriptions."""
    inner: set[ast.AST] = set(docstrings)
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=values):
                inner.update(values)
                words = "".join(
                    part.value
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                    else "X"
                    for part in values
                )
            case ast.Constant(value=str(words)) if node not in inner:
                pass
            case _:
                continue
        if _MESSAGE.search(words) and not _CODE_LIKE.search(words):
            for paragraph in re.split(r"\n\s*\n", words):
                yield Text(node.lineno, plain(paragraph))


def _markdown(content: str) -> Iterator[Text]:
    """The paragraphs, list items and table cells; headings and code are left out."""
    content = re.sub(r"^(?:```|~~~).*?^(?:```|~~~)|<!--.*?-->", _blank, content, flags=re.S | re.M)
    content = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", content)
    content = re.sub(r"``.+?``|`[^`]+`", _code, content, flags=re.S)
    passage: list[str] = []
    began = 0
    for number, line in enumerate([*content.splitlines(), ""], 1):
        bare = line.strip()
        is_code = line.startswith("    ") and not passage
        starts = re.match(r"(?:[-*+]|\d+\.) ", bare)
        if passage and (not bare or starts or bare.startswith(("#", "|"))):
            yield Text(began, plain("\n".join(passage)))
            passage = []
        if bare.startswith("|"):
            cells = (cell.strip() for cell in bare.strip("|").split("|"))
            yield from (Text(number, plain(cell)) for cell in cells if re.search(r"\w", cell))
        elif bare and not bare.startswith("#") and not is_code:
            began = began if passage else number
            passage.append(bare[starts.end() :] if starts else bare)


def _blank(found: re.Match[str]) -> str:
    return "\n" * found[0].count("\n")


def _code(found: re.Match[str]) -> str:
    return "X" + _blank(found)


def _template(content: str) -> Iterator[Text]:
    """The passages of a page; headings are left out, as in Markdown."""
    content = re.sub(r"\{#.*?#\}|<(script|style|h\d)\b.*?</\1>", _cut, content, flags=re.S)
    content = re.sub(r"\{\{.*?\}\}", _code, content, flags=re.S)
    content = re.sub(r"\{%.*?%\}", _cut, content, flags=re.S)
    content = _BLOCK_TAG.sub(_cut, content)
    content = re.sub(r"<[^>]*>", _blank, content)
    line = 1
    for piece in content.split("\0"):
        empty = len(piece) - len(piece.lstrip())
        if words := plain(unescape(piece)):
            yield Text(line + piece.count("\n", 0, empty), words)
        line += piece.count("\n")


def _cut(found: re.Match[str]) -> str:
    return _blank(found) + "\0"
