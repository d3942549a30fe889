"""What of a new description breaks those who wrote against the old one.

Requests may only be taken more liberally, answers given more strictly: see docs/concepts/errors.md for callers' side.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]

_METHODS = ("get", "put", "post", "delete", "patch")
_UPPER = ("maximum", "maxLength", "maxItems", "exclusiveMaximum")
_LOWER = ("minimum", "minLength", "minItems", "exclusiveMinimum")
_ANY = "any type"


def breaking(old: Schema, new: Schema) -> list[str]:
    """One line for each; empty when every caller of the old one can go on."""
    compared = _Compared(old, new)
    return list(dict.fromkeys([*compared.paths(), *compared.messages(), *compared.problems()]))


@dataclass(frozen=True, slots=True)
class _Compared:
    old: Schema
    new: Schema
    seen: set[tuple[str, str, bool]] = field(default_factory=set)

    def paths(self) -> Iterator[str]:
        """Operations by their method and path, whatever parameters of paths are called."""
        now = {_shape(path): operations for path, operations in self.new.get("paths", {}).items()}
        for path, operations in self.old.get("paths", {}).items():
            for method in _METHODS:
                if method in operations:
                    where = f"{method.upper()} {path}"
                    after = now.get(_shape(path), {}).get(method)
                    yield from (
                        [f"{where}: removed"] if after is None else self._operation(where, operations[method], after)
                    )

    def messages(self) -> Iterator[str]:
        """What webhooks are sent is an answer to those who receive it."""
        for name, operations in self.old.get("webhooks", {}).items():
            after = self.new.get("webhooks", {}).get(name)
            if after is None:
                yield f"webhook {name}: removed"
                continue
            before, now = (_content(one["post"].get("requestBody", {})) for one in (operations, after))
            yield from self._contents(f"webhook {name}", before, now, is_request=False)

    def problems(self) -> Iterator[str]:
        """Callers tell errors apart by their types."""
        now = self.new.get("components", {}).get("examples", {})
        for name in self.old.get("components", {}).get("examples", {}):
            if name not in now:
                yield f"problem {name}: removed"

    def _operation(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            yield f"{where}: operationId {old.get('operationId')} became {new.get('operationId')}"
        for scheme in old.get("security", ()):
            if new.get("security") and scheme not in new["security"]:
                yield f"{where}: {', '.join(scheme)} is not taken any more"
        if new.get("security") and not old.get("security"):
            yield f"{where}: needs a key now"
        yield from self._parameters(where, old, new)
        if not old.get("requestBody", {}).get("required") and new.get("requestBody", {}).get("required"):
            yield f"{where}: needs a body now"
        bodies = (_content(one.get("requestBody", {})) for one in (old, new))
        yield from self._contents(f"{where} body", *bodies, is_request=True)
        yield from self._answers(where, old.get("responses", {}), new.get("responses", {}))

    def _parameters(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        before, now = (_parameters(one) for one in (old, new))
        for key, its in before.items():
            name = f"{where} parameter {key[1]}"
            if key not in now:
                yield f"{name}: removed"
                continue
            if now[key].get("required") and not its.get("required"):
                yield f"{name}: required now"
            yield from self._request(name, its.get("schema", {}), now[key].get("schema", {}))
        for key, its in now.items():
            if key not in before and its.get("required"):
                yield f"{where} parameter {key[1]}: required now"

    def _answers(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        for status, response in old.items():
            if not status.startswith("2"):
                continue
            if status not in new:
                yield f"{where}: answers {status} no more"
                continue
            yield from self._contents(f"{where} {status}", _content(response), _content(new[status]), is_request=False)
            for header in response.get("headers", {}):
                if header not in new[status].get("headers", {}):
                    yield f"{where} {status}: header {header} removed"
        for status in new:
            if status.startswith("2") and status not in old:
                yield f"{where}: answers {status} now"

    def _contents(self, where: str, old: Schema, new: Schema, *, is_request: bool) -> Iterator[str]:
        compare = self._request if is_request else self._answer
        for kind, media in old.items():
            if kind not in new:
                yield f"{where}: {kind} removed"
            else:
                yield from compare(where, media.get("schema", {}), new[kind].get("schema", {}))

    def _request(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Whatever was taken is taken."""
        yield from self._schemas(where, old, new, is_request=True)

    def _answer(self, where: str, old: Schema, new: Schema) -> Iterator[str]:
        """Whatever was promised is promised."""
        yield from self._schemas(where, old, new, is_request=False)

    def _schemas(self, where: str, old: Schema, new: Schema, *, is_request: bool) -> Iterator[str]:
        named = (old.get("$ref", ""), new.get("$ref", ""), is_request)
        if any(named[:2]):
            if named in self.seen:
                return
            self.seen.add(named)
        before, now = _alternatives(old, self.old), _alternatives(new, self.new)
        narrow, wide = (before, now) if is_request else (now, before)
        for kind in narrow:
            if not _fits(kind, wide):
                yield f"{where}: {kind} is not taken any more" if is_request else f"{where}: can be {kind} now"
        for kind in before:
            if kind in now:
                yield from self._same_kind(where, before[kind], now[kind], is_request=is_request)

    def _same_kind(self, where: str, old: Schema, new: Schema, *, is_request: bool) -> Iterator[str]:
        for value in _values(old):
            if _values(new) and value not in _values(new):
                yield f"{where}: value {value!r} removed"
        if is_request:
            yield from _limits(where, old, new)
        yield from self._fields(where, old, new, is_request=is_request)
        if "items" in old and "items" in new:
            yield from self._schemas(f"{where}[]", old["items"], new["items"], is_request=is_request)

    def _fields(self, where: str, old: Schema, new: Schema, *, is_request: bool) -> Iterator[str]:
        before, now = old.get("properties", {}), new.get("properties", {})
        for name, its in before.items():
            if name in now:
                yield from self._schemas(f"{where}.{name}", its, now[name], is_request=is_request)
            else:
                yield f"{where}.{name}: removed"
        was, is_now = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted((is_now - was) if is_request else (was - is_now) & set(now)):
            yield f"{where}.{name}: {'required now' if is_request else 'may be missing now'}"
        if is_request and old.get("additionalProperties", True) is not False is new.get("additionalProperties", True):
            yield f"{where}: unknown fields are refused now"


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def _content(holder: Schema) -> Schema:
    content: Schema = holder.get("content", {})
    return content


