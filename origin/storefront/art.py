"""Pictures of the goods, drawn here: one SVG each, from a shape, a shade and the product's own name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from xml.sax.saxutils import escape

from origin.storefront.goods import Good

SIZE = 480
CREAM = "#f6e6c8"


def picture(good: Good) -> bytes:
    """The product's picture, the same bytes each time."""
    seed = hashlib.sha256(good.slug.encode()).digest()
    shape = SHAPES[good.art](good.shade, seed)
    light, dark = mixed(good.shade, "#fff8ec", 0.82), mixed(good.shade, "#fff8ec", 0.6)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" role="img">'
        f"<title>{escape(good.names['id'])}</title>"
        f'<defs><radialGradient id="g" cx=".5" cy=".38" r=".75"><stop offset="0" stop-color="{light}"/>'
        f'<stop offset="1" stop-color="{dark}"/></radialGradient>{_motif(good.shade, seed)}</defs>'
        f'<rect width="{SIZE}" height="{SIZE}" fill="url(#g)"/>'
        f'<rect width="{SIZE}" height="{SIZE}" fill="url(#m)" opacity=".16"/>'
        f'<ellipse cx="240" cy="404" rx="138" ry="17" fill="{mixed(good.shade, "#000000", 0.45)}" opacity=".25"/>'
        f"{shape}</svg>"
    ).encode()


def mixed(one: str, other: str, share: float) -> str:
    """`one` with `share` of `other`, as `#rrggbb`."""
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def _motif(shade: str, seed: bytes) -> str:
    """A repeated ornament in the background: kawung, parang or truntum, by the product."""
    ink = mixed(shade, "#000000", 0.2)
    petals = "".join(
        f'<ellipse cx="24" cy="11" rx="6" ry="11" transform="rotate({turn} 24 24)"/>'
        for turn in (45, 135, 225, 315)
    )
    motifs = (
        f'<g fill="{ink}">{petals}</g>',
        f'<path d="M0 48C12 30 36 18 48 0M-12 36C0 18 24 6 36-12M12 60C24 42 48 30 60 12" fill="none" '
        f'stroke="{ink}" stroke-width="6"/>',
        f'<g fill="none" stroke="{ink}" stroke-width="2"><circle cx="24" cy="24" r="4"/>'
        f'<path d="M24 8v10M24 30v10M8 24h10M30 24h10M13 13l7 7M28 28l7 7M35 13l-7 7M20 28l-7 7"/></g>',
    )
    turn = 45 if seed[1] & 1 else 0
    return (
        f'<pattern id="m" width="48" height="48" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate({turn})">{motifs[seed[0] % len(motifs)]}</pattern>'
    )


def _label(x: int, y: int, width: int, height: int, shade: str, seed: bytes) -> str:
    cream = "#fdf6e7"
    emblem = EMBLEMS[seed[3] % len(EMBLEMS)]
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{cream}"/>'
        f'<g transform="translate({x + width / 2} {y + (height - 34) / 2})" fill="{shade}">{emblem}</g>'
        f'<path d="M{x + 18} {y + height - 34}h{width - 36}M{x + 32} {y + height - 20}h{width - 64}" '
        f'stroke="{shade}" stroke-width="5" stroke-linecap="round" opacity=".75"/>'
    )


EMBLEMS = (
    '<path d="M0-22 15 0 0 22-15 0z"/>',
    '<path d="M-30 18-10-16 2 2 10-8 30 18z"/>',
    '<path d="M0-24q22 18 0 46-22-28 0-46z"/><path d="M-20-6q16 4 18 28-20-4-18-28zM20-6Q4-2 2 22q20-4 18-28z"/>',
    '<path d="M0-22 6-6 22-6 9 4 14 20 0 10-14 20-9 4-22-6-6-6z"/>',
)


