"""Platform packs: how they are read, named, and put under a site's own tables."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from control.sites import parse_site
from edge.config import load_edge
from edge.document.packs import PACKS, Pack, bundled, document, embedded, read
from edge.document.packwords import duration, words
from edge.document.problems import Refused
from edge.policy.rules import FileRule, SiteRules, TokenRule

SITE: dict[str, Any] = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:1"}]}
PACK: dict[str, Any] = {
    "name": "kedai",
    "title": "Kedai",
    "version": 3,
    "never": {"paths": ["/checkout/*"], "query": ["add"]},
    "files": [{"paths": ["/static/*"], "seconds": 60}],
    "bypass_cookies": ["basket"],
    "key": {"cookies": ["currency"], "query": {"drop": ["sort"], "sort": True}},
    "pages": {
        "seconds": 600,
        "despite": {"paths": ["/c/*"]},
        "mark": True,
        "tokens": [
            {"name": "form", "find": ["name=t value=(.+?)>"], "source": "cookie", "cookie": "t"},
            {"name": "nonce", "find": ["nonce=(.+?)>"], "source": "common"},
        ],
    },
}


def rules(**tables: Any) -> SiteRules:
    return parse_site({**SITE, **tables}).rules()


def refusals(**tables: Any) -> dict[str, str]:
    with pytest.raises(Refused) as refused:
        parse_site({**SITE, **tables})
    return {problem.field: problem.expected for problem in refused.value.problems}


# A site's own pages -------------------------------------------------------------------------------


def test_a_site_can_say_how_its_pages_are_shared_without_a_pack() -> None:
    pages = rules(pages={"seconds": 60, "tokens": PACK["pages"]["tokens"]}).classes.pages
    assert pages is not None
    assert (pages.seconds, pages.mark) == (60, False)
    assert pages.tokens[0] == TokenRule("form", ("name=t value=(.+?)>",), "cookie", "t")
    assert pages.ignore_cookies.fits("_ga_AB12")
    assert not pages.ignore_cookies.fits("session")
    assert rules().classes.pages is None
    assert rules(pages={"share": False}).classes.pages is None


@pytest.mark.parametrize(
    ("token", "field"),
    [
        ({"find": ["("]}, "find"),
        ({"find": ["no group"]}, "find"),
        ({"find": ["(one)(two)"]}, "find"),
        ({"find": ["(.*)"]}, "find"),
        ({"find": [], "source": "common", "cookie": ""}, "cookie"),
        ({"find": ["(☕)"]}, "find"),
        ({"cookie": ""}, "cookie"),
        ({"source": "thin air"}, "source"),
        ({"alphabet": "a"}, "alphabet"),
        ({"length": 3}, "length"),
        ({"page": "login"}, "page"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wrong_token_is_refused_with_its_path(token: dict[str, Any], field: str) -> None:
    whole = {"name": "form", "find": ["value=(.+?)>"], "source": "cookie", "cookie": "t", **token}
    assert f"pages.tokens.0.{field}" in refusals(pages={"tokens": [whole]})


def test_two_tokens_of_one_name_are_refused() -> None:
    token = PACK["pages"]["tokens"][0]
    assert "form is there twice" in refusals(pages={"tokens": [token, token]})["pages.tokens"]


# A pack under a site ------------------------------------------------------------------------------


def test_a_pack_alone_is_the_sites_rules() -> None:
    shop = rules(platform=PACK)
    assert shop.platform == "kedai 3"
    assert shop.classes.never_paths.fits("/checkout/pay")
    assert shop.classes.bypass_cookies.fits("basket")
    assert shop.key.cookies.fits("currency")
    assert shop.key.query.sort
    assert shop.classes.pages is not None
    assert shop.classes.pages.mark


def test_a_sites_lists_come_before_the_packs() -> None:
    shop = rules(
        platform=PACK,
        never={"paths": ["/secret"]},
        files=[{"paths": ["/static/*.map"], "seconds": 1}],
        bypass_cookies=["vip"],
        key={"cookies": ["language"], "query": {"keep": ["q"]}},
        pages={"despite": {"paths": ["/p/*"]}},
    )
    assert shop.classes.never_paths.patterns == ("/secret", "/checkout/*")
    assert shop.classes.never_query.patterns == ("add",)
    assert [rule.seconds for rule in shop.classes.files] == [1, 60]
    assert isinstance(shop.classes.files[0], FileRule)
    assert shop.classes.bypass_cookies.patterns == ("vip", "basket")
    assert shop.key.cookies.patterns == ("language", "currency")
    assert shop.key.query.keep is not None
    assert shop.key.query.drop.fits("sort")
    assert shop.classes.pages is not None
    assert shop.classes.pages.despite_paths.patterns == ("/p/*", "/c/*")
    assert shop.classes.pages.seconds == 600


def test_a_sites_settings_win_over_the_packs() -> None:
    own = {"name": "form", "find": ["x=(.+?);"], "source": "session", "cookie": "s"}
    shop = rules(
        platform=PACK,
        key={"query": {"sort": False}},
        pages={"seconds": 5, "mark": False, "types": ["text/*"], "tokens": [own]},
    )
    assert not shop.key.query.sort
    pages = shop.classes.pages
    assert pages is not None
    assert (pages.seconds, pages.mark, pages.types.patterns) == (5, False, ("text/*",))
    assert [(token.name, token.source) for token in pages.tokens] == [
        ("form", "session"),
        ("nonce", "common"),
    ]
    assert rules(platform=PACK, pages={"share": False}).classes.pages is None


def test_saying_a_default_is_saying_something() -> None:
    loud = rules(platform=PACK, key={"query": {"tracking": "strip"}}, pages={"seconds": 300})
    assert loud.classes.pages is not None
    assert loud.classes.pages.seconds == 300


# Where packs come from ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", bundled())
def test_a_pack_that_comes_along_is_whole_and_named_after_its_file(name: str) -> None:
    pack = Pack.model_validate(document(name))
    assert pack.name == name
    assert rules(platform=name).platform == pack.label


def test_a_pack_that_is_not_there_is_refused_with_those_that_are() -> None:
    expected = refusals(platform="oscommerce")["platform"]
    assert all(name in expected for name in bundled())


def test_a_wrong_pack_is_refused_with_its_path() -> None:
    found = refusals(platform={**PACK, "pages": {"seconds": -1}, "nevr": {}})
    assert found["platform.pages.seconds"] == "0 or more"
    assert "never" in found["platform.nevr"]


def test_a_document_from_elsewhere_names_no_file_of_this_machine() -> None:
    site = {**SITE, "platform": "file:/etc/passwd"}
    assert embedded(site) == site
    assert "tepi site add --platform" in refusals(platform="file:/etc/passwd")["platform"]


def toml(site: str) -> str:
    return f"""
