"""A trade's chain proves what was signed, by whom, in which order, and nothing once tampered with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from click.testing import CliRunner

from control.cli import main
from origin.contract import Money
from origin.p2p.trade import BrokenChain, prove, read_chain
from tests.origin.p2p.members import ANI, BUDI, SITE, Member, market
from tests.origin.standing import NOON

LAMP = ANI.listing("lampu", "Lampu")
WORD = "kata-di-layar-penjual"
LOCK = hashlib.sha256(WORD.encode()).hexdigest()

Document = dict[str, Any]


def step(who: Member, name: str, before: Document | None, *tags: tuple[str, ...], at: float = 0) -> Document:
    bound = [] if before is None else [("prev", before["id"])]
    return who.sign(3402, ("step", name), *bound, *tags, at=NOON + at)


def trade() -> list[Document]:
    """Budi buys Ani's lamp."""
    offer = step(BUDI, "offer", None, ("e", LAMP["id"]), ("p", ANI.pubkey), ("price", "80000", "IDR"))
    acceptance = step(ANI, "acceptance", offer, ("lock", LOCK), at=1)
    payment = step(BUDI, "payment", acceptance, ("reference", "QRIS 123"), at=2)
    handover = step(BUDI, "handover", payment, ("word", WORD), at=3)
    reviews = (
        step(who, "review", handover, ("stars", str(stars)), at=4) for who, stars in ((ANI, 5), (BUDI, 4))
    )
    return [offer, acceptance, payment, handover, *reviews]


def proved(chain: list[Document]) -> Any:
    return prove(read_chain(json.dumps(chain).encode()))


def test_a_whole_chain_proves_a_trade_and_each_beginning_of_it_what_it_says() -> None:
    whole = proved(trade())
    assert (whole.buyer, whole.seller, whole.listing) == (BUDI.pubkey, ANI.pubkey, LAMP["id"])
    assert (whole.price, whole.payment) == (Money(8_000_000, "IDR"), "QRIS 123")
    assert whole.reviews == ((ANI.pubkey, 5), (BUDI.pubkey, 4))
    steps = [proved(trade()[:length]).step for length in range(1, 7)]
    assert steps == ["offer", "acceptance", "payment", "handover", "review", "review"]


@pytest.mark.parametrize("missing", range(4))
def test_a_missing_link_breaks_it(missing: int) -> None:
    chain = trade()
    del chain[missing]
    with pytest.raises(BrokenChain, match=r"^document \d"):
        proved(chain)


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("field", ["id", "pubkey", "created_at", "tags", "content", "sig"])
def test_an_altered_link_breaks_it(number: int, field: str) -> None:
    chain = trade()
    altered = {"created_at": int(NOON) + 9, "tags": [*chain[number]["tags"], ["x"]], "content": "lain"}
    chain[number][field] = altered.get(field, chain[number - 1][field])
    if field == "pubkey":
        chain[number][field] = Member.named("orang lain").pubkey
    with pytest.raises(BrokenChain, match=f"^document {number + 1} "):
        proved(chain)


STRANGER = Member.named("orang lain")


@pytest.mark.parametrize(
    ("number", "other", "why"),
    [
        pytest.param(
            1, lambda c: step(STRANGER, "acceptance", c[0], ("lock", LOCK)), "pubkey", id="stranger-accepts"
        ),
        pytest.param(
            1, lambda c: step(BUDI, "acceptance", c[0], ("lock", LOCK)), "pubkey", id="buyer-accepts"
        ),
        pytest.param(1, lambda c: step(ANI, "acceptance", c[0], ("lock", "x")), "lock", id="no-lock"),
        pytest.param(1, lambda c: step(ANI, "acceptance", LAMP, ("lock", LOCK)), "prev", id="another-offer"),
        pytest.param(
            1, lambda c: step(ANI, "acceptance", c[0], ("lock", LOCK), at=-1), "created_at", id="too-early"
        ),
        pytest.param(2, lambda c: step(BUDI, "payment", c[1], at=2), "reference", id="no-reference"),
        pytest.param(
            3, lambda c: step(BUDI, "handover", c[2], ("word", "tebak"), at=3), "word", id="guessed"
        ),
        pytest.param(4, lambda c: step(ANI, "review", c[3], ("stars", "6"), at=4), "stars", id="six-stars"),
        pytest.param(
            4, lambda c: step(STRANGER, "review", c[3], ("stars", "1"), at=4), "pubkey", id="a-strangers"
        ),
        pytest.param(
            5, lambda c: step(ANI, "review", c[3], ("stars", "5"), at=5), "pubkey: each", id="twice"
        ),
        pytest.param(2, lambda c: c[1], "step: got acceptance", id="replayed"),
    ],
)
def test_who_may_sign_what_and_when(number: int, other: Any, why: str) -> None:
    chain = trade()
    chain[number] = other(chain)
    with pytest.raises(BrokenChain, match=rf"^document {number + 1} \(\w+\): {why}"):
        proved(chain)


def test_the_verb_says_what_a_file_proves(tmp_path: Path) -> None:
    file = tmp_path / "trade.json"
    file.write_text(json.dumps(trade()))
    told = CliRunner().invoke(main, ["p2p", "verify", str(file)])
    assert told.exit_code == 0, told.output
    assert "proved up to: review" in told.output
    assert "price: 80000.00 IDR" in told.output
    assert "review by the seller: 5 of 5" in told.output
    file.write_text("{}")
    told = CliRunner().invoke(main, ["p2p", "verify", str(file)])
    assert told.exit_code == 1
    assert "proves nothing: file: " in told.output


async def test_the_page_says_it_too(tmp_path: Path) -> None:
    async with market(tmp_path) as bazaar, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{bazaar.edge.port()}/commerce/p2p/en/verify"

        async def told(chain: list[Document]) -> tuple[int, str]:
            form = urlencode({"chain": json.dumps(chain)})
            fields = {"Host": SITE, "Content-Type": "application/x-www-form-urlencoded"}
            async with session.post(url, data=form, headers=fields) as answer:
                return answer.status, await answer.text()

        async with session.get(url, headers={"Host": SITE}) as answer:
            assert answer.status == 200
        status, text = await told(trade())
        assert (status, "Proved up to: reviews" in text, "IDR" in text) == (200, True, True)
        status, text = await told(trade()[1:])
        assert (status, "It proves nothing: document 1 (acceptance)" in text) == (422, True)
