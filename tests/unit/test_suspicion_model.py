"""R30: the model and the stems that ship are those that the command makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from processor.suspicion.score import model
from processor.suspicion.stems import stems
from tests.suspicion import held_out, picking, texts, training
from tests.suspicion.__main__ import DATA, main
from tests.suspicion.texts import Text

SHIPPED = DATA / "model.json"


def test_the_model_is_made_of_the_texts_and_words_that_are_here() -> None:
    source = json.loads(SHIPPED.read_text("utf-8"))["source"]
    assert source == training.digest_of(texts.all_known()), "run: python -m tests.suspicion"


@pytest.mark.slow
@pytest.mark.timeout(600)  # it learns from all texts
def test_the_command_makes_the_model_and_the_stems_that_ship() -> None:
    made = training.made_of(texts.all_known())
    assert (made.bias, made.least) == pytest.approx((model().bias, model().least), abs=0.011)
    assert made.weights.keys() ^ model().weights.keys() == set()
    # The last digit may differ where the C library rounds otherwise.
    assert dict(made.weights) == pytest.approx(dict(model().weights), abs=0.011)
    assert picking.made_of(texts.all_known()) == stems()


def _some(label: str, count: int) -> list[Text]:
    known = [text for text in texts.own() if text.language == "en" and text.label == label]
    return known[:count]


def test_equal_texts_make_equal_models() -> None:
    known = [*_some("stop", 150), *_some("not", 150)]
    assert training.made_of(known) == training.made_of(known)


def test_texts_of_a_pair_are_held_out_together() -> None:
    known = texts.field()
    folds = held_out.folds_of(known, 5)
    places: dict[str, set[int]] = {}
    for text, fold in zip(known, folds, strict=True):
        if text.group:
            places.setdefault(text.group, set()).add(fold)
    assert len(places) > 20
    assert all(len(each) == 1 for each in places.values())


def test_what_was_learned_holds_for_texts_that_were_held_out() -> None:
    known = [*_some("stop", 300), *_some("not", 300)]
    tally = held_out.tally_of(held_out.judged(known, [], folds=3, learn_more=False))
    assert tally.caught + tally.missed == 300
    assert tally.recall > 0.6
    assert tally.precision > 0.8


def test_a_wrong_file_is_named_with_its_line_and_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "exported.jsonl"
    path.write_text('{"body": "stop", "label": "stop", "lang": "en"}\n{"body": "a"}\n', "utf-8")
    assert main([str(path), "--to", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f'{path}:2: not a labelled text; write {{"body"')
    assert not (tmp_path / "model.json").exists()


def test_exported_texts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "exported.jsonl"
    path.write_text('{"body": "basta", "label": "ambiguous", "lang": "it"}\n\n', "utf-8")
    assert texts.read(path) == [Text("basta", "ambiguous", "it")]
