"""What is shipped to set a fleet or a service up: read, and held to what the program really has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from streamspot.cli import app
from streamspot.fleet.plan import Plan
from streamspot.layers import load_streams
from streamspot.sinks.prometheus import MetricsServer
from streamspot.stats import Delivery, Stats

SAMPLES = Path(__file__).parents[1] / "docs" / "samples" / "fleet"


def test_the_sample_is_a_fleet() -> None:
    """Names, a broker, journals; four faces cost more than one."""
    plan = Plan.of(load_streams({}, SAMPLES / "fleet.yaml"))
    assert plan.name == "museum"
    assert {name: cost for name, (cost, _) in plan.wanted().items()} == {"hall-1": 1.0, "hall-2": 2.5}


def test_the_fleet_and_the_command_of_kubernetes_are_understood(tmp_path: Path) -> None:
    """The file in the ConfigMap is a fleet, and the job's flags are those that there are."""
    documents = {one["kind"]: one for one in yaml.safe_load_all((SAMPLES / "kuberay.yaml").read_text())}
    file = tmp_path / "fleet.yaml"
    file.write_text(documents["ConfigMap"]["data"]["fleet.yaml"])
    assert len(Plan.of(load_streams({}, file)).sources) == 2
    program, name, *arguments = documents["RayJob"]["spec"]["entrypoint"].split()
    assert program == "streamspot"
    get_command(app).commands[name].make_context(name, arguments)  # type: ignore[attr-defined]
    claims = json.dumps(documents["RayCluster"])
    assert claims.count(documents["PersistentVolumeClaim"]["metadata"]["name"]) == 2


def test_the_dashboard_asks_for_metrics_that_there_are(tmp_path: Path) -> None:
    """Every name in a query is served by an engine, and Prometheus can parse the queries."""
    queries = [
        target["expr"]
        for panel in json.loads((SAMPLES / "grafana.json").read_text())["panels"]
        for target in panel["targets"]
    ]
    measured = Stats(stream="a")
    measured.stages["total"].add(0.01)
    server = MetricsServer([measured], Delivery(), node="n")
    served = {sample.name for metric in server._figures.collect() for sample in metric.samples}
    assert set(re.findall(r"streamspot_\w+", " ".join(queries))) <= served
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is not installed; apt-get install prometheus")
    rules = [{"record": f"r:{n}", "expr": query} for n, query in enumerate(queries)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    checked = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("place", ["fleet/streamspot-node.service", "service/streamspot.service"])
def test_the_units_are_such_as_systemd_understands(place: str, tmp_path: Path) -> None:
    """With a program and a user that there are in the place of those that are not."""
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not installed")
    text = (SAMPLES.parent / place).read_text()
    unit = tmp_path / Path(place).name
    unit.write_text(
        re.sub(r"/opt/streamspot/bin/\w+", "/bin/true", text).replace("User=streamspot", "User=root")
    )
    checked = subprocess.run([verify, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_command_of_the_service_is_understood() -> None:
    """Its flags are those that there are."""
    text = (SAMPLES.parent / "service" / "streamspot.service").read_text()
    _, name, *arguments = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)[1].split()  # type: ignore[index]
    get_command(app).commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


def test_the_command_of_the_container_is_understood() -> None:
    """It names its node, which would be another at each start: a container's host name is."""
    text = (SAMPLES.parents[1] / "howto" / "service.md").read_text()
    _, name, *arguments = re.search(r"^ +(streamspot run .*)$", text, re.MULTILINE)[1].split()  # type: ignore[index]
    given = get_command(app).commands[name].make_context(name, arguments)  # type: ignore[attr-defined]
    assert given.params["node"] is not None