def _bag(shade: str, seed: bytes) -> str:
    dark = mixed(shade, "#000000", 0.3)
    beans = "".join(
        f'<g transform="translate({70 + seed[at] % 60 + at * 66} {392 + seed[at + 4] % 16}) rotate({seed[at] * 3})">'
        f'<ellipse rx="17" ry="12" fill="{dark}"/><path d="M-15 0q15-8 30 0" fill="none" '
        f'stroke="{mixed(shade, "#ffffff", 0.35)}" stroke-width="2.5"/></g>'
        for at in range(5)
    )
    return (
        f'<path d="M146 128l18-30h152l18 30 12 270q-106 18-212 0z" fill="{shade}"/>'
        f'<path d="M146 128l18-30h152l18 30z" fill="{dark}"/>'
        f'<path d="M146 128h188" stroke="{mixed(shade, "#ffffff", 0.4)}" stroke-width="4" stroke-dasharray="9 7"/>'
        f"{_label(176, 186, 128, 136, shade, seed)}{beans}"
    )


def _cup(shade: str, seed: bytes) -> str:
    dark = mixed(shade, "#000000", 0.3)
    steam = "".join(
        f'<path d="M{190 + 50 * at} 150q-22-26 0-50t0-50" fill="none" stroke="#fff" stroke-width="8" '
        f'stroke-linecap="round" opacity=".7"/>'
        for at in range(3)
    )
    return (
        f'{steam}<ellipse cx="240" cy="376" rx="150" ry="28" fill="{dark}"/>'
        f'<ellipse cx="240" cy="368" rx="150" ry="26" fill="{mixed(shade, "#ffffff", 0.3)}"/>'
        f'<path d="M336 224q70-12 66 46t-88 50" fill="none" stroke="{dark}" stroke-width="20"/>'
        f'<path d="M140 200h200q6 150-60 164h-80q-66-14-60-164z" fill="{shade}"/>'
        f'<ellipse cx="240" cy="200" rx="100" ry="22" fill="{dark}"/><ellipse cx="240" cy="203" rx="86" ry="15" '
        f'fill="#2a1a12"/><path d="M158 268q82 26 164 0" fill="none" stroke="#fdf6e7" stroke-width="6" '
        f'stroke-dasharray="3 12" stroke-linecap="round"/>'
    )


def _cloth(shade: str, seed: bytes, motif: str) -> str:
    return (
        f'<clipPath id="c"><path d="M112 110h256v270q-30 16-64 4t-64 6-64-4-64 2z"/></clipPath>'
        f'<g clip-path="url(#c)"><path d="M112 110h256v290H112z" fill="{shade}"/>{motif}'
        f'<path d="M176 130l-10 270M304 130l10 270" stroke="#000" stroke-width="18" opacity=".08"/></g>'
        f'<path d="M112 110h256v24H112z" fill="{mixed(shade, "#000000", 0.35)}"/>'
        f'<path d="M92 104h296" stroke="#8a6a3f" stroke-width="14" stroke-linecap="round"/>'
    )


def _parang(shade: str, seed: bytes) -> str:
    """Slanting rows of the broken blade, with lozenges between them."""
    rows = "".join(
        f'<g transform="translate({-120 + 62 * at} 0)"><path d="M96 420 336 100" stroke="{CREAM}" stroke-width="3"/>'
        + "".join(
            f'<path transform="translate({118 + 27 * step} {392 - 36 * step}) rotate(37)" fill="{CREAM}" '
            f'd="M0-15c12 0 16 10 12 20-2 6-10 8-12 2-1-4 3-6 5-4-1-5-9-4-11 2-2-8 0-20 6-20z"/>'
            for step in range(9)
        )
        + "</g>"
        for at in range(8)
    )
    return _cloth(shade, seed, rows)


def _megamendung(shade: str, seed: bytes) -> str:
    """Clouds that promise rain, each a fan of outlines."""
    puffs = "M-44 20c-22-4-20-34 2-34 2-24 38-28 44-6 20-8 36 14 22 28 8 8 0 16-8 12"
    clouds = "".join(
        f'<g transform="translate({x} {y}) scale({size})">'
        + "".join(
            f'<path transform="scale({1 - ring * 0.24})" d="{puffs}h-52z" fill="{mixed(shade, "#ffffff", 0.2 + 0.24 * ring)}" '
            f'stroke="{CREAM}" stroke-width="2.5"/>'
            for ring in range(4)
        )
        + "</g>"
        for x, y, size in (
            (172, 184, 1.05), (306, 208, 1.2), (206, 282, 1.3), (338, 312, 0.95), (150, 362, 0.9), (276, 372, 1.05),
        )
    )  # fmt: skip
    return _cloth(shade, seed, clouds)


