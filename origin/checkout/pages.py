"""The checkout's pages as HTML, for shops without their own: no script needed, none but ours and that of a
provider whose fields a page shows."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import segno
from babel import Locale
from babel.numbers import format_currency, format_decimal
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from origin.checkout.order import Method
from origin.checkout.problems import Problem
from origin.checkout.providers.contract import Hosted
from origin.checkout.qris import NotQris, tags
from origin.checkout.records import Payment, Session
from origin.checkout.settings import ShippingOption
from origin.contract import PRIVATE, Answer, CachePolicy, Money
from origin.money import decimal

HERE = Path(__file__).parent
STATIC = HERE / "static"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
FOREVER = CachePolicy(seconds=31_536_000, browser=31_536_000, immutable=True)
LANGUAGES = ("id", "en")
FIELDS = (  # id, type, autocomplete
    ("email", "email", "email"),
    ("name", "text", "name"),
    ("line1", "text", "address-line1"),
    ("city", "text", "address-level2"),
    ("postal_code", "text", "postal-code"),
    ("country", "text", "country"),
    ("phone", "tel", "tel"),
)
OPTIONAL = ("postal_code", "phone")
NO_COUNTRIES = ("EU", "EZ", "UN", "ZZ", "QO", "XA", "XB")  # that CLDR names too


class Pages:
    """Renders. `forms_lead_to` are origins of providers' pages that are not HTTPS; `seal` signs a viewing."""

    def __init__(
        self,
        prefix: str,
        forms_lead_to: Sequence[str],
        shipping: Sequence[ShippingOption],
        seal: Callable[[str], str],
        hosted: Mapping[str, Hosted],
    ) -> None:
        self._prefix = prefix
        self._seal = seal
        self._hosted = hosted
        self._shipping = shipping
        self._texts: dict[str, dict[str, str]] = tomllib.loads(
            (HERE / "data" / "texts.toml").read_text(encoding="utf-8")
        )
        files = {*STATIC.iterdir(), *(one.adapter for one in hosted.values())}
        self.files = {_hashed(path): path.read_bytes() for path in sorted(files)}
        self._names = {f"{name.split('.')[0]}{Path(name).suffix}": name for name in self.files}
        self._jinja = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        self._forms = ("'self'", "https:", *forms_lead_to)
        self._fields = _defences(self._forms)

    def show(
        self,
        session: Session,
        payment: Payment | None,
        methods: Mapping[Method, Sequence[str]],
        note: str | None = None,
        status: int = 200,
        *,
        fields: bool = True,
    ) -> Answer:
        """The session as it is: to be paid, being paid, or done with. Without `fields` providers' own pages
        are led to alone."""
        if session.state in ("open", "failed"):
            return self._choose(session, methods, note, status, fields=fields and bool(self._hosted))
        if session.state == "pending" and payment is not None:
            return self._pending(session, payment)
        return self._done(session)

    def problem(self, language: str, problem: Problem, back: str) -> Answer:
        """Why a basket can't be paid, in the visitor's words."""
        said, changes = self.said(language, problem), self._changes(language, problem)
        return self.message(language, "title", said, back, problem.status, changes)

    def said(self, language: str, problem: Problem) -> str:
        """A refusal in the visitor's words."""
        texts = self._texts[language]
        match problem.kind:
            case "price-changed":
                return texts["prices_changed"]
            case "out-of-stock":
                return texts["out_of_stock"].format(**problem.more)
            case "declined":
                return texts["failed_text"]
            case _ if problem.status >= 500 or problem.status == 409:
                return texts["try_again"]
            case _:
                return texts["wrong"].format(detail=problem.detail)

    def _changes(self, language: str, problem: Problem) -> Sequence[str]:
        """Every product whose price is another than its page said, with both."""
        if problem.kind != "price-changed":
            return ()
        texts, currency, names = self._texts[language], problem.more["currency"], problem.more["names"]
        return [
            texts["price_changed"].format(
                name=names[one["sku"]].get(language) or one["sku"],
                shown=written(Money(one["shown"], currency), language),
                now=written(Money(one["now"], currency), language),
            )
            for one in problem.more["prices"]
        ]

    def message(
        self, language: str, heading: str, text: str, back: str, status: int, points: Sequence[str] = ()
    ) -> Answer:
        """A page that says one thing, point by point; `text` is a text's name or the text itself."""
        texts = self._texts[language]
        html = self._render(
            "message.html",
            language,
            heading=texts[heading],
            text=texts.get(text, text),
            points=points,
            back=back,
        )
        return Answer(html, PRIVATE, status=status, fields=self._fields)

    def file(self, name: str) -> Answer | None:
        """A style or a script by its hashed name."""
        known = self.files.get(name)
        return None if known is None else Answer(known, FOREVER, content_type=TYPES[Path(name).suffix])

    def _choose(
        self,
        session: Session,
        methods: Mapping[Method, Sequence[str]],
        note: str | None,
        status: int,
        *,
        fields: bool,
    ) -> Answer:
        texts = self._texts[session.language]
        ways = [
            {
                "value": f"{method}:{channel}" if channel else method,
                "name": texts[method] + (f" · {channel.upper()}" if channel else ""),
            }
            for method, channels in methods.items()
            for channel in (channels or [""])
        ]
        html = self._render(
            "choose.html",
            session.language,
            note=note,
            fields=fields,
            methods=ways,
            contact=self._contact(session),
            shipping=self._sending(session),
            attempt=f"{session.changed_at}",
            seen=self._seal(session.id),
            **self._about(session),
        )
        return Answer(html, PRIVATE, status=status, fields=self._fields)

    def _contact(self, session: Session) -> list[dict[str, Any]]:
        address = session.document.get("shipping_address") or {}
        known = {**address, "email": session.document.get("email")}
        known["country"] = known.get("country") or ("ID" if session.language == "id" else "")
        return [
            {
                "id": id,
                "type": type,
                "autocomplete": autocomplete,
                "required": id not in OPTIONAL,
                "value": known.get(id) or "",
                "choices": self._countries(session.language) if id == "country" else None,
            }
            for id, type, autocomplete in FIELDS
        ]

    def _countries(self, language: str) -> list[tuple[str, str]]:
        names = {str(code): str(name) for code, name in Locale(language).territories.items()}
        reached = {code for one in self._shipping for code in one.countries}
        everywhere = not self._shipping or any(not one.countries for one in self._shipping)
        codes = [code for code in names if len(code) == 2 and code.isalpha() and code not in NO_COUNTRIES]
        return sorted(
            ((code, names[code]) for code in codes if everywhere or code in reached), key=lambda one: one[1]
        )

    def _sending(self, session: Session) -> list[dict[str, Any]]:
        if len(self._shipping) < 2:
            return []
        return [
            {
                "id": one.id,
                "name": one.names.get(session.language) or next(iter(one.names.values())),  # type: ignore[call-overload]
                "price": written(Money(one.price, session.currency), session.language),
                "chosen": session.document.get("shipping") == one.id,
            }
            for one in self._shipping
        ]

    def _pending(self, session: Session, payment: Payment) -> Answer:
        action = payment.action
        picture = ""
        if action is not None and action["kind"] == "code":
            picture = drawn(action["text"])
        hosted = None
        if action is not None and action["kind"] == "fields":
            hosted = self._hosted.get(payment.provider)
        moment = datetime.fromtimestamp(session.until, UTC)
        html = self._render(
            "pending.html",
            session.language,
            action=None if action is None else {"biller": "", **action},
            picture=picture,
            hosted=hosted,
            moment=f"{moment:%Y-%m-%d %H:%M} UTC",
            session=f"{self._prefix}/checkout/sessions/{session.id}",
            **self._about(session),
        )
        return Answer(
            html, PRIVATE, fields=self._fields if hosted is None else _defences(self._forms, hosted)
        )

    def _done(self, session: Session) -> Answer:
        texts = self._texts[session.language]
        text = texts.get(f"{session.state}_text", texts["refunded_text"])
        amount = written(Money(session.refunded, session.currency), session.language)
        over = session.state in ("expired", "cancelled")
        html = self._render(
            "done.html",
            session.language,
            heading=texts[session.state],
            text=text.format(amount=amount),
            back="/" if over else session.document.get("return_path") or "/",
            **self._about(session),
        )
        return Answer(html, PRIVATE, fields=self._fields)

    def _about(self, session: Session) -> dict[str, Any]:
        language = session.language
        return {
            "id": session.id,
            "state": session.state,
            "here": f"{self._prefix}/checkout/{session.id}",
            "total": written(Money(session.total, session.currency), language),
            "lines": [
                {
                    "name": line["names"].get(language) or next(iter(line["names"].values())),
                    "quantity": line.get("quantity", ""),
                    "amount": written(Money(line["amount"], session.currency), language),
                    "included": line.get("included", False),
                }
                for line in session.document["lines"]
            ],
        }

    def _render(self, template: str, language: str, **values: object) -> str:
        return self._jinja.get_template(template).render(
            {"t": self._texts[language], "language": language, "static": self._static, **values}
        )

    def _static(self, name: str) -> str:
        return f"{self._prefix}/checkout/static/{self._names[name]}"


