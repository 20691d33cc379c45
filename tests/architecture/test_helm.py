"""The Helm chart, rendered by helm itself, held against Kubernetes' own schemas and our settings."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from control.settings import ControlSettings
from edge.config import EdgeConfig
from geo.dns.settings import DnsSettings
from origin.settings import OriginSettings
from tests.architecture.repository import ROOT, blocks
from tests.control.planes import controlling

CHART = ROOT / "deploy" / "helm" / "tepi"
HELM = Path(sys.executable).parent / "helm"
MODELS = {"control": ControlSettings, "edge": EdgeConfig, "dns": DnsSettings, "origin": OriginSettings}
KUBERNETES = ("1.29", "1.37")  # the oldest that Chart.yaml allows, and the newest that is known

pytestmark = pytest.mark.skipif(not HELM.exists(), reason="helm has no wheel for this machine")

NAME_SERVER = {"name": "ns1.cdn.example", "addresses": ["203.0.113.53"]}
SMALL: dict[str, Any] = {"dns": {"nameServers": [NAME_SERVER]}}
LARGE: dict[str, Any] = {
    "control": {
        "replicas": 3,
        "database": "postgresql://tepi@db/tepi",
        "databasePasswordSecret": "db",
        "nats": "nats://nats:4222",
        "hosts": ["control.shop.example"],
        "nodesFrom": ["203.0.113.0/24"],
    },
    "pops": [
        {"name": "jakarta", "place": "Jakarta", "kind": "DaemonSet", "nodeSelector": {"pop": "jakarta"}},
        {
            "name": "frankfurt",
            "place": "Frankfurt",
            "kind": "Deployment",
            "replicas": 4,
            "addresses": ["203.0.113.80", "2001:db8::80"],
            "volume": {"hostPath": {"path": "/var/lib/tepi"}},
        },
    ],
    "dns": {"nameServers": [NAME_SERVER], "replicas": 3},
    "origin": {
        "database": "postgresql://tepi@db/origin",
        "databasePasswordSecret": "db",
        "plugins": {"checkout": {"hold_minutes": 20}},
        "secrets": ["providers"],
    },
    "webhooks": {"secrets": ["hooks"]},
    "monitoring": {"podMonitor": True},
}


def helm(*words: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HELM, *words, CHART, "--values", "-"],
        input=yaml.safe_dump(values),
        capture_output=True,
        text=True,
        timeout=60,
    )


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    made = helm("template", "shop", values=values)
    assert made.returncode == 0, made.stderr
    return [document for document in yaml.safe_load_all(made.stdout) if document]


def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in documents
        if one["kind"] in ("StatefulSet", "DaemonSet", "Deployment")
    }


def configurations(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        one["metadata"]["name"]: tomllib.loads(text)
        for one in documents
        if one["kind"] == "ConfigMap"
        for text in one["data"].values()
    }


@pytest.mark.parametrize("values", [SMALL, LARGE], ids=["small", "large"])
def test_helm_finds_nothing_to_complain_about(values: dict[str, Any]) -> None:
    linted = helm("lint", "--strict", values=values)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", [SMALL, LARGE], ids=["small", "large"])
def test_kubernetes_takes_every_document(values: dict[str, Any], version: str) -> None:
    for document in rendered(values):
        if document["kind"] != "PodMonitor":  # the Prometheus operator's
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("values", [SMALL, LARGE], ids=["small", "large"])
def test_every_part_takes_its_configuration(values: dict[str, Any]) -> None:
    found = configurations(rendered(values))
    assert {name.split("-")[1] for name in found} == set(MODELS)
    for name, document in found.items():
        MODELS[name.split("-")[1]].model_validate(document)


@pytest.mark.parametrize("values", [SMALL, LARGE], ids=["small", "large"])
def test_every_container_is_nobody_special(values: dict[str, Any]) -> None:
    for name, pod in pods(rendered(values)).items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["automountServiceAccountToken"] is False
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        (main,) = pod["containers"]
        ports = {port["name"]: port["containerPort"] for port in main["ports"]}
        configured = MODELS[main["name"]].model_validate(configurations(rendered(values))[name])
        assert str(configured.admin).endswith(f":{ports['admin']}")  # type: ignore[attr-defined]
        assert main["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}


def test_the_token_that_announces_nodes_is_not_where_visitors_are() -> None:
    for pod in pods(rendered(LARGE)).values():
        (main,) = pod["containers"]
        assert "TEPI_TOKEN" not in {one["name"] for one in main.get("env", ())}


def test_each_edge_has_a_place_of_its_own_and_grows_as_it_is_told() -> None:
    documents = {(one["kind"], one["metadata"]["name"]): one for one in rendered(LARGE)}
    assert documents["DaemonSet", "shop-edge-jakarta"]["spec"]["template"]["spec"]["nodeSelector"]
    assert documents["Deployment", "shop-edge-frankfurt"]["spec"]["replicas"] == 4
    assert documents["Service", "shop-edge-frankfurt"]["spec"]["externalTrafficPolicy"] == "Local"
    assert ("Service", "shop-edge-jakarta") not in documents
    budgets = {name for kind, name in documents if kind == "PodDisruptionBudget"}
    assert budgets == {"shop-control", "shop-edge-frankfurt", "shop-dns"}


def test_the_example_of_the_page_works() -> None:
    (example,) = [block.text for block in blocks("yaml") if block.page.name == "kubernetes.md"]
    assert {"shop-edge-jakarta", "shop-edge-frankfurt"} <= set(pods(rendered(yaml.safe_load(example))))


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"control": {"replicas": 2}}, "control"),
        ({"pops": [{"name": "x", "place": "Jakarta", "kind": "Deployment"}]}, "addresses"),
        ({"pops": [{"name": "Jakarta 1", "place": "Jakarta", "kind": "DaemonSet"}]}, "pops.0.name"),
        ({"dns": {"nameServers": []}}, "nameServers"),
        ({"origin": {"storage": "much"}}, "origin.storage"),
        ({"orgin": {}}, "orgin"),
    ],
)
def test_values_that_cannot_work_are_refused_with_their_place(values: dict[str, Any], place: str) -> None:
    refused = helm("template", "shop", values={**SMALL, **values})
    assert refused.returncode != 0
    assert place in refused.stderr.replace("/", ".")


def container(pod: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = [each for each in pod["initContainers"] if each["name"] == name]
    return dict(one)


async def run(container: dict[str, Any], home: Path, **environment: str) -> asyncio.subprocess.Process:
    """A container's command, with its directories under `home`."""
    (script,) = container["args"]
    for place in ("/etc/tepi", "/run/tepi", "/var/lib/tepi"):
        script = script.replace(place, f"{home}{place}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return await asyncio.create_subprocess_exec(
        *container["command"], script, env={"PATH": path, **environment}
    )


