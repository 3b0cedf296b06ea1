"""The report: its claims cite evidence that is there, hostile text stays text, abstaining is said."""

import dataclasses
import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from watchkeeper.diagnose.base import Category, Cause, Classification, Indicator, IndicatorKind, Proof, Ranking
from watchkeeper.diagnose.incident import Happening, Incident, IncidentSeverity, IncidentState
from watchkeeper.diagnose.rank.findings import FindingsRanker
from watchkeeper.diagnose.report.check import checked, evidence_ids, require, unsupported
from watchkeeper.diagnose.report.document import Section, line, to_html, to_markdown, told
from watchkeeper.diagnose.report.path import Hop, propagation
from watchkeeper.diagnose.report.steps import STEPS
from watchkeeper.diagnose.report.writer import MarkdownWriter, write_report
from watchkeeper.diagnose.similar import Past, similar
from watchkeeper.diagnose.window import Change, IncidentWindow
from watchkeeper.signals.finding import Band, Baseline, Finding, FindingSeverity
from watchkeeper.signals.topology import Edge, EdgeKind, Node, NodeKind, Topology

S = 1_000_000_000
HOSTILE = (
    "<script>alert(1)</script> `tick` ``two`` [a](javascript:x) ![b](http://x/y)\n# head\x00\u202e | **bold** &lt;"
)


def finding(identifier, service, title="errors rise", first_s=600, template=""):
    about = (identifier, "metric.level", "metrics", service, f"service={service}", "errors", title, "above its range")
    grade = (FindingSeverity.CRITICAL, 8.0, 3)
    times = (first_s * S, (first_s + 60) * S)
    return Finding(*about, *grade, *times, Band("1"), Band("9"), Baseline(0, 0), template=template)


def calls(*pairs):
    nodes = {name: Node(NodeKind.SERVICE, name) for pair in pairs for name in pair}
    edges = [Edge(f"service:{one}", f"service:{other}", EdgeKind.CALLS) for one, other in pairs]
    return Topology(tuple(nodes.values()), tuple(edges))


SHOP = calls(("web", "cart"), ("cart", "redis"), ("web", "ads"), ("cart", "ads"))
FINDINGS = (finding("f-redis", "redis"), finding("f-cart", "cart", first_s=620), finding("f-web", "web", first_s=640))
WINDOW = IncidentWindow(
    0,
    600 * S,
    900 * S,
    nodes=("service:web", "service:cart", "service:redis", "service:ads"),
    topology=SHOP,
    symptom="service:web",
    changes=(Change("chg-1", "config", "service:redis", "maxmemory 1 MiB", 590 * S),),
    findings=FINDINGS,
)
CAUSE = Cause(
    "service:redis",
    3.0,
    0.8,
    "supported",
    (Indicator(IndicatorKind.METRIC, "evictions", 4.0),),
    (Proof("p1", "evictions rose a hundredfold", 0.9, node="service:redis"),),
    (Proof("p2", "its latency did not change", 0.1, node="service:redis"),),
    "it deviates most, and all that depend on it follow",
)
RANKING = Ranking(
    (CAUSE, Cause("service:ads", 0.1, 0.05, "refuted")), ruled_out=(("service:web", "its callee is slower"),)
)
TOLD = Classification(Category.MEMORY, {Category.MEMORY: 0.7, Category.UNKNOWN: 0.3}, ("evictions rose a hundredfold",))
INCIDENT = Incident(
    "i1",
    "Shop fails",
    IncidentState.OPEN,
    IncidentSeverity.CRITICAL,
    600 * S,
    900 * S,
    600 * S,
    900 * S,
    ("service:web",),
    ("f-redis",),
    impact="40 % of requests fail",
    timeline=(Happening(601 * S, "opened", "opened"),),
)


