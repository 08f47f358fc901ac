"""docker/prometheus-alerts.yaml against what the controller exposes, and by Prometheus' own tool."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

ALERTS = Path(__file__).resolve().parents[3] / "docker" / "prometheus-alerts.yaml"
CASES = Path(__file__).with_name("prometheus_alerts.yaml")
SELECTOR = re.compile(r"(gtn_nas_\w+)(?:\{([^}]*)\})?")


def test_alerts_are_about_metrics_and_labels_that_there_are(http: TestClient, scored_search: str) -> None:
    http.get(f"/v1/searches/{scored_search}")
    exposed = {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(http.get("/metrics").text)
        for sample in family.samples
    }
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    watched = [found for rule in group["rules"] for found in SELECTOR.findall(rule["expr"])]
    assert len(watched) >= len(group["rules"]) - 1  # all but that of the scrape itself
    for name, selected in watched:
        assert set(re.findall(r"(\w+)(?:!?=~?)", selected)) <= exposed[name], name


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_alerts_fire_when_all_is_bad_and_only_then(tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text(CASES.read_text().replace("[ALERTS]", f"[{ALERTS}]"))
    done = subprocess.run(["promtool", "test", "rules", cases], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
