"""Link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.links import Link, links

TARGETS = st.text("abc/:?=&,;.-%", max_size=12)
RELATIONS = st.lists(
    st.sampled_from(["preload", "next", "preconnect", "https://a.test/rel"]), min_size=1, max_size=3
)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("</a.css>; rel=preload; as=style", [("/a.css", ("preload",), False)]),
        ('</a>;rel="preload"', [("/a", ("preload",), False)]),
        ('</a> ; REL = "Preload  PRECONNECT"', [("/a", ("preload", "preconnect"), False)]),
        ("<https://cdn.test/a,b;c>; rel=preload, </d>; rel=next", [
            ("https://cdn.test/a,b;c", ("preload",), False), ("/d", ("next",), False),
        ]),
        ('</a>; title="a, <b>; rel=next"; rel=preload', [("/a", ("preload",), False)]),
        ("</a>; rel=preload; rel=next", [("/a", ("preload",), False)]),
        ("</a>; rel=preload; crossorigin", [("/a", ("preload",), False)]),
        ("</a>; rel=preload; anchor=/b", [("/a", ("preload",), True)]),
        ("</a>", [("/a", (), False)]),
        ("<>; rel=preload", [("", ("preload",), False)]),
        (", ,</a>; rel=next,,</b>; rel=next,", [("/a", ("next",), False), ("/b", ("next",), False)]),
        ("</a>; rel=preload, nonsense, </b>; rel=preload", [("/a", ("preload",), False)]),
        ("/a; rel=preload", []),
        ("</a; rel=preload", []),
        ('</a>; rel="preload', []),
        ("", []),
    ],
)  # fmt: skip
def test_links_are_read_up_to_the_first_that_is_none(
    value: str, found: list[tuple[str, tuple[str, ...], bool]]
) -> None:
    assert [(link.target, link.relations, link.anchored) for link in links(value)] == found


@given(
    st.lists(st.tuples(TARGETS, RELATIONS, st.booleans()), min_size=1, max_size=5),
    st.sampled_from([",", ", ", " , "]),
)
def test_what_was_written_is_read(written: list[tuple[str, list[str], bool]], separator: str) -> None:
    texts = [
        f'<{target}>; rel="{" ".join(rels)}"' + ("; anchor=/" if anchored else "")
        for target, rels, anchored in written
    ]
    assert links(separator.join(texts)) == tuple(
        Link(target, tuple(rels), anchored, text)
        for (target, rels, anchored), text in zip(written, texts, strict=True)
    )


@given(st.text(st.characters(max_codepoint=255), max_size=60) | st.text('<>;=", relpoad/\\', max_size=60))
def test_each_link_stands_in_the_field_and_reads_the_same_alone(value: str) -> None:
    for link in links(value):
        assert link.text in value
        assert links(link.text) == (link,)