def _kerchiefs(shade: str, seed: bytes) -> str:
    """Three folded squares with kawung petals."""
    petals = "".join(
        f'<ellipse cx="0" cy="-9" rx="5" ry="9" transform="rotate({turn})"/>' for turn in (45, 135, 225, 315)
    )
    shades = (mixed(shade, "#b8641b", 0.7), mixed(shade, "#1f4f7a", 0.75), shade)
    return "".join(
        f'<g transform="translate({150 + 24 * at} {116 + 52 * at}) rotate({-8 + 7 * at} 90 90)">'
        f'<rect width="180" height="180" rx="8" fill="{one}"/>'
        f'<rect x="10" y="10" width="160" height="160" fill="none" stroke="{CREAM}" stroke-width="3"/>'
        + "".join(
            f'<g transform="translate({34 + 37 * (cell % 4)} {34 + 37 * (cell // 4)})" fill="{CREAM}">{petals}</g>'
            for cell in range(16)
        )
        + '<path d="M0 180 180 0v172q0 8-8 8z" fill="#000" opacity=".1"/></g>'
        for at, one in enumerate(shades)
    )


def _scarf(shade: str, seed: bytes) -> str:
    stripes = "".join(
        f'<path d="M176 {132 + at * 22}h128" stroke="{mixed(shade, "#ffd98a", (seed[at] % 90) / 100)}" stroke-width="12"/>'
        for at in range(10)
    )
    fringe = "".join(
        f'<path d="M{180 + 12 * at} 366v30" stroke="{mixed(shade, "#000000", 0.2)}" stroke-width="4"/>'
        for at in range(11)
    )
    return (
        f'<path d="M176 112q64-40 128 0v254H176z" fill="{shade}"/>{stripes}{fringe}'
        f'<path d="M176 112q64-40 128 0" fill="none" stroke="{mixed(shade, "#000000", 0.35)}" stroke-width="10"/>'
    )


def _pouch(shade: str, seed: bytes) -> str:
    crisps = "".join(
        f'<ellipse cx="{172 + (seed[at] % 130)}" cy="{300 + seed[at + 3] % 60}" rx="{26 + seed[at] % 10}" ry="17" '
        f'transform="rotate({seed[at]} {172 + (seed[at] % 130)} {300 + seed[at + 3] % 60})" '
        f'fill="{mixed("#e7b35a", shade, (seed[at] % 40) / 100)}" stroke="#a96f22" stroke-width="2"/>'
        for at in range(7)
    )
    return (
        f'<path d="M140 112q100-20 200 0l12 276q-112 22-224 0z" fill="{shade}"/>'
        f'<path d="M140 112q100-20 200 0l2 26q-102-18-204 0z" fill="{mixed(shade, "#000000", 0.3)}"/>'
        f'<path d="M160 286q80-26 160 0l8 84q-88 14-176 0z" fill="#fff7e6"/>{crisps}{_label(180, 158, 120, 106, shade, seed)}'
    )


def _box(shade: str, seed: bytes) -> str:
    return (
        f'<path d="M116 196l124-48 124 48-124 50z" fill="{mixed(shade, "#ffffff", 0.35)}"/>'
        f'<path d="M116 196l124 50v150l-124-52z" fill="{shade}"/>'
        f'<path d="M364 196l-124 50v150l124-52z" fill="{mixed(shade, "#000000", 0.22)}"/>'
        f'<path d="M178 172l124 49v40l-22 9-124-50v-38z" fill="#a83226"/>'
        f'<path d="M140 268l72 30M140 296l72 30" stroke="#fdf6e7" stroke-width="9" stroke-linecap="round"/>'
    )


def _jar(shade: str, seed: bytes) -> str:
    bits = "".join(
        f'<circle cx="{172 + seed[at] % 136}" cy="{232 + seed[at + 9] % 136}" r="{4 + seed[at] % 6}" '
        f'fill="{mixed(shade, ("#ffe08a", "#3f6b2f", "#5c1207")[at % 3], 0.7)}"/>'
        for at in range(18)
    )
    return (
        f'<path d="M152 176q-16 12-16 34v150q0 36 36 36h136q36 0 36-36V210q0-22-16-34z" fill="{shade}"/>{bits}'
        f'<path d="M152 176q-16 12-16 34v150q0 36 36 36h10V176z" fill="#fff" opacity=".22"/>'
        f'<rect x="144" y="116" width="192" height="62" rx="12" fill="#d8b04a"/>'
        f'<path d="M144 136h192M144 156h192" stroke="#a77f22" stroke-width="3"/>{_label(172, 232, 136, 112, shade, seed)}'
    )