[[sites]]
name = "shop"
hosts = ["shop.test"]
origins = [{{ url = "http://127.0.0.1:1" }}]
{site}
"""


def test_a_node_reads_a_pack_from_a_file_beside_its_own(tmp_path: Path) -> None:
    (tmp_path / "packs").mkdir()
    pack = tmp_path / "packs" / "kedai.toml"
    pack.write_text('name = "kedai"\ntitle = "Kedai"\n[never]\npaths = ["/bayar"]\n')
    file = tmp_path / "edge.toml"
    file.write_text(toml('platform = "file:packs/kedai.toml"'))
    shop = load_edge(file).sites[0].rules()
    assert (shop.platform, shop.classes.never_paths.patterns) == ("kedai 1", ("/bayar",))
    assert read(pack)["title"] == "Kedai"

    pack.write_text('name = "kedai"\ntitle = "Kedai"\n[never]\npath = ["/bayar"]\n')
    with pytest.raises(Refused) as refused:
        load_edge(file)
    assert [problem.field for problem in refused.value.problems] == ["sites.0.platform.never.path"]

    pack.unlink()
    with pytest.raises(Refused) as refused:
        load_edge(file)
    assert [problem.field for problem in refused.value.problems] == ["sites.0.platform"]
    assert "kedai.toml" in str(refused.value)


def test_what_is_embedded_means_the_same() -> None:
    name = bundled()[0]
    written = embedded({**SITE, "platform": name})
    assert written["platform"] == tomllib.loads((PACKS / f"{name}.toml").read_text())
    assert parse_site(written).rules() == rules(platform=name)


# In plain words ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", bundled())
def test_a_pack_says_what_it_does_and_what_it_was_checked_against(name: str) -> None:
    pack = Pack.model_validate(document(name))
    said = list(words(pack))
    assert len(said) >= 5
    assert all(sentence.endswith(".") for sentence in (*said, *pack.notes))
    assert pack.checked


def test_words_say_what_overrides_and_what_holds() -> None:
    said = list(words(Pack.model_validate(PACK)))
    assert "Never cached: /checkout/*, ?add." in said
    assert (
        "What says private, no-store, no-cache says so by habit, and is shared all the same, on /c/*." in said
    )
    plain = list(words(Pack.model_validate({"name": "a", "title": "A", "pages": {}})))
    assert "What says private, no-store or no-cache is not shared." in plain
    assert "Who bears a cookie that no rule knows gets pages of his own." in plain
    assert list(words(Pack.model_validate({"name": "a", "title": "A", "pages": {"share": False}}))) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 seconds"),
        (1, "a second"),
        (90, "90 seconds"),
        (300, "5 minutes"),
        (3600, "an hour"),
        (86_400, "a day"),
    ],
)  # fmt: skip
def test_durations_are_told_in_the_largest_whole_unit(seconds: int, text: str) -> None:
    assert duration(seconds) == text
