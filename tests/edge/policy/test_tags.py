"""The names by which answers can be purged."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Fields
from edge.policy.tags import HIDDEN_FIELDS, TAG_FIELDS, tags_of

TAGS = st.lists(st.text("abc-1:/", min_size=1), unique=True)


@given(TAGS, st.sampled_from(TAG_FIELDS), st.sampled_from([",", ", ", " ", "\t", " , "]))
def test_every_platforms_field_and_separator_is_read(tags: list[str], name: str, separator: str) -> None:
    assert tags_of(Fields([(name, separator.join(tags))])) == tuple(tags)


@given(st.text(st.sampled_from("ab,; \t\x0b\x0c\x1c\x85\xa0\xe9\r\n")))
def test_separators_are_commas_and_white_space_of_ascii_alone(value: str) -> None:
    wanted = [tag for tag in re.split(r"[,\s]+", value, flags=re.ASCII) if tag]
    assert tags_of(Fields([("xkey", value)])) == tuple(dict.fromkeys(wanted))


def test_tags_of_several_fields_and_lines_are_joined_each_once() -> None:
    found = Fields(
        [("Cache-Tag", "a, b"), ("cache-tag", "c"), ("xkey", "b d"), ("X-Magento-Tags", "cat_p,cat_p_1")]
    )
    assert tags_of(found) == ("a", "b", "c", "d", "cat_p", "cat_p_1")
    assert set(TAG_FIELDS) < HIDDEN_FIELDS


def test_thousands_of_tags_are_read_whether_in_one_line_or_in_as_many() -> None:
    tags = tuple(f"product-{number}" for number in range(20_000))
    assert tags_of(Fields([("X-Magento-Tags", ",".join(tags))])) == tags
    assert tags_of(Fields(("xkey", tag) for tag in tags)) == tags


def test_letters_beyond_ascii_are_parts_of_tags() -> None:
    field = "voilà,été".encode().decode(
        "latin-1"
    )  # as the bytes of a field are read: à ends with a no-break space
    assert tags_of(Fields([("Cache-Tag", field)])) == ("voilà".encode().decode("latin-1"), "Ã©tÃ©")