async def test_a_pod_announces_itself_once_and_says_farewell(tmp_path: Path) -> None:
    """The very scripts of the chart, against a control that runs."""
    documents = rendered(LARGE)
    pod = pods(documents)["shop-edge-frankfurt"]
    for place in ("etc/tepi", "run/tepi", "var/lib/tepi"):
        (tmp_path / place).mkdir(parents=True)
    (text,) = [
        one["data"]["edge.toml"]
        for one in documents
        if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "shop-edge-frankfurt"
    ]
    (tmp_path / "etc/tepi/edge.toml").write_text(text)
    async with controlling(tmp_path / "control") as control:
        known = {
            "TEPI_CONTROL": control.api,
            "TEPI_TOKEN": control.first_run["token"],
            "NODE": "shop-edge-frankfurt-7c9f-x2k",
            "HOST_IP": "10.0.0.7",
        }
        announced = await run(container(pod, "announce"), tmp_path, **known)
        assert await announced.wait() == 0
        made = EdgeConfig.model_validate(tomllib.loads((tmp_path / "run/tepi/edge.toml").read_text()))
        assert made.name == known["NODE"]
        token = tmp_path / "run/tepi/join-token"
        assert token.stat().st_mode & 0o077 == 0
        _, listed = await control.ask("GET", "/nodes")
        (node,) = listed["nodes"]
        assert (node["name"], node["addresses"]) == (known["NODE"], ["203.0.113.80", "2001:db8::80"])

        (tmp_path / "var/lib/tepi/identity").mkdir()
        (tmp_path / "var/lib/tepi/identity/certificate.pem").touch()
        before = token.read_text()
        again = await run(container(pod, "announce"), tmp_path, **known)
        assert await again.wait() == 0
        assert token.read_text() == before

        leaving = await run(container(pod, "farewell"), tmp_path, **known)
        await asyncio.sleep(0.5)
        assert leaving.returncode is None
        leaving.terminate()
        assert await asyncio.wait_for(leaving.wait(), 30) == 0
        assert (await control.ask("GET", "/nodes"))[1]["nodes"] == []
