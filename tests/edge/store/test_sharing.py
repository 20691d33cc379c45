"""One store for all workers of a node: what one changes, the others see at once."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.edge.store.crew import MIB, Hand, crew

SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None


def test_what_one_worker_stored_the_others_serve(tmp_path: Path) -> None:
    with crew(2, tmp_path) as (one, two):
        one.do("put", path="/a", version=1, size=3000)
        one.do("put", path="/large", version=2, size=100_000)
        assert two.do("get", path="/a")[0] == 1
        assert two.do("get", path="/large")[0] == 2
        two.do("put", path="/a", version=3, size=30)
        assert one.do("get", path="/a")[0] == 3


@pytest.mark.parametrize(
    ("kind", "value"), [("url", "/a/b"), ("prefix", "shop.test/a/"), ("tag", "t"), ("site", "shop")]
)
def test_a_purge_at_one_worker_holds_at_all_before_it_is_acknowledged(
    tmp_path: Path, kind: str, value: str
) -> None:
    with crew(2, tmp_path) as (one, two):
        one.do("put", path="/a/b", version=1, size=3000, tags=["t"])
        assert two.do("get", path="/a/b")[0] == 1  # it is in the memory of both
        assert one.do("get", path="/a/b")[0] == 1
        assert two.do("strike", kind=kind, value=value, soft=True) == 1
        assert one.do("get", path="/a/b")[1] <= 0
        assert two.do("get", path="/a/b")[1] <= 0
        assert two.do("strike", kind=kind, value=value) == 1
        assert one.do("get", path="/a/b") is None
        assert two.do("get", path="/a/b") is None
        one.do("put", path="/a/b", version=2, size=3000, tags=["t"])
        assert two.do("get", path="/a/b")[0] == 2


def test_a_worker_that_is_killed_takes_nothing_with_it(tmp_path: Path) -> None:
    with crew(2, tmp_path) as (one, two):
        one.do("put", path="/a", version=1, size=3000)
        one.kill()
        assert two.do("get", path="/a")[0] == 1
        two.do("put", path="/b", version=2, size=3000)
        assert two.do("strike", kind="url", value="/a") == 1
        with crew(1, tmp_path) as (again,):
            assert again.do("get", path="/a") is None
            assert again.do("get", path="/b")[0] == 2


def test_four_workers_hit_as_often_as_one() -> None:
    """They ask by turns: what is asked for at once is collapsed before it comes to the store."""
    chance = random.Random(4)
    weights = [1 / (rank + 1) ** 0.9 for rank in range(1500)]
    asked = [f"/{number}" for number in chance.choices(range(1500), weights, k=6_000)]
    ratios = {}
    for workers in (1, 4):
        with (
            tempfile.TemporaryDirectory(dir=SHM) as directory,
            crew(workers, Path(directory), size=8 * MIB, memory=2 * MIB // workers) as hands,
        ):
            hits = 0
            for turn, at in enumerate(range(0, len(asked), 50)):
                paths = asked[at : at + 50]
                hits += hands[turn % workers].do("replay", paths=paths, sizes=[6000] * len(paths))
            ratios[workers] = hits / len(asked)
    assert ratios[1] > 0.4
    assert abs(ratios[1] - ratios[4]) < 0.01


def test_four_workers_hit_nearly_as_often_as_one_with_the_same_memory() -> None:
    """As above, with a process of its own as the one, which keeps books of its own in its own memory."""
    chance = random.Random(4)
    sizes = [int(min(200_000, chance.lognormvariate(9.2, 1.2))) for _ in range(6000)]
    weights = [1 / (rank + 1) ** 0.8 for rank in range(len(sizes))]
    asked = chance.choices(range(len(sizes)), weights, k=12_000)
    ratios = {}
    for workers in (1, 4):
        with (
            tempfile.TemporaryDirectory(dir=SHM) as directory,
            crew(workers, Path(directory), memory=48 * MIB, of=workers) as hands,
        ):
            hits = 0
            for turn, at in enumerate(range(0, len(asked), 50)):
                some = asked[at : at + 50]
                hits += hands[turn % workers].do(
                    "replay", paths=[f"/{one}" for one in some], sizes=[sizes[one] for one in some]
                )
            ratios[workers] = hits / len(asked)
    assert ratios[1] > 0.4
    assert ratios[4] > ratios[1] - 0.01


class TwoWorkers(RuleBasedStateMachine):
    """Two workers, and a model of what a node must never answer: what was purged or replaced before."""

    hands: list[Hand] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(dir=SHM)
        self.hands = [Hand(Path(self.directory.name)) for _ in range(2)]
        self.model: dict[str, tuple[int, str]] = {}
        self.version = 0

    worker = st.integers(0, 1)
    path = st.sampled_from(["/a", "/a/b", "/b"])
    tag = st.sampled_from(["s", "t"])

    @rule(worker=worker, path=path, tag=tag, size=st.sampled_from([1, 3000, 40_000]))
    def put(self, worker: int, path: str, tag: str, size: int) -> None:
        assert self.hands is not None
        self.version = self.version % 255 + 1
        self.hands[worker].do("put", path=path, version=self.version, size=size, tags=[tag])
        self.model[path] = self.version, tag

    @rule(worker=worker, path=path)
    def get(self, worker: int, path: str) -> None:
        assert self.hands is not None
        found = self.hands[worker].do("get", path=path)
        assert (found and found[0]) == (self.model.get(path, (None,))[0])

    @rule(worker=worker, path=path)
    def drop(self, worker: int, path: str) -> None:
        assert self.hands is not None
        self.hands[worker].do("drop", path=path)
        self.model.pop(path, None)

    @rule(worker=worker, path=path)
    def purge_url(self, worker: int, path: str) -> None:
        assert self.hands is not None
        found = self.hands[worker].do("strike", kind="url", value=path)
        assert found == (path in self.model)
        self.model.pop(path, None)

    @rule(worker=worker, tag=tag)
    def purge_tag(self, worker: int, tag: str) -> None:
        assert self.hands is not None
        self.hands[worker].do("strike", kind="tag", value=tag)
        self.model = {path: held for path, held in self.model.items() if held[1] != tag}

    @rule(worker=worker)
    def purge_prefix(self, worker: int) -> None:
        assert self.hands is not None
        self.hands[worker].do("strike", kind="prefix", value="shop.test/a")
        self.model = {path: held for path, held in self.model.items() if not path.startswith("/a")}

    @rule(worker=worker)
    def restart(self, worker: int) -> None:
        assert self.hands is not None
        self.hands[worker].kill()
        self.hands[worker] = Hand(Path(self.directory.name))

    def teardown(self) -> None:
        for hand in self.hands or ():
            hand.close()
        self.directory.cleanup()


TestTwoWorkers = TwoWorkers.TestCase
TestTwoWorkers.settings = settings(max_examples=2, stateful_step_count=15, deadline=None)
