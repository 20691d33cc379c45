from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import dns.asyncquery
import dns.message
from click.testing import CliRunner, Result

from control.cli.zone import command
from geo.dns.zonefile import read_zone
from tests.geo.dns.test_process import configuration, free_port, living, tepi_dns, until

ZONE = "$TTL 300\n@ ALIAS www\n@ MX 10 mail\nmail A 192.0.2.25\n"


def run(*words: str) -> Result:
    return CliRunner().invoke(command, words)


def test_a_zone_file_is_checked_with_file_line_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "shop.zone"
    path.write_text(ZONE)
    assert run("check", "shop.test", str(path)).output.endswith("fit for the zone shop.test\n")
    path.write_text(ZONE + "mail CNAME x\n")
    refused = run("check", "shop.test", str(path))
    assert refused.exit_code == 1
    assert f"{path}:5: mail.shop.test.: beside its CNAME stands nothing" in refused.output


def test_a_name_servers_zones_are_written_as_files_that_are_read_again(tmp_path: Path) -> None:
    (tmp_path / "shop.zone").write_text(ZONE)
    path = configuration(
        tmp_path, 53, 5381, 80, f'zone_file = "{tmp_path}/shop.zone"\nzones = [{{ name = "other.test" }}]'
    )
    printed = run("export", "--config", str(path)).output
    kinds = {(line.record.owner, line.record.type) for line in read_zone(printed, "shop.test", "-")}
    assert {(b"\x04shop\x04test\x00", 6), (b"\x04shop\x04test\x00", 65401)} <= kinds
    assert "$ORIGIN other.test." in run("export", "--config", str(path), "--zone", "other.test").output
    assert (
        "expected one of shop.test, other.test"
        in run("export", "--config", str(path), "--zone", "third.test").output
    )


def test_a_zone_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = configuration(tmp_path, 53, 5381, 80, f'zone_file = "{tmp_path}/none.zone"')
    said = run("export", "--config", str(path)).output
    assert f"zone_file: got {tmp_path}/none.zone, expected a zone file" in said


async def mail(port: int) -> list[str]:
    query = dns.message.make_query("shop.test", "MX")
    reply = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=2)
    return [str(item) for one in reply.answer for item in one]


async def test_a_zone_is_read_again_on_sighup_and_stays_as_it_was_where_it_is_bad(tmp_path: Path) -> None:
    file = tmp_path / "shop.zone"
    file.write_text(ZONE)
    port, admin, health = free_port(), free_port(), free_port()
    path = configuration(tmp_path, port, admin, health, f'zone_file = "{file}"')
    async with tepi_dns(path) as process, living(health, "127.0.0.2"), asyncio.timeout(30):
        await until(port, "127.0.0.2")
        assert await mail(port) == ["10 mail.shop.test."]
        file.write_text(ZONE.replace("10 mail", "20 mail"))
        process.send_signal(signal.SIGHUP)
        while await mail(port) != ["20 mail.shop.test."]:
            await asyncio.sleep(0.05)
        file.write_text("shop.test CNAME")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        while b"zones stay as they were" not in (line := await process.stderr.readline()):
            assert line
        assert f"{file}:1".encode() in line
        assert await mail(port) == ["20 mail.shop.test."]


async def test_a_bad_zone_ends_a_name_server_with_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "shop.zone"
    file.write_text("@ CNAME x\n")
    path = configuration(tmp_path, free_port(), free_port(), free_port(), f'zone_file = "{file}"')
    async with tepi_dns(path) as process, asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.decode().count("\n") == 1
    assert f"{file}:1" in errors.decode()


async def test_a_cookie_secret_that_is_none_is_named_and_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("5ecret")
    more = f'cookie_secrets = ["file:{secret}"]'
    path = configuration(tmp_path, free_port(), free_port(), free_port(), more)
    async with tepi_dns(path) as process, asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert "cookie_secrets.0" in errors.decode()
    assert "32 hex digits" in errors.decode()
    assert "5ecret" not in errors.decode()
