"""What each pack makes of the heads that its shop system really sends (tests/edge/packs)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from control.sites import parse_site
from edge.document.packs import bundled
from edge.http.message import Fields, Request
from edge.policy.classes import classify, for_all, mark
from edge.policy.freshness import Freshness
from edge.policy.keying import keyed
from edge.policy.reasons import NotStored
from edge.policy.rules import SiteRules
from edge.policy.tags import tags_of
from tests.edge.policy.made import judged
from tests.edge.stage import make_request

SAMPLES = Path(__file__).parent / "packs"
BROWSER = {
    "Host": "shop.test",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "id,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-User": "?1",
    "Upgrade-Insecure-Requests": "1",
    "Priority": "u=0, i",
    "Referer": "https://shop.test/",
}


def samples() -> list[Any]:
    return [
        pytest.param(file.stem, sample, id=f"{file.stem}-{sample['about']}")
        for file in sorted(SAMPLES.glob("*.toml"))
        for sample in tomllib.loads(file.read_text(encoding="utf-8"))["sample"]
    ]


def rules(platform: str) -> SiteRules:
    origins = [{"url": "http://127.0.0.1:1"}]
    return parse_site(
        {"name": "shop", "hosts": ["shop.test"], "origins": origins, "platform": platform}
    ).rules()


def asked(sample: dict[str, Any]) -> Request:
    cookie = {"Cookie": sample["cookie"]} if "cookie" in sample else {}
    return make_request(sample["target"], BROWSER | cookie, method=sample.get("method", "GET"))


def head(text: str) -> tuple[int, Fields]:
    first, *lines = text.strip("\n").split("\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split()[1]), Fields((name, value.strip()) for name, _, value in pairs)


def test_every_pack_has_samples() -> None:
    assert {file.stem for file in SAMPLES.glob("*.toml")} == set(bundled())


@pytest.mark.parametrize(("platform", "sample"), samples())
def test_a_sample_is_what_it_says(platform: str, sample: dict[str, Any]) -> None:
    shop, request = rules(platform), asked(sample)
    kind = classify(request, shop)
    assert type(kind).__name__.lower() == sample["kind"], kind

    seen = keyed(request, shop, kind)
    if sample["kind"] in ("anonymous", "file"):
        assert seen.fields.get("cookie") == sample.get("sent")
    status, fields = head(sample["head"])
    shared = for_all(kind, seen, status, fields)
    if "kept" in sample:
        fresh = (
            shared
            if isinstance(shared, NotStored)
            else judged(shared, request=seen, status=status, rules=shop)
        )
        assert (fresh.lifetime if isinstance(fresh, Freshness) else fresh) == sample["kept"]
        if isinstance(shared, Fields) and isinstance(fresh, Freshness):
            assert "set-cookie" not in shared
            assert tags_of(shared) == tuple(sample.get("tags", ()))
    if "marks" in sample:
        assert (mark(kind, request, shop) is not None) is sample["marks"]
