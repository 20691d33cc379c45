"""Real programs that tests and benchmarks run: found on this machine, or brought in from Debian's packages.

    python -m tests.support.tools [TOOL ...]

A program on PATH is used as it is. Otherwise its package is installed (as root), or its files and those of
the packages that it needs are unpacked under .tools/, which needs no rights and changes nothing else. Server
packages are always unpacked: installing one would start it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

IN_CI = os.environ.get("CI") == "true"
HERE = Path(__file__).resolve().parents[2] / ".tools"
ADMIN_PLACES = ("/usr/local/sbin", "/usr/sbin", "/sbin")
LIBRARIES = ("lib", "usr/lib", "usr/lib/varnish", "usr/lib/chromium")
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{root}/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{here}/fonts</cachedir></fontconfig>
"""
WRAPPER = """#!/bin/sh
export LD_LIBRARY_PATH='{libraries}' FONTCONFIG_FILE='{here}/fonts.conf'
exec '{program}' "$@"
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program by the names it goes by, and the Debian packages that bring it."""

    programs: tuple[str, ...]
    packages: tuple[str, ...]
    serves: bool = False  # its package starts a server when it is installed
    inside: str = ""  # where the program itself is in an unpacked package, if what is on PATH is a script
    file: str = ""  # where it is under / or in a package, if it is no program


TOOLS: Mapping[str, Tool] = {
    "chromium": Tool(
        ("chromium", "chromium-browser", "google-chrome"), ("chromium",), inside="usr/lib/chromium/chromium"
    ),
    "systemd-analyze": Tool(("systemd-analyze",), ("systemd",), serves=True),
    "strace": Tool(("strace",), ("strace",)),
    "promtool": Tool(("promtool",), ("prometheus",), serves=True),
    "wrk": Tool(("wrk",), ("wrk",)),
    "h2load": Tool(("h2load",), ("nghttp2-client",)),
    "nginx": Tool(("nginx",), ("nginx",), serves=True),
    "nginx-brotli": Tool(
        (),
        ("libnginx-mod-http-brotli-filter",),
        serves=True,
        file="usr/lib/nginx/modules/ngx_http_brotli_filter_module.so",
    ),
    "varnishd": Tool(("varnishd",), ("varnish",), serves=True),
    "varnishncsa": Tool(("varnishncsa",), ("varnish",), serves=True),
    "gdnsd": Tool(("gdnsd",), ("gdnsd",), serves=True),
    "pdns_server": Tool(("pdns_server",), ("pdns-server", "pdns-backend-geoip"), serves=True),
    "dnsperf": Tool(("dnsperf",), ("dnsperf",)),
    "dig": Tool(("dig",), ("bind9-dnsutils",)),
    "delv": Tool(("delv",), ("bind9-dnsutils",)),
    "kdig": Tool(("kdig",), ("knot-dnsutils",)),
    "unbound": Tool(("unbound",), ("unbound",), serves=True),
}
FOR_TESTS = ("chromium", "systemd-analyze", "strace", "dig", "kdig", "h2load", "promtool")
FOR_BENCH = ("wrk", "nginx", "varnishd", "gdnsd", "pdns_server", "dnsperf")


class ToolMissing(Exception):
    """A program is not here and can't be brought in; the sentence says why."""


def find(name: str) -> str | None:
    """The path of `name` if it is on this machine."""
    if file := TOOLS[name].file:
        return next((str(root / file) for root in (HERE / "root", Path("/")) if (root / file).exists()), None)
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), *ADMIN_PLACES, str(HERE / "bin")))
    found = (shutil.which(program, path=places) for program in TOOLS[name].programs)
    return next((path for path in found if path), None)


def bring(name: str) -> str:
    """The path of `name`, brought in if it is missing. Raises ToolMissing."""
    found = find(name)
    if found:
        return found
    tool = TOOLS[name]
    if not shutil.which("apt-get"):
        raise ToolMissing(f"{name} is missing: install it and put it on PATH (no apt-get here)")
    try:
        if os.geteuid() == 0 and not tool.serves:
            _install(tool)
        else:
            _unpack(tool)
    except (subprocess.CalledProcessError, OSError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise ToolMissing(f"{name} is missing and apt-get did not bring it: {said.strip()[-500:]}") from error
    found = find(name)
    if not found:
        raise ToolMissing(f"{name} is missing: {' '.join(tool.packages)} did not bring it")
    return found


def require(name: str) -> str:
    """The path of `name` for a test, which is skipped where the tool can't be had; in CI it fails."""
    try:
        return bring(name)
    except ToolMissing as error:
        if IN_CI:
            raise
        pytest.skip(str(error))


def chromium() -> str:
    """The path of a Chromium for a test."""
    return require("chromium")


def _install(tool: Tool) -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "--quiet"], quiet)
    _run(["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *tool.packages], quiet)


def _unpack(tool: Tool) -> None:
    """The packages and what they need beyond this machine's, unpacked under .tools/root, wrapped in bin/."""
    root, archives = HERE / "root", HERE / "apt" / "cache" / "archives"
    for directory in (root, archives / "partial", HERE / "apt" / "lists" / "partial", HERE / "bin"):
        directory.mkdir(parents=True, exist_ok=True)
    own = [
        f"Dir::Cache={HERE / 'apt' / 'cache'}",
        f"Dir::State::Lists={HERE / 'apt' / 'lists'}",
        "Debug::NoLocking=true",
        "APT::Sandbox::User=",
    ]
    apt = ["apt-get", "--quiet", "--yes", *(word for each in own for word in ("-o", each))]
    _run([*apt, "update"])
    _run([*apt, "install", "--reinstall", "--download-only", "--no-install-recommends", *tool.packages])
    for archive in sorted(archives.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(archive), str(root)])
        archive.unlink()
    (HERE / "fonts.conf").write_text(FONTS.format(root=root, here=HERE))
    if tool.programs:
        wrap(tool, root)


def wrap(tool: Tool, root: Path) -> None:
    """A script in .tools/bin that runs the unpacked program with the unpacked libraries."""
    name = tool.programs[0]
    inside = tool.inside or next(
        (f"{place}/{name}" for place in ("usr/sbin", "usr/bin", "bin") if (root / place / name).exists()), ""
    )
    if not inside:
        return
    places = [root / each for each in LIBRARIES]
    places += [each for parent in ("lib", "usr/lib") for each in (root / parent).glob("*-linux-gnu*")]
    places += (root / "usr/lib").glob("*-linux-gnu*/systemd")
    libraries = os.pathsep.join(str(each) for each in places if each.is_dir())
    script = HERE / "bin" / name
    script.write_text(WRAPPER.format(libraries=libraries, here=HERE, program=root / inside))
    script.chmod(0o755)


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> None:
    subprocess.run(
        command, check=True, text=True, env=environment, stdin=subprocess.DEVNULL, capture_output=True
    )


def main(names: Iterable[str]) -> int:
    """Brings the tools in; a sentence for each that can't be, and 1 in CI."""
    missing = 0
    for name in names:
        try:
            if find(name) is None:
                print(f"{name}: fetching…", flush=True)
                print(f"{name}: {bring(name)}", flush=True)
        except ToolMissing as error:
            missing += 1
            print(error, file=sys.stderr)
    return 1 if missing and IN_CI else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or FOR_TESTS))