def _tube(shade: str, seed: bytes) -> str:
    pods = "".join(
        f'<path d="M{176 + 28 * at} 372q{seed[at] % 24 - 12}-130 {seed[at + 1] % 16 - 8}-{232 + seed[at] % 20}" '
        f'fill="none" stroke="{mixed(shade, "#6b4a2f", (seed[at] % 50) / 100)}" stroke-width="13" stroke-linecap="round"/>'
        for at in range(5)
    )
    return (
        f'<rect x="146" y="112" width="188" height="290" rx="42" fill="#fff" opacity=".45"/>{pods}'
        f'<rect x="146" y="112" width="188" height="290" rx="42" fill="none" stroke="#fff" stroke-width="6"/>'
        f'<rect x="160" y="92" width="160" height="44" rx="10" fill="#a5763d"/>'
        f'<path d="M150 262h180v54H150z" fill="#fdf6e7"/><path d="M176 290h128" stroke="{shade}" stroke-width="7" '
        f'stroke-linecap="round"/>'
    )


def _basket(shade: str, seed: bytes) -> str:
    dark = mixed(shade, "#000000", 0.28)
    rows = "".join(
        f'<path d="M{118 + 9 * row} {234 + 26 * row}q{122 - 9 * row} 30 {244 - 18 * row} 0" fill="none" '
        f'stroke="{dark}" stroke-width="9" stroke-dasharray="22 12" stroke-dashoffset="{row % 2 * 17}"/>'
        for row in range(6)
    )
    return (
        f'<path d="M140 226q0-136 100-136t100 136" fill="none" stroke="{dark}" stroke-width="18"/>'
        f'<path d="M106 214h268l-40 170q-94 28-188 0z" fill="{shade}"/>{rows}'
        f'<ellipse cx="240" cy="214" rx="134" ry="26" fill="{dark}"/><ellipse cx="240" cy="216" rx="116" ry="17" '
        f'fill="{mixed(shade, "#000000", 0.55)}"/>'
    )


def _wayang(shade: str, seed: bytes) -> str:
    return (
        f'<path d="M240 92v312" stroke="#7a5a2f" stroke-width="9" stroke-linecap="round"/>'
        f'<path d="M212 96c44-20 80 8 76 44-2 20-16 26-14 40 40 16 62 60 52 104-8 34-38 58-74 62-54 4-94-30-98-78-4-42 '
        f'18-72 50-88-8-14-22-18-26-38-4-22 10-38 34-46z" fill="{shade}"/>'
        f'<path d="M288 142c26-2 44 4 54 18-20 2-40 0-58-4z" fill="{shade}"/>'
        f'<circle cx="256" cy="130" r="8" fill="#f2c14e"/><path d="M262 160q14 4 22 0" stroke="#f2c14e" stroke-width="4" '
        f'fill="none"/><path d="M176 250q62 42 136 0M172 282q68 44 146 2M190 318q56 26 108 0" fill="none" '
        f'stroke="#f2c14e" stroke-width="7" stroke-dasharray="4 9" stroke-linecap="round"/>'
        f'<path d="M170 236l-62 58 14 14 66-40z" fill="{shade}"/><path d="M108 294l-34 96" stroke="#7a5a2f" '
        f'stroke-width="6" stroke-linecap="round"/><path d="M200 106q-2-38 34-46-6 26-2 36z" fill="#a83226"/>'
    )


def _pot(shade: str, seed: bytes) -> str:
    light = mixed(shade, "#ffffff", 0.3)
    return (
        f'<path d="M208 84h64l-8 72q96 34 96 132 0 104-120 104T120 288q0-98 96-132z" fill="{shade}"/>'
        f'<path d="M352 246q56-30 66-66" fill="none" stroke="{shade}" stroke-width="30" stroke-linecap="round"/>'
        f'<path d="M204 84h72" stroke="{mixed(shade, "#000000", 0.35)}" stroke-width="18" stroke-linecap="round"/>'
        f'<path d="M134 248q106 40 212 0M126 288q114 42 228 0" fill="none" stroke="{light}" stroke-width="8" '
        f'stroke-dasharray="18 12"/><path d="M166 196q-26 40-18 96" fill="none" stroke="#fff" stroke-width="12" '
        f'stroke-linecap="round" opacity=".3"/>'
    )


