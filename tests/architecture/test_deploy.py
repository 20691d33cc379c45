"""What is deployed is what is documented: image, Compose file and units, as far as they can run here."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import urllib.request
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml

from control.settings import ControlSettings
from edge.config import EdgeConfig
from geo.dns.settings import DnsSettings
from origin.settings import OriginSettings
from tests.architecture.repository import ROOT, files
from tests.control.planes import controlling
from tests.support.tools import require

DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MODELS: dict[str, Any] = {
    "control": ControlSettings,
    "edge": EdgeConfig,
    "dns": DnsSettings,
    "origin": OriginSettings,
}
MOST_EXPOSED = 2.0  # of systemd-analyze's 10
BESIDE = Path(sys.executable).parent


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=400
    )


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def test_the_dockerfile_has_nothing_to_complain_about() -> None:
    linter = shutil.which("hadolint", path=str(BESIDE))
    if linter is None:
        pytest.skip("hadolint has no wheel for this machine")
    linted = run(linter, "--no-color", ROOT / "Dockerfile")
    assert linted.returncode == 0, linted.stdout


def test_the_image_runs_as_nobody_special_and_says_how_it_is() -> None:
    lines = dockerfile().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert int(users[-1]) >= 1000
    assert len([line for line in lines if line.startswith("FROM ")]) == 2
    assert any(line.startswith("HEALTHCHECK ") for line in lines)


def copied_into_the_image() -> set[str]:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile(), re.MULTILINE)
    return {name for line in copied for name in line.split()}


def test_the_image_copies_all_packages_and_nothing_that_is_not_let_through() -> None:
    names = copied_into_the_image()
    let_through = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert names == let_through
    assert {"edge", "origin", "control", "geo"} <= names
    assert all((ROOT / name).exists() for name in names)


@pytest.mark.timeout(600)  # a compiler is at work
async def test_the_images_steps_give_a_node_that_its_health_check_likes(tmp_path: Path) -> None:
    """A wheel in an environment of its own, away from the sources; only its dependencies are borrowed."""
    wheels, source = tmp_path / "wheels", tmp_path / "src"
    for path in files():
        if path.relative_to(ROOT).parts[0] in copied_into_the_image():
            to = source / path.relative_to(ROOT)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "-w", wheels)
    built = run(BESIDE / "python", "-m", "pip", "wheel", *options, source)
    assert built.returncode == 0, built.stderr
    home = tmp_path / "opt"
    venv.create(home, with_pip=False)
    site = home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (wheel,) = wheels.glob("tepi-*.whl")
    into = run(
        BESIDE / "python",
        "-m",
        "pip",
        "--python",
        home / "bin" / "python",
        "install",
        "--quiet",
        "--no-deps",
        wheel,
    )
    assert into.returncode == 0, into.stderr
    borrowed = Path(sysconfig.get_path("purelib"))
    (site / "borrowed.pth").write_text(
        f"{borrowed}\n"
    )  # its own .pth files, the editable one too, stay unread
    tepi = home / "bin" / "tepi"
    where = run(
        home / "bin" / "python", "-c", "import edge, geo, control, origin; print(edge.__file__)", cwd=tmp_path
    )
    assert Path(where.stdout.strip()).is_relative_to(site), where.stdout + where.stderr
    assert run(tepi, "--help", cwd=tmp_path).returncode == 0

    node = await asyncio.create_subprocess_exec(
        tepi, "edge", "--origin", "http://127.0.0.1:9", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
        cwd=tmp_path, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert node.stderr is not None
        said = ""
        async with asyncio.timeout(30):
            while not (found := re.search(r"admin listener on (http://[0-9.:]+)", said)):
                line = await node.stderr.readline()
                assert line, said
                said += line.decode()
        check = re.search(r"^HEALTHCHECK .*?CMD (\[.*\])$", dockerfile(), re.MULTILINE)
        assert check is not None
        command = [str(home / "bin" / "python"), *json.loads(check[1])[1:]]
        for path, code in (("/healthz", 0), ("/nothing", 1)):
            asked = await asyncio.create_subprocess_exec(
                *command, env={"TEPI_HEALTH": found[1] + path}, stderr=asyncio.subprocess.DEVNULL
            )
            assert await asked.wait() == code
    finally:
        node.terminate()
        assert await asyncio.wait_for(node.wait(), 15) == 0


def test_the_compose_file_keeps_to_the_specification() -> None:
    checked = run(BESIDE / "check-jsonschema", "--builtin-schema", "compose-spec", DEPLOY / "compose.yaml")
    assert checked.returncode == 0, checked.stdout


def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"])


def configured(service: dict[str, Any]) -> tuple[str, Any]:
    """What part a service is, and what it is told."""
    verb, option, path = service["command"]
    assert option == "--config"
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in service["volumes"]}
    return verb, MODELS[verb].model_validate(tomllib.loads((DEPLOY / mounted[path]).read_text()))


OURS = sorted(name for name, service in services().items() if service.get("image") == "tepi")
PARTS = [name for name in OURS if name != "announce"]


def test_the_compose_file_has_every_part_and_its_engines() -> None:
    parts = {configured(services()[name])[0] for name in PARTS}
    assert parts == set(MODELS)
    assert PARTS == ["control", "dns", "edge-1", "edge-2", "origin"]
    assert set(services()) - set(OURS) == {"postgres", "nats", "redis"}


@pytest.mark.parametrize("name", PARTS)
def test_each_service_gets_a_file_that_it_accepts_and_no_rights(name: str) -> None:
    service = services()[name]
    _, settings = configured(service)
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    asked = service.get("environment", {}).get("TEPI_HEALTH", "http://127.0.0.1:8081/healthz")
    port = str(settings.admin).rpartition(":")[2]
    assert urllib.request.Request(asked).host == f"127.0.0.1:{port}"


@pytest.mark.parametrize("name", PARTS)
def test_each_service_has_the_secrets_that_its_file_names(name: str) -> None:
    service = services()[name]
    mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in service["volumes"]}
    text = (DEPLOY / mounted[service["command"][-1]]).read_text()
    named = set(re.findall(r"file:/run/secrets/([a-z]+)", text))
    named |= set(re.findall(r"/run/secrets/([a-z]+)", " ".join(service.get("entrypoint", ()))))
    assert set(service.get("secrets", ())) == named


async def test_the_secrets_and_the_announcements_are_made_once(tmp_path: Path) -> None:
    """The very scripts that Compose runs, against a control that has these secrets."""
    here = tmp_path / "compose"
    here.mkdir()
    shutil.copy(DEPLOY / "compose" / "make-secrets", here)
    for _ in range(2):
        assert run(here / "make-secrets").returncode == 0
        made = {path.name: path.read_text() for path in (here / "secrets").iterdir()}
    declared = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["secrets"]
    assert set(made) == set(declared)
    assert (here / "secrets").stat().st_mode & 0o077 == 0
    tokens = {scope: f"file:{here}/secrets/{scope}" for scope in ("admin", "nodes", "purge")}
    announce = services()["announce"]
    (script,) = announce["command"]
    script = script.replace("$$", "$").replace("/run/secrets", f"{here}/secrets")
    joined = tmp_path / "join"
    joined.mkdir()
    async with controlling(tmp_path / "control", first_tokens=tokens) as control:
        known = {
            "TEPI_CONTROL": control.api,
            "EDGE_1": "127.0.0.1",
            "EDGE_2": "127.0.0.2",
            "DNS": "127.0.0.3",
        }
        assert set(known) == set(announce["environment"])
        for _ in range(2):  # the second finds everything done
            shell = await asyncio.create_subprocess_exec(
                *announce["entrypoint"], script, cwd=joined,
                env={"PATH": f"{BESIDE}{os.pathsep}{os.environ['PATH']}", **known},
            )  # fmt: skip
            assert await shell.wait() == 0
        _, nodes = await control.ask("GET", "/nodes", token=made["admin"])
    assert {node["name"]: node["role"] for node in nodes["nodes"]} == {
        "edge-1": "edge", "edge-2": "edge", "dns": "dns", "origin": "origin",
    }  # fmt: skip
    assert {path.name for path in joined.iterdir()} == {"edge-1", "edge-2", "dns", "origin"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_sound_and_tight(unit: Path, tmp_path: Path) -> None:
    analyze = require("systemd-analyze")
    tepi = BESIDE / "tepi"
    text = unit.read_text()
    assert f"/opt/tepi/bin/tepi {unit.stem.removeprefix('tepi-')} --config /etc/tepi/" in text
    here = tmp_path / unit.name
    here.write_text(text.replace("/opt/tepi/bin/tepi", str(tepi)))
    verified = run(analyze, "verify", "--man=no", "--recursive-errors=no", here)
    complaints = [line for line in verified.stderr.splitlines() if unit.name in line]
    assert (verified.returncode, complaints) == (0, []), verified.stderr
    judged = run(analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", here)
    assert judged.returncode == 0, judged.stdout[-3000:]


def test_there_is_a_unit_for_each_part() -> None:
    assert {unit.stem for unit in UNITS} == {f"tepi-{part}" for part in ("edge", "dns", "control", "origin")}
