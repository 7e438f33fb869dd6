"""The dashboard, the alerts and the page about them speak of metrics that exist, with labels and values that exist."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import yaml

from beatd.core.census import Sizes, Tally
from beatd.core.timetable import Check
from beatd.daemon.clock import ServerClock
from beatd.daemon.metrics import HELP, Exporter
from beatd.daemon.tallies import Tallies
from beatd.daemon.vitals import Vitals
from tests.support.pages import ROOT, anchors_of, bare, table_of

DOCS: Final = ROOT / "docs"
ALERTS: Final = DOCS / "monitoring" / "alerts.yaml"
DASHBOARD: Final = DOCS / "monitoring" / "dashboard.json"
OWN_LABELS: Final = {"job", "instance", "le"}  # those of Prometheus itself
ELSEWHERE: Final = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}
FUNCTIONS: Final = {
    *("absent", "changes", "count", "histogram_quantile", "increase", "label_values", "max", "min", "rate", "sum"),
}
WORDS: Final = FUNCTIONS | {"by"}
TOKEN: Final = re.compile(
    r'\s+|(?P<text>"[^"]*")|(?P<duration>\$__rate_interval|\d+[smhd])|(?P<number>\d+(\.\d+)?(e\d+)?)'
    r"|(?P<name>[a-zA-Z_]\w*)|(?P<sign>=~|!~|!=|==|>=|<=|[-+*/<>=(){}\[\],:])"
)


def known() -> Mapping[str, Mapping[str, set[str]]]:
    """Every series by its name, with its labels and their values."""
    vitals = Vitals(ServerClock())
    vitals.emit("leader_acquired", epoch=1)
    vitals.checked(Check(0, 0, None, 1, 0, (), Sizes(), 0))
    vitals.counted(Tally())
    found: dict[str, dict[str, set[str]]] = {name: {} for name in ELSEWHERE}
    for family in Exporter(Tallies(), vitals, lambda: 0.0).collect():
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


KNOWN: Final = known()


def tokens(expression: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each. Fails on what PromQL does not know."""
    at = 0
    while at < len(expression):
        found = TOKEN.match(expression, at)
        assert found, f"not understood: {expression[at:]!r} in {expression}"
        at = found.end()
        if found.lastgroup:
            yield next((kind, text) for kind, text in found.groupdict().items() if text is not None)


def faults(expression: str) -> list[str]:
    """What an expression speaks of that does not exist; and brackets that don't close."""
    found, open_, metric = [], [], ""
    inside, all_tokens = False, list(tokens(expression))
    labels = set().union(*(each.keys() for each in KNOWN.values())) | OWN_LABELS
    for at, (kind, text) in enumerate(all_tokens):
        if text in ("(", "{", "["):
            open_.append({"(": ")", "{": "}", "[": "]"}[text])
            inside = inside or text == "{"
        elif text in (")", "}", "]"):
            found += [] if open_ and open_.pop() == text else [f"{text} closes nothing"]
            inside = inside and text != "}"
        elif kind == "name" and inside:
            found += [] if text in KNOWN.get(metric, {}) or text in OWN_LABELS else [f"{metric} has no label {text}"]
            found += _values(metric, text, all_tokens[at + 2][1])
        elif kind == "name" and text in KNOWN:
            metric = text
        elif kind == "name" and text not in WORDS and text not in labels:
            found.append(f"nobody knows {text}")
    return found + [f"{sign} is missing" for sign in open_]


def _values(metric: str, label: str, matched: str) -> list[str]:
    values = matched.strip('"').split("|")
    if label in OWN_LABELS:
        return []
    return [f"{metric} has no {label} {value}" for value in values if value not in KNOWN.get(metric, {}).get(label, ())]


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def panel_targets() -> list[Any]:
    return [
        pytest.param(target["expr"], target["legendFormat"], id=f"{panel['title']}-{target['refId']}")
        for panel in dashboard()["panels"]
        for target in panel["targets"]
    ]


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_speaks_of_metrics_that_exist_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert faults(rule["expr"]) == []
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor in anchors_of(ROOT / page)
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))


def test_each_alert_has_a_name_of_its_own() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"Beatd[A-Z]\w+", name) for name in names)


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_what_an_alert_says_uses_labels_that_its_expression_keeps(rule: dict[str, Any]) -> None:
    kept = re.search(r"by \(([^)]*)\)", rule["expr"])
    labels = set() if kept is None else set(kept[1].replace(",", " ").split())
    said = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    assert said <= labels


@pytest.mark.parametrize("expression, legend", panel_targets())
def test_a_panel_speaks_of_metrics_that_exist(expression: str, legend: str) -> None:
    assert faults(expression) == []
    kept = re.search(r"by \(([^)]*)\)", expression)
    labels = {"instance"} if kept is None else set(kept[1].replace(",", " ").split())
    assert set(re.findall(r"{{(\w+)}}", legend)) <= labels


def test_the_dashboard_shows_every_metric_of_ours() -> None:
    said = " ".join(target["expr"] for panel in dashboard()["panels"] for target in panel["targets"])
    assert {name for name in HELP if name not in said} == set()


def test_panels_have_numbers_of_their_own_and_lie_side_by_side() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(p["gridPos"]["x"] + x, p["gridPos"]["y"] + y) for p in panels
              for x in range(p["gridPos"]["w"]) for y in range(p["gridPos"]["h"])}  # fmt: skip
    assert len(places) == sum(panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in panels)
    assert max(x for x, _ in places) < 24


def test_the_variables_of_the_dashboard_are_those_it_uses() -> None:
    text = DASHBOARD.read_text(encoding="utf-8")
    names = {variable["name"] for variable in dashboard()["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", text)) - {"labels"}
    assert used == names


def test_the_page_tells_every_metric_with_its_labels() -> None:
    rows = {bare(row[0]): row[1:] for row in table_of(DOCS / "monitoring.md", "metric")}
    assert set(rows) == {
        f"{name}_total" if f"{name}_total" in KNOWN else name for name in HELP
    }  # fmt: skip
    for name, (_, labels, text) in rows.items():
        series = KNOWN.get(name) or KNOWN[f"{name}_bucket" if f"{name}_bucket" in KNOWN else name]
        told = {label: set(values.split()) for label, values in re.findall(r"(\w+): ([\w ]+)", bare(labels))}
        assert told == {label: values for label, values in series.items() if label != "le"}
        assert text == HELP[name.removesuffix("_total")]


@pytest.mark.parametrize("expression, fault", [
    ("sum(beatd_fired_total)", "nobody knows beatd_fired_total"),
    ('beatd_entries{stat="paused"}', "beatd_entries has no label stat"),
    ('beatd_entries{state=~"paused|asleep"}', "beatd_entries has no state asleep"),
    ("sum by (jub) (beatd_leader)", "nobody knows jub"),
    ("avrg(beatd_leader)", "nobody knows avrg"),
    ("sum(beatd_leader", ") is missing"),
    ("sum(rate(beatd_fires_total[5m)])", ") closes nothing"),
])  # fmt: skip
def test_what_does_not_exist_is_found(expression: str, fault: str) -> None:
    assert fault in faults(expression)