def test_every_section_is_there_and_every_claim_cites_what_exists():
    report = write_report(INCIDENT, FINDINGS, WINDOW, RANKING, TOLD)
    for heading in ("Summary", "Impact", "Timeline", "Cause", "Propagation", "Ruled out", "Category", "Next steps"):
        assert f"## {heading}" in report.markdown
        assert f"<h2>{heading}</h2>" in report.html
    known = evidence_ids(WINDOW, RANKING, FINDINGS)
    assert {claim.about for claim in report.claims} == {"cause", "path", "ruled_out", "category"}
    assert all(claim.cites and set(claim.cites) <= known for claim in report.claims)
    assert not report.dropped
    assert "`service:redis`" in report.markdown
    assert "p1" in report.markdown
    assert "chg-1" in report.markdown
    assert report.hops == (Hop("service:redis", "service:cart"), Hop("service:cart", "service:web"))
    assert "service:ads" not in report.markdown


def test_claims_without_evidence_are_dropped_not_told():
    bare = dataclasses.replace(CAUSE, evidence_for=(), evidence_against=())
    report = write_report(None, (), dataclasses.replace(WINDOW, findings=(), changes=()), Ranking((bare,)), TOLD)
    assert report.dropped
    assert not report.claims
    assert not report.hops
    assert "likeliest cause is" not in report.markdown
    assert "hundredfold" not in report.markdown


def test_the_check_tells_what_is_wrong():
    known = {"p1"}
    assert unsupported(line("x", about="cause", cites=["p1"]), known) == ""
    assert "without evidence" in unsupported(line("x", about="cause"), known)
    assert "p9" in unsupported(line("x", cites=["p9"]), known)
    good, bad = Section("A", (line("x", about="path", cites=["p1"]),)), Section("B", (line("y", about="path"),))
    assert checked([good, bad], known).sections == (good,)
    require([good], known)
    with pytest.raises(ValueError, match="without evidence"):
        require([good, bad], known)


def test_abstaining_is_said_with_what_is_missing():
    ranking = Ranking((CAUSE,), abstains=True, why="two causes are equally likely", missing=("traces of cart",))
    unknown = Classification(Category.UNKNOWN, {Category.UNKNOWN: 1.0}, abstains=True)
    report = write_report(INCIDENT, FINDINGS, WINDOW, ranking, unknown)
    assert "No cause is named" in report.markdown
    assert "two causes are equally likely" in report.markdown
    assert "traces of cart" in report.markdown
    assert "No category is named" in report.markdown
    assert not report.hops
    assert not [claim for claim in report.claims if claim.about in {"cause", "path"}]


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = set()
        self.attributes = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)


def test_hostile_text_is_shown_and_never_means_anything():
    bad = dataclasses.replace(CAUSE, why=HOSTILE, evidence_for=(Proof('p"><img src=x>', HOSTILE),))
    hostile = dataclasses.replace(INCIDENT, title=HOSTILE, impact=HOSTILE)
    window = dataclasses.replace(WINDOW, findings=(finding("f-redis", "redis", HOSTILE),), symptom=HOSTILE)
    report = write_report(hostile, (), window, Ranking((bad,), missing=(HOSTILE,)), TOLD)
    rendered = MarkdownIt("commonmark", {"html": True}).render(report.markdown)
    for text in (report.html, rendered):
        tags = Tags()
        tags.feed(text)
        assert tags.seen <= {"article", "h1", "h2", "p", "ul", "li", "code", "cite"}
        assert tags.attributes <= {"data-evidence"}
        assert "&lt;script&gt;" in text
    assert not re.search(r"[\x00\u202e]", report.markdown + report.html)


@pytest.mark.parametrize("text", ["`", "``", "a`b``c```", "`start", "end`", "", " "])
def test_code_spans_hold_any_ticks(text):
    rendered = MarkdownIt("commonmark").render(to_markdown("t", [Section("s", (line("x", told(text), "y"),))]))
    assert rendered.count("<code>") == 2
    assert to_html("t", [Section("s", (line(told(text)),))]).count("<code>") == 1


def test_a_long_text_is_cut():
    assert len(to_markdown("t" * 10_000, [])) < 400