def _defences(forms: Sequence[str], hosted: Hosted | None = None) -> Mapping[str, str]:
    """What browsers hold a page to: our own files, and exactly what a provider's fields need."""
    scripts, connects = ["'self'"], ["'self'"]
    frames = ["'none'"]
    if hosted is not None:
        scripts, connects = [*scripts, *hosted.scripts], [*connects, *hosted.connects]
        frames = [*hosted.frames]
    return {
        "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; "
        f"script-src {' '.join(scripts)}; connect-src {' '.join(connects)}; frame-src {' '.join(frames)}; "
        f"form-action {' '.join(forms)}; base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "same-origin",
    }


def written(amount: Money, language: str) -> str:
    """An amount as it is written in `language`; whole rupiah, for nobody has seen a sen for decades."""
    if amount.currency == "IDR" and amount.minor % 100 == 0:
        return str(format_decimal(amount.minor // 100, "'Rp'\N{NO-BREAK SPACE}#,##0", locale=language))
    return str(format_currency(decimal(amount), amount.currency, locale=language, currency_digits=False))


def drawn(text: str) -> str:
    """A payment code as the URL of a picture; none where its checksum is wrong: it must not be scanned."""
    try:
        tags(text)
    except NotQris:
        return ""
    return str(segno.make(text, error="m").svg_data_uri(scale=4, border=4))


def _hashed(path: Path) -> str:
    return f"{path.stem}.{hashlib.sha256(path.read_bytes()).hexdigest()[:10]}{path.suffix}"