def _parameters(operation: Schema) -> dict[tuple[str, str], Schema]:
    found = {(one["in"], one["name"].lower()): one for one in operation.get("parameters", ())}
    places = [key for key in found if key[0] == "path"]
    for i, key in enumerate(places):  # what a part of a path is called is nobody's concern
        found["path", f"{i + 1} of the path"] = found.pop(key)
    return found


def _alternatives(schema: Schema, document: Schema) -> dict[str, Schema]:
    """What a value can be, by JSON type. Two of one type are told apart by their names."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _alternatives(document["components"]["schemas"][name], document)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            found: dict[str, Schema] = {}
            for one in schema[several]:
                for kind, its in _alternatives(one, document).items():
                    found[f"{kind} {its.get('title', '')}".strip() if kind in found else kind] = its
            return found
    kinds = schema.get("type")
    if kinds is None and _values(schema):
        kinds = sorted({_kind(value) for value in _values(schema)})
    return dict.fromkeys([kinds] if isinstance(kinds, str) else kinds or [_ANY], schema)


def _fits(kind: str, wide: Mapping[str, Schema]) -> bool:
    return kind in wide or _ANY in wide or (kind == "integer" and "number" in wide)


def _values(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _kind(value: object) -> str:
    names = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    return names.get(type(value), "object")


def _limits(where: str, old: Schema, new: Schema) -> Iterator[str]:
    if _values(new) and not _values(old):
        yield f"{where}: only {', '.join(map(str, _values(new)))} now"
    for name in _UPPER:
        if name in new and new[name] < old.get(name, float("inf")):
            yield f"{where}: {name} is {new[name]} now"
    for name in _LOWER:
        if name in new and new[name] > old.get(name, 0 if name in ("minLength", "minItems") else float("-inf")):
            yield f"{where}: {name} is {new[name]} now"
    for name in ("pattern", "format"):
        if name in new and new[name] != old.get(name):
            yield f"{where}: {name} is {new[name]} now"
