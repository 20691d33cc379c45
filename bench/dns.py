"""How many DNS questions with random client subnets does a name server answer for a second of its CPU?

The same questions go over loopback to Tepi and to each of gdnsd and PowerDNS that is installed: one A record
out of three places by the client's country, from the shipped database (for the peers written once more in the
shape that they read). CPU is what the server's process used, user and system; the load runs in this process.

    python bench/dns.py [--queries N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import pack

import maxminddb
import uvloop

from geo.dataset import mmdb
from geo.dns.answer import Responder
from geo.dns.server import Server
from geo.dns.zone import NameServer, Zone
from geo.fleet import Fleet, Health, Node, Place
from geo.lookup import SHIPPED, Location, open_database, shipped_centres
from geo.nearest import nearest

HOST = "127.0.0.1"
NAME = "www.shop.test"
WINDOW = 64
PATIENCE = 2.0
NODES = (
    Node("jakarta", Place("Jakarta", "ID", -6.2, 106.8), ("192.0.2.1",), Health.HEALTHY),
    Node("frankfurt", Place("Frankfurt", "DE", 50.1, 8.7), ("192.0.2.2",), Health.HEALTHY),
    Node("virginia", Place("Ashburn", "US", 39.0, -77.5), ("192.0.2.3",), Health.HEALTHY),
)
ZONE = Zone("shop.test", (NameServer("ns1.shop.test", ("192.0.2.53",)),), "hostmaster.shop.test")


@dataclass(frozen=True, slots=True)
class Result:
    """What one server did."""

    server: str
    queries: int
    answered: int
    agree: float
    cpu_seconds: float
    seconds: float

    @property
    def per_cpu_second(self) -> float:
        """Answers for a second of the server's CPU."""
        return self.answered / self.cpu_seconds if self.cpu_seconds else 0.0


def responder() -> Responder:
    """What Tepi answers from."""
    return Responder((ZONE,), frozenset({NAME}), Fleet(NODES), open_database())


def questions(count: int) -> list[bytes]:
    """Queries for NAME with the subnets of random addresses that the database knows."""
    chance = random.Random(20260617)
    name = b"".join(bytes((len(label),)) + label.encode() for label in NAME.split(".")) + b"\0"
    made = []
    with open_database() as database:
        while len(made) < count:
            address = ipaddress.IPv4Address(chance.getrandbits(32) & 0xFFFFFF00)
            if database.find(str(address)).country is None:
                continue
            option = pack("!HHHBB", 8, 7, 1, 24, 0) + address.packed[:3]
            opt = pack("!BHHIH", 0, 41, 1232, 0, len(option)) + option
            head = pack("!6H", len(made) % 65536, 0x0100, 1, 0, 0, 1)
            made.append(head + name + pack("!HH", 1, 1) + opt)
    return made


