"""Whatever is asked of the API, as its own OpenAPI describes it or not, control never fails inside."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.control.planes import controlling

PROGRAM = Path(sys.executable).with_name("schemathesis")
EXAMPLES = os.environ.get("TEPI_FUZZ_API", "3")  # of each operation


async def test_no_request_makes_control_fail(tmp_path: Path, postgres_url: str) -> None:
    async with controlling(tmp_path / "control", database=postgres_url) as control:
        process = await asyncio.create_subprocess_exec(
            PROGRAM, "run", f"{control.api}/api/v1/openapi.json", "--url", control.api,
            "--header", f"Authorization: Bearer {control.first_run['token']}",
            "--checks", "not_a_server_error", "--phases", "examples,fuzzing", "--max-examples", EXAMPLES,
            "--no-color",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path,
        )  # fmt: skip
        told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()[-4000:]


async def test_what_it_found_once(tmp_path: Path, postgres_url: str) -> None:
    async with controlling(tmp_path / "control", database=postgres_url) as control:
        status, told = await control.ask("GET", "/audit?who=a%00b")
        assert (status, told["errors"][0]["field"]) == (400, "who")
        status, told = await control.ask("POST", "/explain", {"url": "0", "node": ""})
        assert (status, told["detail"]) == (409, "no edge node is connected")
