"""Pictures: well-formed, small, inert, the same each time, and each its own."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from origin.storefront.art import SHAPES, picture
from origin.storefront.goods import Good, read_catalogue

GOODS = read_catalogue()[1]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("good", GOODS, ids=lambda good: good.slug)
def test_a_picture_is_well_formed_named_small_and_inert(good: Good) -> None:
    drawn = picture(good)
    root = ElementTree.fromstring(drawn)
    assert root.tag == f"{SVG}svg"
    assert root.findtext(f"{SVG}title") == good.names["id"]
    assert len(drawn) < 32_768
    names = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert names.isdisjoint({"script", "foreignObject", "image", "use", "a", "style"})
    assert not any(
        name.startswith("on") or "href" in name for element in root.iter() for name in element.attrib
    )


def test_a_picture_is_the_same_each_time_and_no_two_are_alike() -> None:
    drawn = [picture(good) for good in GOODS]
    assert drawn == [picture(good) for good in GOODS]
    assert len(set(drawn)) == len(GOODS)


def test_every_shape_is_drawn_by_some_good() -> None:
    assert {good.art for good in GOODS} == set(SHAPES)


def test_references_inside_a_picture_lead_somewhere() -> None:
    for good in GOODS:
        root = ElementTree.fromstring(picture(good))
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        used = {
            value.removeprefix("url(#").removesuffix(")")
            for element in root.iter()
            for value in element.attrib.values()
            if value.startswith("url(#")
        }
        assert used <= set(ids), good.slug
