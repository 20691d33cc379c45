"""Geohashes: places as words, where near places share a beginning. Pure."""

from __future__ import annotations

import math
import re

ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
GEOHASH = re.compile(rf"[{ALPHABET}]{{1,12}}\Z")
EARTH = 6371.0  # km
DEGREE = 111.2  # km of latitude


def encode(latitude: float, longitude: float, length: int) -> str:
    """The cell of `length` letters around a place, in degrees."""
    low, high = [-90.0, -180.0], [90.0, 180.0]
    place, word, bits = (latitude, longitude), "", 0
    for step in range(length * 5):
        axis = (step + 1) % 2  # longitude first
        middle = (low[axis] + high[axis]) / 2
        upper = place[axis] >= middle
        (low if upper else high)[axis] = middle
        bits = bits << 1 | upper
        if step % 5 == 4:
            word, bits = word + ALPHABET[bits], 0
    return word


def centre(geohash: str) -> tuple[float, float]:
    """The middle of a cell: latitude and longitude in degrees."""
    low, high = [-90.0, -180.0], [90.0, 180.0]
    for step in range(len(geohash) * 5):
        axis = (step + 1) % 2
        bit = ALPHABET.index(geohash[step // 5]) >> (4 - step % 5) & 1
        (low if bit else high)[axis] = (low[axis] + high[axis]) / 2
    return (low[0] + high[0]) / 2, (low[1] + high[1]) / 2


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Kilometres between two places (great circle)."""
    (la, oa), (lb, ob) = (tuple(map(math.radians, place)) for place in (a, b))
    half = math.sin((lb - la) / 2) ** 2 + math.cos(la) * math.cos(lb) * math.sin((ob - oa) / 2) ** 2
    return 2 * EARTH * math.asin(min(1.0, math.sqrt(half)))


def box(place: tuple[float, float], km: float) -> tuple[float, float, float, float]:
    """South, north, west and east of all places within `km`; west > east where it crosses the date line."""
    latitude, longitude = place
    high = km / DEGREE
    south, north = max(-90.0, latitude - high), min(90.0, latitude + high)
    if south == -90.0 or north == 90.0:
        return south, north, -180.0, 180.0
    wide = high / math.cos(math.radians(max(abs(south), abs(north))))
    if wide >= 180.0:
        return south, north, -180.0, 180.0
    return south, north, (longitude - wide + 540) % 360 - 180, (longitude + wide + 540) % 360 - 180