def ask(port: int, packets: list[bytes]) -> tuple[int, float]:
    """Sends all packets, WINDOW under way at once: how many answers came, of which how much is right."""
    expected = responder()
    answered = right = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 2**20)
        wire.connect((HOST, port))
        wire.settimeout(PATIENCE)
        for at in range(0, len(packets), WINDOW):
            batch = {packet[:2]: packet for packet in packets[at : at + WINDOW]}
            try:
                for packet in batch.values():
                    wire.send(packet)
            except ConnectionRefusedError:
                break
            while batch:
                try:
                    reply = wire.recv(4096)
                except (TimeoutError, ConnectionRefusedError):
                    break
                query = batch.pop(reply[:2], None)
                if query is None or reply[3] & 0xF:
                    continue
                answered += 1
                if answered % 16 == 0:
                    ours = expected.reply(query, HOST)
                    right += ours is not None and _address(ours.wire) == _address(reply)
    return answered, right / max(1, answered // 16)


def _address(reply: bytes) -> bytes:
    """The data of the first answer, whose owner is a pointer."""
    at = 12 + len(NAME) + 2 + 4
    return reply[at + 12 : at + 16]


def cpu_of(process: int) -> float:
    """Seconds of CPU that `process` has used, in all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[int]:
    """A server process that answers on `port`, ended with its group."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        for _ in range(100):
            if ask(port, questions(1))[0]:
                break
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def measure(server: str, command: list[str], port: int, log: Path, packets: list[bytes]) -> Result:
    """Runs one server through all packets."""
    with running(command, port, log) as process:
        ask(port, packets[:2000])
        before, began = cpu_of(process), time.perf_counter()
        answered, agree = ask(port, packets)
        took, used = time.perf_counter() - began, cpu_of(process) - before
    return Result(server, len(packets), answered, agree, used, took)


def free_port() -> int:
    """A port that is free for UDP and TCP."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


def peers_database(to: Path) -> Path:
    """The shipped database in MaxMind's nested shape, with every country's centre."""
    centres = shipped_centres()
    records: dict[str, int] = {}
    families: dict[int, list[mmdb.Span]] = {4: [], 6: []}
    with maxminddb.open_database(SHIPPED) as reader:
        for network, record in reader:
            assert isinstance(record, dict)
            number = records.setdefault(str(record["country_code"]), len(records))
            span = (int(network.network_address), int(network.broadcast_address), number)
            families[network.version].append(span)
    tree, root = mmdb.build(families[4], families[6])
    rows: list[mmdb.Value] = []
    for country in records:
        latitude, longitude = centres.get(country, (0.0, 0.0))
        rows.append(
            {
                "continent": {"code": "EU"},
                "country": {"iso_code": country},
                "location": {"latitude": latitude, "longitude": longitude},
            }
        )
    content = mmdb.write(tree, root, rows, kind="GeoLite2-City", description="", built=int(time.time()))
    to.write_bytes(content)
    return to


def tepi(directory: Path, _database: Callable[[], Path], port: int) -> list[str]:
    """`tepi dns`'s server on its loop, without the rest of the process."""
    return [sys.executable, str(Path(__file__).resolve()), "--serve", str(port)]


def gdnsd(directory: Path, database: Callable[[], Path], port: int) -> list[str]:
    """gdnsd's geoip plugin, by distance."""
    etc = directory / "gdnsd"
    for name in ("zones", "geoip", "run", "state"):
        (etc / name).mkdir(parents=True)
    shutil.copy(database(), etc / "geoip" / "city.mmdb")
    coordinates = "\n".join(f"{n.name} => [{n.place.latitude}, {n.place.longitude}]" for n in NODES)
    addresses = "\n".join(f"{node.name} => {node.addresses[0]}" for node in NODES)
    (etc / "config").write_text(f"""
options => {{
  listen => {HOST}:{port}, udp_threads => 1, tcp_threads => 1,
  run_dir => {etc}/run, state_dir => {etc}/state
}}
plugins => {{ geoip => {{
  maps => {{ world => {{
    geoip2_db => city.mmdb
    datacenters => [{", ".join(node.name for node in NODES)}]
    auto_dc_coords => {{ {coordinates} }}
  }} }}
  resources => {{ www => {{ map => world, service_types => up, dcmap => {{ {addresses} }} }} }}
}} }}
""")
    (etc / "zones" / "shop.test").write_text(
        "@ SOA ns1 hostmaster (1 7200 1800 259200 20)\n@ NS ns1\nns1 A 192.0.2.53\nwww 20 DYNA geoip!www\n"
    )
    return ["gdnsd", "-c", str(etc), "start"]


def powerdns(directory: Path, database: Callable[[], Path], port: int) -> list[str]:
    """PowerDNS's geoip backend, by country: it has no distance without Lua."""
    etc = directory / "pdns"
    etc.mkdir()
    lines = ["domains:", "- domain: shop.test", "  ttl: 20", "  records:"]
    lines += ["    shop.test:", "      - soa: ns1.shop.test hostmaster.shop.test 1 7200 3600 86400 20"]
    lines += ["      - ns: ns1.shop.test", "    ns1.shop.test:", "      - a: 192.0.2.53"]
    fleet = Fleet(NODES)
    for country, point in shipped_centres().items():
        node = nearest(Location(0, country, None, *point), fleet, b"")[0].node
        lines += [f"    {country.lower()}.geo.shop.test:", f"      - a: {node.addresses[0]}"]
    lines += ["  services:", f"    {NAME}: '%cc.geo.shop.test'"]
    (etc / "zones.yaml").write_text("\n".join(lines) + "\n")
    return [
        "pdns_server", f"--config-dir={etc}", f"--socket-dir={etc}", "--launch=geoip",
        f"--geoip-database-files=mmdb:{database()}", f"--geoip-zones-file={etc}/zones.yaml",
        f"--local-address={HOST}", f"--local-port={port}", "--edns-subnet-processing=yes", "--daemon=no",
        "--guardian=no", "--receiver-threads=1", "--distributor-threads=1", "--loglevel=3",
    ]  # fmt: skip


SERVERS = {"tepi": (sys.executable, tepi), "gdnsd": ("gdnsd", gdnsd), "powerdns": ("pdns_server", powerdns)}


def serve(port: int) -> None:
    """Tepi's name server until SIGTERM."""

    async def forever() -> None:
        server = Server(responder(), [(HOST, port)])
        await server.start()
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        await server.stop()

    uvloop.run(forever())


def without_sockets(packets: list[bytes]) -> dict[str, float]:
    """Look-ups and answers a second in this process, no wire between."""
    to = responder()
    database = to.steering.lookup
    addresses = [str(ipaddress.IPv4Address(packet[-3:] + b"\0")) for packet in packets]
    began = time.process_time()
    for address in addresses:
        database.find(address)
    middle = time.process_time()
    for packet in packets:
        to.reply(packet, HOST)
    end = time.process_time()
    return {
        "lookups_per_second": len(packets) / (middle - began),
        "answers_per_second": len(packets) / (end - middle),
    }


def main() -> None:
    """Measures, prints a table, writes JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--queries", type=int, default=50_000)
    options.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "dns.json")
    options.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve is not None:
        serve(chosen.serve)
        return
    packets = questions(min(chosen.queries, 500_000))
    bare = without_sockets(packets)
    results = []
    with tempfile.TemporaryDirectory(prefix="tepi-bench-dns-") as name:
        directory = Path(name)
        cached = directory / "city.mmdb"

        def database() -> Path:
            return cached if cached.exists() else peers_database(cached)

        for server, (program, arrange) in SERVERS.items():
            if shutil.which(program) is None:
                print(f"{server:10} not installed")
                continue
            port = free_port()
            command = arrange(directory, database, port)
            results.append(measure(server, command, port, directory / f"{server}.log", packets))
    report(bare, results, chosen.json)


def report(bare: dict[str, float], results: list[Result], to: Path) -> None:
    """The table on standard output, the same as JSON in `to`."""
    print(f"{'server':10} {'answers':>8} {'agree':>6} {'CPU s':>7} {'answers/CPU s':>14} {'of Tepi':>8}")
    ours = next((one.per_cpu_second for one in results if one.server == "tepi"), 0.0)
    for one in results:
        ratio = one.per_cpu_second / ours if ours else 0.0
        print(
            f"{one.server:10} {one.answered:8} {one.agree:6.1%} {one.cpu_seconds:7.2f} "
            f"{one.per_cpu_second:14,.0f} {ratio:8.2f}"
        )
    for what, value in bare.items():
        print(f"{what.replace('_', ' '):26} {value:12,.0f}  (no sockets)")
    rows = [
        {
            "server": one.server, "queries": one.queries, "answered": one.answered, "agree": one.agree,
            "cpu_seconds": one.cpu_seconds, "seconds": one.seconds, "per_cpu_second": one.per_cpu_second,
        }
        for one in results
    ]  # fmt: skip
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps({"bench": "dns", **bare, "servers": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
