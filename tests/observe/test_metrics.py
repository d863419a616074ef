"""What Prometheus is told: every figure by its name, read back with its own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from postroad.envelope import Attempt, JournalEntry, MessageId, Outcome, Result, Step
from postroad.observe.metrics import Figures, Metrics
from postroad.replies import Reply

FIGURES = Figures("1.2.3", {"queued": 3, "held": 1, "delivered": 0, "failed": 2}, 4, 9000, 12.5, 1.9e9)


def scraped(metrics: Metrics, figures: Figures = FIGURES) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = metrics.expose(figures).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def entry(seconds: float, *results: Result, steps: tuple[Step, ...] = (), route: str = "mx") -> JournalEntry:
    attempt = Attempt(1.0, seconds, route, "mx.example" if route else "", results, steps=steps)
    return JournalEntry(1, MessageId("0-a"), "a@b.example", {0: "c@d.example"}, attempt)


def test_replies_said_are_counted_by_command() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.said("MAIL", Reply(455, "Not now", "4.5.4"))
    metrics.said("CONNECT", Reply(220, "mx.example ESMTP"))
    found = scraped(metrics)
    name = "postroad_smtp_replies_total"
    labels = (("code", "455"), ("direction", "said"), ("enhanced", "4.5.4"), ("verb", "MAIL"))
    assert found[name, labels] == 3
    assert found[name, (("code", "220"), ("direction", "said"), ("enhanced", ""), ("verb", "CONNECT"))] == 1


def test_what_an_operator_does_is_no_attempt() -> None:
    metrics = Metrics()
    held = Result(0, Outcome.HELD, note="held by the operator")
    released = Result(0, Outcome.DEFERRED, note="released", next_due=2.0)
    killed = Result(0, Outcome.DEFERRED, next_due=2.0, uncertain=True)
    given_up = Result(0, Outcome.FAILED, note="given up by the operator")
    metrics.settled([entry(0.0, one, route="") for one in (held, released, killed, given_up)])
    found = scraped(metrics)
    assert found["postroad_delivery_seconds_count", ()] == 0
    name = "postroad_delivery_attempts_total"
    assert {labels: count for (family, labels), count in found.items() if family == name} == {
        (("outcome", "deferred"),): 1,  # the one that a killed process was at
        (("outcome", "failed"),): 1,
    }


def test_attempts_tell_outcome_time_steps_and_doubt() -> None:
    metrics = Metrics()
    refused = Result(0, Outcome.DEFERRED, Reply(451, "Later", "4.7.1"), next_due=9.0, stage="RCPT")
    lost = Result(1, Outcome.DEFERRED, None, "cut", 9.0, uncertain=True)
    step = Step("omit", "MAIL", Reply(455, "No", "4.5.4"), ("RET",))
    metrics.settled([entry(0.3, refused, lost, steps=(step,)), entry(1000.0, Result(0, Outcome.DELIVERED))])
    found = scraped(metrics)
    assert found["postroad_delivery_attempts_total", (("outcome", "deferred"),)] == 2
    assert found["postroad_delivery_attempts_total", (("outcome", "delivered"),)] == 1
    assert found["postroad_delivery_steps_total", (("action", "omit"),)] == 1
    assert found["postroad_delivery_uncertain_total", ()] == 1
    assert found["postroad_delivery_seconds_count", ()] == 2
    assert found["postroad_delivery_seconds_sum", ()] == 1000.3
    assert found["postroad_delivery_seconds_bucket", (("le", "0.1"),)] == 0
    assert found["postroad_delivery_seconds_bucket", (("le", "0.5"),)] == 1
    assert found["postroad_delivery_seconds_bucket", (("le", "+Inf"),)] == 2
    heard = (("code", "451"), ("direction", "heard"), ("enhanced", "4.7.1"), ("verb", "RCPT"))
    assert found["postroad_smtp_replies_total", heard] == 1
    refused = (("code", "455"), ("direction", "heard"), ("enhanced", "4.5.4"), ("verb", "MAIL"))
    assert found["postroad_smtp_replies_total", refused] == 1


def test_a_reply_that_concerns_several_was_heard_once_and_one_that_the_ladder_got_over_too() -> None:
    metrics = Metrics()
    busy, gone = Reply(554, "No mail here", "5.3.2"), Reply(550, "No such user", "5.1.1")
    at_greeting = [Result(number, Outcome.DEFERRED, busy, next_due=1.0, stage="GREETING") for number in range(3)]
    at_rcpt = [Result(number, Outcome.FAILED, gone, stage="RCPT") for number in range(3)]
    step = Step("omit", "MAIL", Reply(455, "No", "4.5.4"), ("RET",))
    metrics.settled([entry(0.1, *at_greeting), entry(0.1, *at_rcpt, steps=(step,))])
    found = {
        (dict(labels)["verb"], dict(labels)["code"]): value
        for (name, labels), value in scraped(metrics).items()
        if name == "postroad_smtp_replies_total"
    }
    assert found == {("GREETING", "554"): 1, ("RCPT", "550"): 3, ("MAIL", "455"): 1}


def test_our_own_replies_were_not_heard_from_anybody() -> None:
    metrics = Metrics()
    metrics.settled([entry(0.0, Result(0, Outcome.FAILED, Reply(556, "no mail there", "5.1.10")))])
    assert not any(name == "postroad_smtp_replies_total" for name, _ in scraped(metrics))


def test_the_queue_and_the_release() -> None:
    found = scraped(Metrics())
    assert found["postroad_queue_recipients", (("state", "queued"),)] == 3
    assert found["postroad_queue_messages", ()] == 4
    assert found["postroad_queue_oldest_seconds", ()] == 12.5
    assert found["postroad_spool_bytes", ()] == 9000
    assert found["postroad_build_info", (("version", "1.2.3"),)] == 1
    assert found["postroad_tls_expiry_timestamp_seconds", ()] == 1.9e9
    bare = Figures("1", {}, 0, 0, 0.0)
    assert not any("expiry" in name for name, _ in scraped(Metrics(), bare))


def test_sessions() -> None:
    metrics = Metrics()
    metrics.session_ended("mx", True)
    metrics.session_ended("mx", False)
    metrics.session_ended("mx", False)
    found = scraped(metrics)
    assert found["postroad_sessions_total", (("listener", "mx"), ("tls", "no"))] == 2


def test_a_peer_cannot_make_up_labels_without_end() -> None:
    metrics = Metrics()
    for number in range(5000):
        reply = Reply(550, "x", f"5.{number // 1000}.{number % 1000}")
        metrics.settled([entry(0.1, Result(0, Outcome.FAILED, reply, stage="RCPT"))])
    found = [value for (name, _), value in scraped(metrics).items() if name == "postroad_smtp_replies_total"]
    assert len(found) <= 2001
    assert sum(found) == 5000