def _lamp(shade: str, seed: bytes) -> str:
    ribs = "".join(
        f'<path d="M240 150Q{130 + 22 * at} 236 {150 + 18 * at} 330" fill="none" '
        f'stroke="{mixed(shade, "#000000", 0.35)}" stroke-width="5"/>'
        for at in range(11)
    )
    return (
        f'<circle cx="240" cy="286" r="176" fill="#fff3c4" opacity=".55"/><path d="M240 0v146" stroke="#4a3a28" '
        f'stroke-width="6"/><path d="M240 146q-106 40-106 186 106 34 212 0 0-146-106-186z" fill="{shade}"/>{ribs}'
        f'<path d="M138 300q102 32 204 0M160 232q80 26 160 0" fill="none" stroke="{mixed(shade, "#000000", 0.35)}" '
        f'stroke-width="6"/><ellipse cx="240" cy="336" rx="104" ry="18" fill="#fff6d8"/>'
    )


def _tub(shade: str, seed: bytes) -> str:
    return (
        f'<path d="M110 216h260l-18 150q-112 44-224 0z" fill="{mixed(shade, "#ffffff", 0.5)}"/>'
        f'<path d="M124 150q40-52 116-52t116 52l14 66H110z" fill="{shade}"/>'
        f'<ellipse cx="240" cy="216" rx="130" ry="26" fill="{mixed(shade, "#000000", 0.2)}"/>'
        f'<path d="M140 200q30-70 100-80 74 8 100 80-100 34-200 0z" fill="{mixed(shade, "#ffffff", 0.2)}"/>'
        f'<path d="M168 176q72-48 144 0" fill="none" stroke="#fff" stroke-width="7" stroke-linecap="round" opacity=".6"/>'
        f"{_label(178, 262, 124, 96, shade, seed)}"
    )


def _bottle(shade: str, seed: bytes) -> str:
    level = 214 + seed[3] % 40
    return (
        f'<path d="M206 120v54q-48 26-48 82v112q0 30 30 30h104q30 0 30-30V256q0-56-48-82v-54z" fill="#fff" opacity=".55"/>'
        f'<path d="M162 {level}q78 18 156 0v154q0 26-26 26H188q-26 0-26-26z" fill="{shade}"/>'
        f'<rect x="198" y="78" width="84" height="50" rx="9" fill="#6b4a2a"/>'
        f'<path d="M176 250q-4 60 0 110" stroke="#fff" stroke-width="10" stroke-linecap="round" opacity=".5"/>'
        f"{_label(184, 268, 112, 98, shade, seed)}"
    )


def _soap(shade: str, seed: bytes) -> str:
    bars = "".join(
        f'<g transform="translate({72 + 34 * at} {292 - 82 * at}) rotate({seed[at] % 9 - 4} 130 40)">'
        f'<rect width="262" height="86" rx="24" fill="{mixed(shade, "#ffffff", 0.16 * at)}"/>'
        f'<rect x="96" width="74" height="86" fill="#fdf6e7"/><path d="M133 18l14 24-14 24-14-24z" fill="{shade}"/></g>'
        for at in range(3)
    )
    return f'{bars}<path d="M344 120q36-64 70-74-4 48-58 84z" fill="{mixed(shade, "#1d5a2a", 0.6)}"/>'


SHAPES: dict[str, Callable[[str, bytes], str]] = {
    "bag": _bag,
    "cup": _cup,
    "parang": _parang,
    "megamendung": _megamendung,
    "kerchiefs": _kerchiefs,
    "scarf": _scarf,
    "pouch": _pouch,
    "box": _box,
    "jar": _jar,
    "tube": _tube,
    "basket": _basket,
    "wayang": _wayang,
    "pot": _pot,
    "lamp": _lamp,
    "tub": _tub,
    "bottle": _bottle,
    "soap": _soap,
}
