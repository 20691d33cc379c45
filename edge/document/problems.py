"""What is wrong with a document, one problem a field: where, what was found, what would be accepted."""

from __future__ import annotations

import difflib
import json
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from types import UnionType

from pydantic import BaseModel, ValidationError

SECRET_WORDS = ("token", "password", "secret", "key")
LONGEST_VALUE = 80

_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "missing": "a value",
    "json_invalid": "JSON",
    "json_type": "JSON",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One field's refusal. `field` is its path, like `sites.0.origins.1.url`; "" is the document itself."""

    field: str
    got: str
    expected: str

    def __str__(self) -> str:
        return f"{self.field or 'document'}: got {self.got}, expected {self.expected}"


class Refused(ValueError):
    """A document that is refused whole."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def problems_of(error: ValidationError, model: type[BaseModel]) -> tuple[Problem, ...]:
    """`error`, raised while `model` was validated, as problems an operator can act on."""
    found = []
    details = error.errors(include_url=False)
    for detail in details:
        place = detail["loc"]
        if detail["type"] == "too_short" and any(_is_inside(other["loc"], place) for other in details):
            continue  # it counts only the items that were right
        path = ".".join(str(step) for step in place)
        got = "nothing" if detail["type"] == "missing" else _shown(detail["input"], path)
        found.append(Problem(path, got, _expected(dict(detail), place, model)))
    return tuple(found)


def _is_inside(place: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _shown(value: object, path: str) -> str:
    last = path.rsplit(".", 1)[-1].lower()
    if isinstance(value, str) and _is_secret(last):
        return "a value that is not shown"
    try:
        text = json.dumps(_without_secrets(value), ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_WORDS)


def _without_secrets(value: object) -> object:
    """`value` with what is called like a secret, at any depth, left out."""
    match value:
        case dict():
            return {
                name: "…" if isinstance(inner, str) and _is_secret(str(name)) else _without_secrets(inner)
                for name, inner in value.items()
            }
        case list() | tuple():
            return [_without_secrets(inner) for inner in value]
        case _:
            return value


def _expected(detail: dict[str, typing.Any], place: tuple[int | str, ...], model: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return _known_keys(model, place)
        case "value_error":
            return str(context["error"])
        case "literal_error" | "enum":
            return f"one of {context['expected']}"
        case "greater_than_equal":
            return f"{context['ge']} or more"
        case "greater_than":
            return f"more than {context['gt']}"
        case "less_than_equal":
            return f"{context['le']} or less"
        case "less_than":
            return f"less than {context['lt']}"
        case "too_short" | "too_long":
            bound = "at least" if kind == "too_short" else "at most"
            return f"a list of {bound} {context.get('min_length', context.get('max_length'))}"
        case "string_too_short" | "string_too_long":
            bound = "at least" if kind == "string_too_short" else "at most"
            return f"text of {bound} {context.get('min_length', context.get('max_length'))} characters"
        case "string_pattern_mismatch":
            return f"text that matches {context['pattern']}"
        case _:
            return _TYPES.get(kind, str(detail["msg"]))


def _known_keys(model: type[BaseModel], place: tuple[int | str, ...]) -> str:
    inside: type[BaseModel] | None = model
    for step in place[:-1]:
        if isinstance(step, str) and inside is not None and step in inside.model_fields:
            inside = _model_in(inside.model_fields[step].annotation)
    if inside is None:
        return "no such key"
    names = [field.alias or name for name, field in inside.model_fields.items()]
    near = difflib.get_close_matches(str(place[-1]), names, 1)
    if near:
        return f"no such key; did you mean {near[0]}?"
    return f"one of {', '.join(names)}"


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model that `annotation` holds: itself, optional, or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, UnionType) or typing.get_origin(annotation) is not None:
        for argument in typing.get_args(annotation):
            found = _model_in(argument)
            if found is not None:
                return found
    return None
