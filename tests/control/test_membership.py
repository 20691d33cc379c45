"""Joining: a one-time token, a key of the node's own, a certificate, and who is turned away."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from sqlalchemy import select

from control.authority import Authority
from control.db.tables import metadata
from edge import identity
from edge.identity import JoinFailed, JoinRefused, join, load, obtain
from edge.secrets import NoSecret
from tests.control.planes import Control, controlling, healthy, joined
from tests.edge.scripted import eventually, running


@pytest.fixture
async def control(tmp_path: Path, database_setting: str) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control", database=database_setting) as made:
        yield made


async def test_a_node_joins_and_keeps_its_identity(control: Control, tmp_path: Path) -> None:
    token = await control.invite("jakarta")
    made = await join(tmp_path / "node", control.nodes, token, "1.0")
    assert (made.name, made.role) == ("jakarta", "edge")
    assert load(tmp_path / "node") == made
    directory = tmp_path / "node" / "identity"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}
    certificate = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    assert certificate.subject.rfc4514_string() == "OU=edge,CN=jakarta"


async def test_the_key_never_leaves_the_node(control: Control, tmp_path: Path) -> None:
    node = await joined(control, "jakarta")
    secret = node.identity.key.read_text().splitlines()[1]
    kept = [path.read_bytes() for path in control.directory.iterdir() if path.is_file()]
    assert not any(secret.encode() in each for each in kept)
    async with control.is_up.database.read() as connection:
        rows = [
            repr(row) for table in metadata.sorted_tables for row in await connection.execute(select(table))
        ]
    assert any("jakarta" in row for row in rows)
    assert not any(secret in row for row in rows)


async def test_a_token_works_once(control: Control, tmp_path: Path) -> None:
    token = await control.invite("jakarta")
    await join(tmp_path / "first", control.nodes, token, "1.0")
    with pytest.raises(JoinRefused, match="wrong, expired or used already"):
        await join(tmp_path / "second", control.nodes, token, "1.0")
    assert load(tmp_path / "second") is None


async def test_of_many_that_use_one_token_at_once_one_joins(control: Control, tmp_path: Path) -> None:
    token = await control.invite("jakarta")
    answers = await asyncio.gather(
        *(join(tmp_path / str(number), control.nodes, token, "1.0") for number in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, identity.Identity) for answer in answers) == 1
    assert sum(isinstance(answer, JoinRefused) for answer in answers) == 5


async def test_a_token_expires(tmp_path: Path) -> None:
    async with controlling(tmp_path / "control", token_hours=1) as control:
        token = await control.invite("jakarta")
        control.shift.wall += 3601
        with pytest.raises(JoinRefused, match="expired"):
            await join(tmp_path / "node", control.nodes, token, "1.0")


async def test_a_wrong_token_is_refused_and_said_in_controls_log(
    control: Control, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, dot, fingerprint = (await control.invite("jakarta")).partition(".")
    with pytest.raises(JoinRefused, match="refused this node"):
        await join(tmp_path / "node", control.nodes, f"guessed{dot}{fingerprint}", "1.0")
    refused = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(refused) == 1
    assert "guessed" not in refused[0]


@pytest.mark.parametrize("token", ["", "secret", "secret.abc", "." + "a" * 63])
async def test_a_text_that_is_no_token_is_not_even_sent(tmp_path: Path, token: str) -> None:
    with pytest.raises(JoinRefused, match=r"expected SECRET\.FINGERPRINT"):
        await join(tmp_path / "node", "https://127.0.0.1:1", token, "1.0")


async def test_the_secret_is_not_told_to_a_control_of_another_authority(
    control: Control, tmp_path: Path
) -> None:
    other = Authority.open(tmp_path / "other", datetime.now(UTC))
    secret, _, _ = (await control.invite("jakarta")).partition(".")
    with pytest.raises(JoinRefused, match="not the one that made this join token"):
        await join(tmp_path / "node", control.nodes, f"{secret}.{other.fingerprint}", "1.0")
    token = f"{secret}.{control.is_up.authority.fingerprint}"
    await join(tmp_path / "node", control.nodes, token, "1.0")  # it is unused still


async def test_a_control_that_shows_anothers_authority_but_can_not_prove_it_gets_no_secret(
    control: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Authority.open(tmp_path / "other", datetime.now(UTC))
    shown, token = other.pem, f"secret.{other.fingerprint}"
    monkeypatch.setattr(Authority, "pem", property(lambda _: shown))
    with pytest.raises(JoinRefused, match="certificate of another authority"):
        await join(tmp_path / "node", control.nodes, token, "1.0")


async def test_a_control_that_is_away_is_asked_again(tmp_path: Path) -> None:
    with pytest.raises(JoinFailed, match="can't be reached"):
        await join(tmp_path / "node", "https://127.0.0.1:1", "secret." + "a" * 64, "1.0")


async def test_a_node_waits_for_control_to_come_up(tmp_path: Path) -> None:
    control = Control(tmp_path / "control")
    await control.start()
    token_file = tmp_path / "token"
    token_file.write_text(await control.invite("jakarta"))
    await control.stop()
    obtaining = asyncio.create_task(
        obtain(tmp_path / "node", control.nodes, f"file:{token_file}", "1.0", pause=0.05)
    )
    await asyncio.sleep(0.2)
    assert not obtaining.done()
    await control.start()
    try:
        assert (await asyncio.wait_for(obtaining, 10)).name == "jakarta"
    finally:
        await control.stop()
    assert await obtain(tmp_path / "node", "https://127.0.0.1:1", None, "1.0") == load(tmp_path / "node")


async def test_without_identity_and_token_there_is_a_clear_word(tmp_path: Path) -> None:
    with pytest.raises(JoinRefused, match=r"control\.join_token"):
        await obtain(tmp_path / "node", "https://127.0.0.1:1", None, "1.0")
    with pytest.raises(NoSecret):
        await obtain(tmp_path / "node", "https://127.0.0.1:1", f"file:{tmp_path / 'none'}", "1.0")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff\xfe", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"token": 1, "csr": 2}', 400),
        (b'{"token": "a", "csr": "b"}', 403),
        (b"[" * 60_000, 400),
        (b" " * 70_000, 413),
    ],
)
async def test_a_malformed_request_to_join_is_refused(control: Control, body: bytes, status: int) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{control.nodes}/node/v1/join", data=body, ssl=False) as response,
    ):
        assert response.status == status


async def test_a_token_is_not_used_up_by_a_request_that_can_not_be_signed(
    control: Control, tmp_path: Path
) -> None:
    token = await control.invite("jakarta")
    body = {"token": token.partition(".")[0], "csr": "no request"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{control.nodes}/node/v1/join", json=body, ssl=False) as response,
    ):
        assert response.status == 400
        assert "csr" in (await response.json(content_type=None))["detail"]
    await join(tmp_path / "node", control.nodes, token, "1.0")


async def test_a_name_is_given_once_and_free_again_after_revocation(control: Control, tmp_path: Path) -> None:
    old = await joined(control, "jakarta")
    node = {"name": "jakarta", "role": "dns", "addresses": ["127.0.0.1"]}
    assert (await control.ask("POST", "/nodes", node))[0] == 409
    assert (await control.ask("DELETE", "/nodes/jakarta"))[0] == 204
    assert (await control.ask("DELETE", "/nodes/jakarta"))[0] == 404
    status, made = await control.ask("POST", "/nodes", node)
    assert status == 201
    new = await join(tmp_path / "again", control.nodes, made["join_token"], "1.0")
    assert (new.name, new.role) == ("jakarta", "dns")
    async with running(old.agent()) as agent:
        await asyncio.sleep(0.5)
        assert not agent.connected
        assert agent.position is None


async def test_an_announced_node_is_not_in_the_fleet_before_it_joins(control: Control) -> None:
    token = await control.invite("virginia")
    node = await joined(control, "jakarta")
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        assert [one["name"] for one in node.told.snapshots[0].fleet] == ["jakarta"]
        await join(control.directory.parent / "virginia", control.nodes, token, "1.0")
        await eventually(lambda: bool(node.told.events))
    assert [one["name"] for one in node.told.events[0].body["nodes"]] == ["jakarta", "virginia"]


def test_half_an_identity_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "identity").mkdir()
    for text in ("", "{}", "[]", json.dumps({"name": "jakarta", "role": "edge"})):
        (tmp_path / "identity" / "node.json").write_text(text)
        assert load(tmp_path) is None


async def test_a_drained_node_gets_visitors_only_as_the_last_resort_and_control_remembers(
    control: Control,
) -> None:
    jakarta, bandung = await joined(control, "jakarta"), await joined(control, "bandung")
    async with running(jakarta.agent()), running(bandung.agent()):
        await healthy(control, "jakarta", "bandung")

        async def first() -> str:
            _, told = await control.ask("GET", "/where?address=36.66.0.1")
            return str(told["node"])

        usual = await first()
        status, told = await control.ask("PATCH", f"/nodes/{usual}", {"draining": True})
        assert (status, told["draining"]) == (200, True)
        await eventually(lambda: jakarta.told.healths[-1].get(usual) == "draining")
        assert await first() != usual
        await control.stop()
        await control.start()
        await eventually(
            lambda: {seen.health for seen in control.is_up.fanout.all()} == {"healthy", "draining"}, 20
        )
        assert await first() != usual
        assert (await control.ask("PATCH", f"/nodes/{usual}", {"draining": False}))[0] == 200
        await healthy(control, "jakarta", "bandung")
        assert await first() == usual
    assert (await control.ask("PATCH", "/nodes/nobody", {"draining": True}))[0] == 404
    await control.invite("surabaya")
    assert (await control.ask("PATCH", "/nodes/surabaya", {"draining": True}))[0] == 404
