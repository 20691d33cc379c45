"""The relay through a real node: clients speak NIP-01 and its kin, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.edge.nodes import node
from tests.origin.ledger.books import ENGINES, database_url
from tests.origin.p2p.members import ANI, BUDI, RELAY, SITE, Line, Market, Member, market
from tests.origin.standing import NOON


@pytest.fixture(params=ENGINES)
async def bazaar(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Market]:
    with database_url(request.param) as url:
        async with market(tmp_path, url) as found:
            yield found


@pytest.fixture
async def line(bazaar: Market) -> AsyncIterator[Line]:
    async with bazaar.line() as found:
        yield found


async def test_what_one_publishes_another_hears_through_another_node(bazaar: Market, line: Line) -> None:
    lamp = ANI.listing("lampu", "Lampu jati", ("t", "rumah"), content="Tinggi 40 cm “baru”\n\t\\ ok")
    async with node(bazaar.url) as other, bazaar.line(other) as far:
        await far.say("REQ", "rumah", {"kinds": [30402], "#t": ["rumah"]})
        assert await far.hear() == ["EOSE", "rumah"]
        assert await line.publish(lamp) == ["OK", lamp["id"], True, ""]
        assert await far.hear() == ["EVENT", "rumah", lamp]
        await line.publish(ANI.listing("buku", "Buku", ("t", "buku")))
        await far.say("CLOSE", "rumah")
    assert await line.find({"ids": [lamp["id"]]}) == [lamp]
    assert (await line.publish(lamp))[2:] == [True, "duplicate: already have this event"]


async def test_filters_find_what_they_name_the_newest_first(line: Line) -> None:
    old = ANI.listing("a", "Kursi", ("t", "Rumah"), at=NOON - 100)
    new = BUDI.listing("b", "Meja", ("t", "rumah"), ("g", "qqguw"), at=NOON - 50)
    profile = ANI.sign(0, content="{}")
    for event in (old, new, profile):
        assert (await line.publish(event))[2] is True
    assert await line.find({"kinds": [30402]}) == [new, old]
    assert await line.find({"kinds": [30402], "limit": 1}) == [new]
    assert await line.find({"authors": [ANI.pubkey]}) == [profile, old]
    assert await line.find({"#t": ["rumah"]}) == [new, old]
    assert await line.find({"#g": ["qqguw"]}, {"kinds": [0]}) == [new, profile]
    assert await line.find({"kinds": [30402], "until": int(NOON) - 60}) == [old]
    assert await line.find({"kinds": [30402], "since": int(NOON) - 60}) == [new]
    await line.say("COUNT", "n", {"kinds": [30402]}, {"kinds": [0, 30402], "authors": [ANI.pubkey]})
    assert await line.hear() == ["COUNT", "n", {"count": 3}]


async def test_a_search_finds_words_and_reads_no_operator(line: Line) -> None:
    chair = ANI.listing("a", "Kursi rotan", content="Kursi untuk teras, kursi kokoh")
    table = ANI.listing("b", "Meja jati", content="dengan satu kursi")
    for event in (chair, table):
        await line.publish(event)
    assert await line.find({"search": "kursi language:id"}) == [chair, table]
    assert await line.find({"search": "KURSI jati", "kinds": [30402]}) == [table]
    assert await line.find({"search": 'kursi" OR "jati'}) == []
    await line.say("COUNT", "n", {"search": "kursi", "kinds": [30402]})
    assert await line.hear() == ["COUNT", "n", {"count": 2}]


async def test_the_newest_stands_at_an_address_and_of_a_tie_the_lower_id(line: Line) -> None:
    first, second = ANI.listing("a", "Satu"), ANI.listing("a", "Dua")
    low, high = sorted((first, second), key=lambda event: event["id"])
    await line.publish(high)
    assert (await line.publish(low))[2:] == [True, ""]
    assert (await line.publish(high))[3].startswith("duplicate: a newer one")
    assert await line.find({"kinds": [30402]}) == [low]
    newer = ANI.listing("a", "Tiga", at=NOON + 1)
    await line.publish(newer)
    assert await line.find({"kinds": [30402]}) == [newer]
    other = BUDI.listing("a", "Milik Budi")
    await line.publish(other)
    assert len(await line.find({"kinds": [30402]})) == 2


async def test_its_author_alone_deletes_and_it_stays_deleted(line: Line) -> None:
    lamp = ANI.listing("lampu", "Lampu", at=NOON - 10)
    await line.publish(lamp)
    await line.publish(BUDI.sign(5, ("e", lamp["id"]), ("a", f"30402:{ANI.pubkey}:lampu")))
    assert await line.find({"kinds": [30402]}) == [lamp]
    wish = ANI.sign(5, ("a", f"30402:{ANI.pubkey}:lampu"), at=NOON - 5)
    assert (await line.publish(wish))[2] is True
    assert await line.find({"kinds": [30402]}) == []
    assert (await line.publish(lamp))[2:] == [False, "blocked: its author deleted it"]
    again = ANI.listing("lampu", "Lampu lagi", at=NOON - 4)
    assert (await line.publish(again))[2] is True
    await line.publish(ANI.sign(5, ("e", again["id"])))
    assert await line.find({"#d": ["lampu"]}) == []
    assert await line.find({"kinds": [5], "authors": [ANI.pubkey], "until": int(NOON) - 1}) == [wish]


async def test_what_is_over_is_neither_taken_nor_given(bazaar: Market, line: Line) -> None:
    brief = ANI.listing("a", "Durian", ("expiration", str(int(NOON) + 60)))
    await line.publish(brief)
    assert await line.find({"kinds": [30402]}) == [brief]
    bazaar.clock.now += 61
    assert await line.find({"kinds": [30402]}) == []
    assert (await line.publish(BUDI.listing("b", "Basi", ("expiration", str(int(NOON))))))[3].startswith(
        "invalid"
    )
    await bazaar.plugin.relay.store.expire()
    bazaar.clock.now -= 61
    assert await line.find({"kinds": [30402]}) == []


async def test_ephemeral_events_pass_and_are_not_kept(bazaar: Market, line: Line) -> None:
    async with bazaar.line() as far:
        await far.say("REQ", "sinyal", {"kinds": [25050], "#p": [BUDI.pubkey]})
        await far.hear()
        call = ANI.sign(25050, ("p", BUDI.pubkey), content="offer")
        assert (await line.publish(call))[2] is True
        assert await far.hear() == ["EVENT", "sinyal", call]
    assert await line.find({"kinds": [25050]}) == []


async def test_wrapped_messages_are_for_their_recipient_alone(bazaar: Market, line: Line) -> None:
    wrap = Member.named("sekali").sign(1059, ("p", BUDI.pubkey), content="rahasia")
    await line.publish(wrap)
    await line.say("REQ", "surat", {"kinds": [1059]})
    assert (await line.hear())[2].startswith("auth-required: ")
    assert await line.find({"authors": [wrap["pubkey"]]}) == []
    await line.say("COUNT", "n", {"#p": [BUDI.pubkey]})
    assert (await line.hear())[2].startswith("restricted: ")
    assert (await line.authenticate(ANI))[2] is True
    assert await line.find({"kinds": [1059]}) == []
    async with bazaar.line() as budis:
        assert (await budis.authenticate(BUDI))[2] is True
        assert await budis.find({"kinds": [1059]}) == [wrap]


async def test_only_an_answer_to_this_very_challenge_authenticates(bazaar: Market, line: Line) -> None:
    assert (await line.authenticate(ANI, at=NOON - 700))[2] is False
    assert (await line.authenticate(ANI, sig="0" * 128))[2] is False
    async with bazaar.line() as other:
        stolen = Line(line.socket, other.challenge)
        assert (await stolen.authenticate(ANI))[3] == "invalid: challenge is not the one of this connection"
    elsewhere = (("relay", "wss://lain.test/"), ("challenge", line.challenge))
    await line.say("AUTH", ANI.sign(22242, *elsewhere))
    assert (await line.hear())[3].startswith("invalid: relay")
    protected = ANI.listing("a", "Milikku", ("-",))
    assert (await line.publish(protected))[3].startswith("auth-required: ")
    await line.authenticate(ANI)
    assert (await line.publish(protected))[2] is True


LAMP = ANI.listing("lampu", "Lampu")


@pytest.mark.parametrize(
    ("event", "why"),
    [
        pytest.param({**LAMP, "content": "lain"}, "invalid: id is not", id="id"),
        pytest.param({**LAMP, "sig": BUDI.sign(0)["sig"]}, "invalid: sig is not", id="signature"),
        pytest.param({**LAMP, "id": LAMP["id"].upper()}, "invalid: ", id="id-in-capitals"),
        pytest.param({**LAMP, "created_at": 1.5}, "invalid: ", id="half-a-second"),
        pytest.param({**LAMP, "tags": [[1]]}, "invalid: ", id="tags-of-numbers"),
        pytest.param({"id": "x"}, "invalid: ", id="lacks-everything"),
        pytest.param("x", "invalid: ", id="no-object"),
        pytest.param(ANI.sign(30402, ("d", "a"), at=NOON + 10_000), "invalid: created_at", id="of-tomorrow"),
        pytest.param(ANI.sign(1, content="halo"), "blocked: kind 1 ", id="a-kind-not-kept"),
        pytest.param(ANI.sign(22242), "invalid: kind 22242", id="auth-as-event"),
        pytest.param(ANI.sign(30402, ("title", "x"), ("price", "1", "IDR")), "invalid: d: ", id="no-d"),
        pytest.param(ANI.sign(30402, ("d", "a"), ("price", "1", "IDR")), "invalid: title: ", id="no-title"),
        pytest.param(ANI.sign(30402, ("d", "a"), ("title", "x")), "invalid: price: got none", id="no-price"),
        pytest.param(ANI.listing("a", "x", price="-1"), "invalid: price: got '-1'", id="negative"),
        pytest.param(ANI.listing("a", "x", price="1.005"), "invalid: price: amount", id="too-many-decimals"),
        pytest.param(ANI.listing("a", "x", ("g", "aaaa")), "invalid: g: ", id="no-geohash"),
        pytest.param(ANI.listing("a", "x", ("image", "javascript:x()")), "invalid: image: ", id="script"),
        pytest.param(ANI.listing("a", "x", ("status", "?")), "invalid: status: ", id="status"),
        pytest.param(ANI.listing("a", "x", ("expiration", "besok")), "invalid: expiration", id="expiration"),
        pytest.param(ANI.listing("a", "x", content="\0"), "invalid: got a NUL", id="nul"),
    ],
)  # fmt: skip
async def test_a_bad_event_is_refused_with_its_reason_and_nothing_is_stored(
    tmp_path: Path, event: Any, why: str
) -> None:
    async with market(tmp_path) as bazaar, bazaar.line() as line:
        verb, _, accepted, reason = await line.publish(event)
        assert (verb, accepted) == ("OK", False)
        assert reason.startswith(why)
        assert await line.find({"kinds": [0, 1, 30402, 22242]}) == []


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        pytest.param("{}", ["NOTICE", "invalid"], id="no-array"),
        pytest.param("[" * 5000, ["NOTICE", "invalid"], id="deep"),
        pytest.param('["EVENT",' + "[" * 3000 + "]" * 3000 + "]", ["NOTICE", "invalid"], id="deep-event"),
        pytest.param('["REQ","a",{}]', ["CLOSED", "invalid: filter: matches everything"], id="everything"),
        pytest.param('["REQ","a",{"kinds":[]}]', ["CLOSED", "invalid"], id="empty-set"),
        pytest.param('["REQ","a"]', ["CLOSED", "invalid: got 0 filters"], id="no-filter"),
        pytest.param('["REQ","a"' + ',{"kinds":[0]}' * 11 + "]", ["CLOSED", "invalid: got 11"], id="filters"),
        pytest.param('["REQ","a",{"ids":["ab"]}]', ["CLOSED", "invalid: filter"], id="prefix"),
        pytest.param('["REQ","a",{"genre":[1]}]', ["CLOSED", "unsupported"], id="unknown-alone"),
        pytest.param('["REQ","a",{"kinds":[0],"x":1}]', ["CLOSED", "unsupported"], id="unknown"),
        pytest.param('["REQ","",{"kinds":[0]}]', ["NOTICE", "invalid: REQ"], id="no-name"),
        pytest.param('["HALO"]', ["NOTICE", "invalid: HALO"], id="verb"),
    ],
)
async def test_a_bad_message_is_refused_and_the_connection_kept(
    tmp_path: Path, said: str, answer: list[str]
) -> None:
    async with market(tmp_path) as bazaar, bazaar.line() as line:
        await line.socket.send_str(said)
        heard = await line.hear()
        assert (heard[0], heard[-1].startswith(answer[1])) == (answer[0], True), heard
        assert await line.find({"kinds": [0]}) == []


async def test_bounds_hold(tmp_path: Path) -> None:
    bounds = {"events_a_minute": 2, "subscriptions": 1, "requests_a_minute": 4, "largest": 4096}
    async with market(tmp_path, **bounds) as bazaar:
        async with bazaar.line() as line:
            told = [await line.publish(ANI.listing(str(n), "x")) for n in range(3)]
            assert [one[2] for one in told] == [True, True, False]
            assert told[2][3].startswith("rate-limited: ")
            assert (await line.publish(BUDI.listing("a", "x")))[2] is True
            bazaar.clock.now += 30
            assert (await line.publish(ANI.listing("3", "x")))[2] is True
            await line.say("REQ", "a", {"kinds": [0]})
            await line.hear()
            await line.say("REQ", "b", {"kinds": [0]})
            assert (await line.hear())[2] == "rate-limited: more than 1 subscriptions"
            await line.say("REQ", "a", {"kinds": [0]})
            assert await line.hear() == ["EOSE", "a"]
            assert len(bazaar.plugin.relay.hub) == 1
            await line.find({"kinds": [0]}, name="a")
            await line.say("REQ", "a", {"kinds": [0]})
            assert (await line.hear())[2].startswith("rate-limited: more than 4 requests")
        async with bazaar.line() as line:
            await line.socket.send_str('["REQ","' + "x" * 5000)
            assert (await line.socket.receive(timeout=5)).data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        assert len(bazaar.plugin.relay.hub) == 0


async def test_work_must_be_committed_to_and_done(tmp_path: Path) -> None:
    async with market(tmp_path, work=8) as bazaar, bazaar.line() as line:
        assert (await line.publish(ANI.listing("a", "x")))[3].startswith("pow: 0 bits")
        tries = (ANI.listing("a", "x", ("nonce", str(n), "8")) for n in range(100_000))
        done = next(event for event in tries if event["id"].startswith("00"))
        assert (await line.publish(done))[2] is True
        lucky = (ANI.listing("b", "x", ("nonce", str(n), "4")) for n in range(100_000))
        luck = next(event for event in lucky if event["id"].startswith("00"))
        assert (await line.publish(luck))[3].startswith("pow: 4 bits")


async def test_blocked_keys_and_forbidden_categories(tmp_path: Path) -> None:
    async with market(tmp_path, blocked=[BUDI.pubkey], forbidden=["Obat"]) as bazaar, bazaar.line() as line:
        assert (await line.publish(BUDI.listing("a", "x")))[3].startswith("blocked: nothing is taken")
        assert (await line.publish(ANI.listing("a", "x", ("t", "obat"))))[3].startswith(
            "blocked: nothing may"
        )


async def test_it_says_what_it_is(bazaar: Market) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            f"http://127.0.0.1:{bazaar.edge.port()}{RELAY}",
            headers={"Host": SITE, "Accept": "application/nostr+json"},
        ) as answer,
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        document = await answer.json(content_type="application/nostr+json")
    assert {1, 9, 11, 13, 40, 42, 45, 50, 99} <= set(document["supported_nips"])
    assert document["limitation"]["max_filters"] == 10
