import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from bpci_node.runtime.counters import MAX_CODES, Counters

LIST = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(r"\| `(\w+)` \| (\w+) \|([^|]*)\|")


def listed() -> dict[str, tuple[str, set[str]]]:
    rows = ROW.findall(LIST.read_text())
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_list_of_metrics_is_what_the_endpoint_gives(served: Any) -> None:
    served.http.post("/v1/entries", json={"target": "eip155:1", "raw": "0x00"})  # so that each label occurs once
    served.http.post("/v1/faucet/grants", json={"v": 1, "account": "bpa1" + "a" * 32})
    families = [
        family
        for family in text_string_to_metric_families(served.http.get("/metrics").text)
        if not family.name.startswith("process_")
    ]
    given = {}
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        given[name] = (family.type, labels)
        assert family.documentation, name
    assert given == listed()


def test_names_follow_the_conventions(served: Any) -> None:
    for name, (kind, _) in listed().items():
        assert re.fullmatch(r"bpci_[a-z_]+", name), name
        assert name.endswith("_total") == (kind == "counter"), name
        if kind == "histogram":
            assert name.endswith(("_seconds", "_jobs")), name


def test_the_steps_in_the_list_are_those_of_the_endpoint(served: Any) -> None:
    text = served.http.get("/metrics").text
    steps = set(re.findall(r'bpci_mempool_step_seconds_count\{step="(\w+)"\}', text))
    assert steps == set(re.findall(r"`([a-z]+)`", LIST.read_text().partition("\nSteps: ")[2]))


def test_error_codes_are_counted_together_once_there_are_too_many() -> None:
    counters = Counters()
    for number in [*range(MAX_CODES + 50), 1]:
        counters.note_refusal(f"test.{number}")
    assert len(counters.refused) == MAX_CODES + 1
    assert counters.refused["other"] == 50
    assert counters.refused["test.1"] == 2
