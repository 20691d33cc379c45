"""The pages tell the truth: links lead somewhere, commands exist, configuration is accepted."""

from __future__ import annotations

import re
import shlex
import tomllib
from enum import StrEnum
from pathlib import Path

import click
import pytest

from control.cli import main
from control.settings import ControlSettings
from edge.config import EdgeConfig
from edge.document.packs import Pack
from edge.policy.reasons import (
    FragmentReason,
    HookReason,
    MissReason,
    NotStored,
    PassReason,
    RefusedReason,
    RevalidateReason,
    RuleReason,
    StaleReason,
)
from geo.dns.settings import DnsSettings
from origin.risk.rules import RuleSet
from origin.settings import OriginSettings
from tests.architecture.repository import PACKAGES, ROOT, Block, blocks, pages, shown, sources

MODELS = {
    "edge": EdgeConfig, "control": ControlSettings, "dns": DnsSettings, "origin": OriginSettings,
    "pack": Pack, "rules": RuleSet,
}  # fmt: skip
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
PLACE = re.compile(r"`((?:edge|origin|control|geo|tests|bench|docs|deploy)/[a-z0-9_/.*-]+)`")
INLINE = re.compile(r"`(make [a-z]+|tepi [a-z][^`]*)`")
TASKS = (
    "getting-started", "operate/first-fleet", "operate/add-a-node", "operate/upgrading", "operate/backup",
    "operate/roll-out", "operate/losing-control", "operate/losing-a-pop", "operate/kubernetes",
    "purge", "explain-a-miss", "platforms", "cache-rules", "site-rules", "social-cards", "feeds",
    "dns-and-geoip", "dns-zones", "limits-and-access", "logs-and-metrics", "esi", "large-files",
    "shared-pages", "tls", "running-control", "people", "settings", "dependencies",
    "webhooks", "checkout", "ledger", "risk", "p2p-relay", "p2p-moderation", "peer-to-peer",
    "tiers", "shared-store", "inventory", "tracking",
)  # fmt: skip


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def said_commands() -> list[tuple[str, str]]:
    """Every `tepi …` and `make …` on a page, with the page's name."""
    found = []
    for page in pages():
        found += [(shown(page), words) for words in INLINE.findall(page.read_text(encoding="utf-8"))]
    for block in blocks("sh", "console"):
        text = block.text.replace("\\\n", " ")
        for line in text.splitlines():
            said = re.sub(r"^(\$ )?(sudo (-\S+ \S+ )*)?([A-Z_]+=\S+ )*", "", line.strip())
            said = re.sub(r"^\S*/bin/tepi ", "tepi ", said)
            if said.startswith(("tepi ", "make ")):
                found.append((block.page.as_posix(), re.sub(r"\s+(#|\||>|<|&).*$", "", said)))
    return sorted(set(found))


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_files_that_are_named_exist(page: Path) -> None:
    named = set(PLACE.findall(page.read_text(encoding="utf-8")))
    assert sorted(name for name in named if not list(ROOT.glob(name))) == []


@pytest.mark.parametrize(("page", "said"), said_commands())
def test_a_command_on_a_page_exists(page: str, said: str) -> None:
    words = shlex.split(said)
    if words[0] == "make":
        assert [word for word in words[1:] if "=" not in word and word not in targets()] == []
        return
    command: click.Command = main
    with click.Context(main) as context:
        rest = iter(words[1:])
        for word in rest:
            if word in ("-h", "--help", "--version", "…"):
                return
            if "|" in word and isinstance(command, click.Group):
                for each in word.split("|"):
                    assert command.get_command(context, each), f"{page}: no {each}"
                return
            if word.startswith("-"):
                known = {name: each for each in command.params for name in (*each.opts, *each.secondary_opts)}
                option = known.get(word.split("=")[0])
                assert option is not None, f"{page}: no option {word}"
                if "=" not in word and isinstance(option, click.Option) and not option.is_flag:
                    next(rest, None)
            elif isinstance(command, click.Group):
                inner = command.get_command(context, word)
                assert inner is not None, f"{page}: no verb {word}"
                command = inner


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: f"{block.page}:{block.about}")
def test_a_configuration_on_a_page_is_accepted(block: Block) -> None:
    document = tomllib.loads(block.text)
    MODELS[block.about].model_validate(document)


def test_every_task_has_its_page_and_the_readme_leads_there() -> None:
    index = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in TASKS:
        assert (ROOT / "docs" / f"{name}.md").is_file(), name
        assert f"docs/{name}.md" in index, f"README.md does not link docs/{name}.md"


def test_every_dependency_at_run_time_is_used() -> None:
    names = {
        "argon2-cffi": "argon2",
        "aiosqlite": "sqlite+aiosqlite",
        "backports.zstd": "backports",
        "common-expression-language": "cel",
        "dnspython": "dns",
        "google-re2": "re2",
        "nats-py": "nats",
    }
    source = "\n".join(path.read_text(encoding="utf-8") for path in sources(*PACKAGES))
    for requirement in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        name = re.split(r"[\[<>=;~! ]", requirement)[0]
        module = re.escape(names.get(name, name.replace("-", "_")))
        assert re.search(rf"^\s*(import|from) {module}\b|{module}:", source, re.MULTILINE), name


def test_every_reason_is_explained() -> None:
    page = (ROOT / "docs" / "explain-a-miss.md").read_text(encoding="utf-8")
    kinds: tuple[type[StrEnum], ...] = (
        FragmentReason,
        HookReason,
        MissReason,
        RevalidateReason,
        StaleReason,
        PassReason,
        RefusedReason,
        RuleReason,
        NotStored,
    )
    assert [reason for kind in kinds for reason in kind if f"`{reason}`" not in page] == []


def test_the_readme_begins_with_the_two_commands() -> None:
    readme = [block.text.split() for block in blocks("sh") if block.page == Path("README.md")]
    assert readme[0][:2] == ["make", "up"]
    assert readme[1][:2] == ["make", "test"]


def test_every_dependency_is_accounted_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = [re.split(r"[\[<>=;~! ]", requirement)[0] for requirement in wanted]
    assert [name for name in names if f"`{name}`" not in listed] == []
