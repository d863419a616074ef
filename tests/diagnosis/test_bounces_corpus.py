"""How much of the corpus is read as it should be; the figures are printed."""

from __future__ import annotations

from collections import Counter
from email import message_from_bytes

import pytest
from flufl.bounce import all_failures

from postroad.diagnosis.bounce_facts import Said
from postroad.diagnosis.bounce_verdict import judge
from postroad.diagnosis.bounces import read_bounce
from tests.diagnosis.bounce_corpus import ALL, FOLDER, Sample

#: Field of an expectation -> how much of it must be right.
GOALS = {"recipient": 0.97, "hard": 0.97, "reason": 0.95, "status": 0.97, "host": 0.95, "code": 0.97, "action": 0.97}


def found_in(sample: Sample) -> dict[str, Said]:
    return {said.address: said for said in read_bounce(sample.octets).recipients}


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len({sample.family for sample in ALL}) >= 30
    assert len(ALL) >= 150
    files = {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.glob("*/*.eml")}
    assert files == {str(sample) for sample in ALL}  # none is left without an expectation


@pytest.mark.parametrize("sample", ALL, ids=str)
def test_every_kind_is_told(sample: Sample) -> None:
    bounce = read_bounce(sample.octets)
    assert bounce.kind == sample.kind
    assert not sample.form or bounce.form == sample.form


def test_figures(capsys: pytest.CaptureFixture[str]) -> None:
    right: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    wrong: list[str] = []
    for sample in ALL:
        found = found_in(sample)
        wanted = {one["address"]: one for one in sample.recipients}
        asked["recipient"] += len(wanted.keys() | found.keys())  # one too many is as wrong as one too few
        right["recipient"] += len(wanted.keys() & found.keys())
        for address, one in wanted.items():
            said = found.get(address)
            for field, right_one in _compared(one).items():
                asked[field] += 1
                got = None if said is None else _got(said, field)
                right[field] += got == right_one
                if got != right_one:
                    wrong.append(f"{sample}: {field} {got!r}, should be {right_one!r}")
    with capsys.disabled():
        shares = ", ".join(
            f"{field} {right[field]}/{asked[field]} ({right[field] / asked[field]:.1%})" for field in GOALS
        )
        print(f"\n{len(ALL)} samples of {len({sample.family for sample in ALL})} families: {shares}")
    for field, goal in GOALS.items():
        assert right[field] / asked[field] >= goal, "\n".join(wrong)


def _compared(one: dict[str, object]) -> dict[str, object]:
    good = one["reason"] == "delivered"
    fields = {field: one[field] for field in ("hard", "reason", "status")}
    fields |= {"host": str(one["host"]).lower(), "code": str(one.get("code", ""))}
    return fields | {"action": one.get("action", "delivered" if good else "failed")}


def _got(said: Said, field: str) -> object:
    verdict = judge(said)
    match field:
        case "hard":
            return verdict.hard
        case "reason":
            return verdict.reason
    return getattr(said, field)


#: What the other reader takes for a recipient, and is none: the sender, a message id, a delivery that went well; and an
#: address that it leaves encoded.
NOT_RECIPIENTS = {
    "imail/02-failed": {"20261102090000.1@sender.example", "sender@sender.example"},
    "odd/09-xtext-orcpt": {"no+2bbody@example.jp"},
    "sendmail/06-receipt": {"kana@example.jp"},
}


def test_another_reader_finds_nobody_more() -> None:
    """flufl.bounce (of Mailman) is read beside us; whoever it finds is found here too.

    It stumbles over a From without an address, with some releases of Python: nobody is found there, then.
    """
    stumbled = 0
    for sample in ALL:
        try:
            temporary, permanent = all_failures(message_from_bytes(sample.octets))
        except IndexError:
            stumbled += 1
            continue
        others = {(one.decode() if isinstance(one, bytes) else one).lower() for one in temporary | permanent}
        ours = {address.lower() for address, said in found_in(sample).items() if said.action in ("failed", "delayed")}
        assert others - ours == NOT_RECIPIENTS.get(str(sample), set()), str(sample)
    assert stumbled <= 5
