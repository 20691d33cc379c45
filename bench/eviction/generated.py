"""Generated traces: what a shop's edge sees, and what hurts a cache."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Made = tuple[Numbers, Numbers]  # the ids in order, and the size that each has


def drawn_sizes(objects: int, seed: int) -> Numbers:
    """Sizes as on the web: two in three small and log-normal about 6 KB, the others about 40 KB."""
    chance = np.random.Generator(np.random.PCG64(seed))
    return _web_sizes(chance, objects)


def _web_sizes(chance: Generator, objects: int) -> Numbers:
    small = chance.lognormal(np.log(6_000), 1.2, objects)
    large = chance.lognormal(np.log(40_000), 1.5, objects)
    sizes = np.where(chance.random(objects) < 0.66, small, large)
    return np.clip(sizes, 100, 50_000_000).astype(np.int64)


def _zipf(chance: Generator, objects: int, alpha: float, many: int) -> Numbers:
    """Ranks 0…objects-1, rank r with weight (r+1)^-alpha."""
    weights = np.cumsum(np.arange(1, objects + 1, dtype=np.float64) ** -alpha)
    return np.searchsorted(weights, chance.random(many) * weights[-1]).astype(np.int64)


def zipf(chance: Generator, many: int) -> Made:
    """Zipf 0.8 over objects whose popularity never changes."""
    ids = _zipf(chance, 60_000, 0.8, many)
    names = chance.permutation(60_000)[ids]
    return names, _web_sizes(chance, 60_000)[names]


def drift(chance: Generator, many: int) -> Made:
    """Zipf 0.9 whose ranks drift: every thousand requests a few objects change places."""
    objects = 50_000
    places = chance.permutation(objects)
    ranks = _zipf(chance, objects, 0.9, many)
    ids = np.empty(many, dtype=np.int64)
    for begin in range(0, many, 1_000):
        one = _zipf(chance, objects, 0.5, 20)
        other = chance.integers(0, objects, 20)
        places[one], places[other] = places[other], places[one]
        ids[begin : begin + 1_000] = places[ranks[begin : begin + 1_000]]
    return ids, _web_sizes(chance, objects)[ids]


def scans(chance: Generator, many: int) -> Made:
    """Zipf 0.9 and a crawler that walks the whole catalogue now and then."""
    objects = 40_000
    ids = _zipf(chance, objects, 0.9, many)
    ids = chance.permutation(objects)[ids]
    step = many // 6
    for begin in range(step // 2, many - 12_000, step):
        ids[begin : begin + 12_000 : 1] = np.where(
            chance.random(12_000) < 0.7,
            np.arange(12_000) + chance.integers(0, objects - 12_000),
            ids[begin : begin + 12_000],
        )
    return ids, _web_sizes(chance, objects)[ids]


def once(chance: Generator, many: int) -> Made:
    """Zipf 1.0, and a quarter of all requests for what nobody asks for again."""
    objects = 30_000
    ids = _zipf(chance, objects, 1.0, many)
    alone = chance.random(many) < 0.25
    ids = np.where(alone, objects + np.arange(many), ids)
    return ids, _web_sizes(chance, objects + many)[ids]


def shop(chance: Generator, many: int) -> Made:
    """Visits to a shop: categories, products, their pictures, assets; new products come, old ones go."""
    products, visits = 12_000, many // 8
    sizes: dict[int, int] = {}
    ids: list[int] = []
    favourite = chance.permutation(products)
    ranks = _zipf(chance, products, 0.85, visits)
    categories = _zipf(chance, 300, 0.7, visits)
    assets = _zipf(chance, 80, 1.1, visits)
    tail = chance.random((visits, 3))
    for visit in range(visits):
        if visit % 200 == 0:
            chance.shuffle(favourite[int(tail[visit, 0] * (products - 200)) :][:200])
        product = int(favourite[ranks[visit]])
        category = int(categories[visit])
        page = int(tail[visit, 1] ** 3 * 12)
        ids += [1_000_000 + int(assets[visit]), 2_000_000 + category * 12 + page]
        ids += [3_000_000 + product, 4_000_000 + product * 8]
        if tail[visit, 2] < 0.5:
            ids += [4_000_000 + product * 8 + picture for picture in range(1, 4)]
        if tail[visit, 0] < 0.15:
            ids.append(9_000_000 + visit)  # a search
    drawn = _web_sizes(chance, len(ids))
    about = {1: 2.0, 2: 1.0, 3: 1.0, 4: 3.0, 9: 0.7}
    for name, size in zip(ids, drawn, strict=True):
        sizes.setdefault(name, max(200, int(size * about[name // 1_000_000])))
    asked = np.array(ids[:many], dtype=np.int64)
    return asked, np.array([sizes[name] for name in ids[:many]], dtype=np.int64)


def flash(chance: Generator, many: int) -> Made:
    """A steady shop, and every so often one page with all of its pictures that everybody wants at once."""
    objects = 40_000
    ids = chance.permutation(objects)[_zipf(chance, objects, 0.8, many)]
    step = many // 8
    for number, begin in enumerate(range(step // 2, many - step // 3, step)):
        window = slice(begin, begin + step // 3)
        wanted = objects + number * 40 + chance.integers(0, 40, step // 3)
        ids[window] = np.where(chance.random(step // 3) < 0.6, wanted, ids[window])
    return ids, _web_sizes(chance, objects + 400)[ids]


def video(chance: Generator, many: int) -> Made:
    """Clips of which viewers see the first slices, few to the end, among small pages."""
    clips, slices = 1_500, 24
    ids: list[int] = []
    chosen = _zipf(chance, clips, 0.8, many // 4)
    ends = (chance.random(many // 4) ** 2.5 * slices).astype(np.int64) + 1
    pages = _zipf(chance, 20_000, 0.9, many)
    for clip, end in zip(chosen, ends, strict=True):
        ids += [1_000_000 + int(clip) * slices + number for number in range(int(end))]
        ids += pages[len(ids) % many : len(ids) % many + 3].tolist()
        if len(ids) >= many:
            break
    asked = np.array(ids[:many], dtype=np.int64)
    small = _web_sizes(chance, 20_000)
    return asked, np.where(asked >= 1_000_000, 262_144, small[asked % 20_000])


def news(chance: Generator, many: int) -> Made:
    """Objects are born, asked for with fading interest, and die."""
    births = np.sort(chance.random(80_000))
    weight = chance.pareto(1.1, 80_000) + 0.1
    counts = np.minimum(chance.poisson(weight * many / weight.sum()), many // 50)
    ids = np.repeat(np.arange(80_000), counts)
    moments = np.repeat(births, counts) + chance.exponential(0.03, counts.sum()) * chance.exponential(
        1.0, counts.sum()
    )
    ids = ids[np.argsort(moments, kind="stable")][:many]
    return ids, _web_sizes(chance, 80_000)[ids]


MAKERS: dict[str, Callable[[Generator, int], Made]] = {
    make.__name__: make for make in (zipf, drift, scans, once, shop, flash, video, news)
}
