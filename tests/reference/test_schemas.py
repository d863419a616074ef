"""Every document has the form that the published JSON Schema gives it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import postroad.reference
from postroad.replies.catalogue import catalogue
from postroad.replies.documents import Documents
from postroad.replies.explaining import Explainer

KNOWN = catalogue()
SCHEMA = json.loads((Path(postroad.reference.__file__).parent / "schemas" / "reference.json").read_text())
LANGUAGES = ("en", "ja")
TEXTS = (
    *(
        "455",
        "4.7.1",
        "5.1.1",
        "SIZE",
        "RCPT",
        "RET=",
        "466",
        "550 5.1.1 User unknown",
        "421 5.7.32 Try later",
        "nonsense",
    ),
    "C: EHLO a.example\nS: 250 a\nC: MAIL FROM:<a@example.com>\nS: 451 4.7.1 Greylisted\nS: 550 No",
)


@pytest.fixture(scope="module")
def check() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


@pytest.mark.parametrize("language", LANGUAGES)
def test_codes(language: str, check: jsonschema.Draft202012Validator) -> None:
    documents = Documents(KNOWN, language)
    for code in KNOWN.codes:
        check.validate(documents.code(code))


@pytest.mark.parametrize("language", LANGUAGES)
def test_statuses_keywords_and_verbs(language: str, check: jsonschema.Draft202012Validator) -> None:
    documents = Documents(KNOWN, language)
    for name in KNOWN.enhanced:
        for digit in ("X", *KNOWN.enhanced[name].classes):
            check.validate(documents.enhanced(digit + name[1:]))
    for name in KNOWN.keywords:
        check.validate(documents.keyword(name))
    for name in KNOWN.verbs:
        check.validate(documents.verb(name))


@pytest.mark.parametrize("language", LANGUAGES)
def test_curated_pairs(language: str, check: jsonschema.Draft202012Validator) -> None:
    documents = Documents(KNOWN, language)
    for a, b in KNOWN.curated_pairs[::6]:
        check.validate(documents.comparison(a, b))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", TEXTS)
def test_explanations(text: str, language: str, check: jsonschema.Draft202012Validator) -> None:
    check.validate(Explainer(KNOWN, language).explain(text))


def test_the_schema_refuses_what_is_not_whole(check: jsonschema.Draft202012Validator) -> None:
    document = Documents(KNOWN, "en").code(455)
    del document["title"]
    assert not check.is_valid(document)