def test_a_fault_spreads_to_dependents_and_starves_those_that_get_their_work_there():
    assert propagation(SHOP, "service:cart", {"service:redis", "service:web"}) == [
        Hop("service:cart", "service:web"),
        Hop("service:cart", "service:redis", starves=True),
    ]
    queue = Node(NodeKind.QUEUE, "mail")
    edges = (
        Edge("service:shop", queue.id, EdgeKind.PRODUCES_TO),
        Edge("service:mailer", queue.id, EdgeKind.CONSUMES_FROM),
    )
    fed = Topology((Node(NodeKind.SERVICE, "shop"), Node(NodeKind.SERVICE, "mailer"), queue), edges)
    # The queue itself showed nothing, so it is passed through.
    assert propagation(fed, "service:shop", {"service:mailer"}) == [Hop("service:shop", "service:mailer", starves=True)]
    assert propagation(fed, queue.id, {"service:mailer"}) == [Hop(queue.id, "service:mailer")]
    assert propagation(SHOP, "service:nowhere", {"service:web"}) == []
    ring = calls(("a", "b"), ("b", "a"))
    assert propagation(ring, "service:a", {"service:a", "service:b"}) == [Hop("service:a", "service:b")]
    # Of two shortest ways, the one over nodes that showed something.
    two = calls(("top", "left"), ("top", "right"), ("left", "base"), ("right", "base"))
    assert propagation(two, "service:base", {"service:top", "service:right"}) == [
        Hop("service:base", "service:right"),
        Hop("service:right", "service:top"),
    ]


def test_the_writer_gives_the_same_text_each_time_and_steps_exist_for_every_category():
    first = MarkdownWriter().write(WINDOW, RANKING, TOLD)
    shuffled = dataclasses.replace(WINDOW, findings=FINDINGS[::-1])
    assert MarkdownWriter().write(shuffled, RANKING, TOLD) == first
    assert set(STEPS) == set(Category)


def past(identifier, service, title, template):
    incident = dataclasses.replace(INCIDENT, id=identifier, title=title, nodes=(f"service:{service}",))
    return Past(incident, (finding(f"f-{identifier}", service, title, template=template),))


def test_similar_incidents_are_found_with_reasons():
    earlier = [
        past("old-1", "cart", "redis refuses cart", "connection refused to redis"),
        past("old-2", "ads", "slow pages", "request took <*> ms"),
        past("old-3", "ads", "certificate of ads", "certificate has expired"),
    ]
    now = past("now", "cart", "redis refuses cart again", "connection refused to redis")
    told_similar = similar(now.incident, now.findings, [*earlier, now])
    assert told_similar[0].incident_id == "old-1"
    assert "now" not in {each.incident_id for each in told_similar}
    assert any("connection refused to redis" in why for why in told_similar[0].why)
    assert 0 < told_similar[0].score <= 1
    assert similar(now.incident, now.findings, []) == []
    assert similar(now.incident, now.findings, earlier[::-1])[0] == told_similar[0]
    report = write_report(now.incident, now.findings, WINDOW, RANKING, TOLD, told_similar)
    assert "old-1" in report.markdown


def test_alerts_alone_rank_what_explains_most_of_them():
    alerts = [finding(f"a-{name}", name, f"HighErrorRate on {name}") for name in ("web", "cart")]
    window = dataclasses.replace(WINDOW, findings=tuple(alerts))
    ranking = FindingsRanker().rank(window)
    assert sorted(ranking.nodes()) == sorted(window.nodes)
    assert ranking.nodes()[0] == "service:cart"
    assert not ranking.abstains
    assert sum(cause.confidence for cause in ranking.causes) == pytest.approx(1.0)
    assert FindingsRanker().rank(dataclasses.replace(WINDOW, findings=())).abstains
    shuffled = dataclasses.replace(window, findings=tuple(alerts[::-1]))
    assert FindingsRanker().rank(shuffled) == ranking
