"""How a runtime API is declared: annotated functions over a read-only context, grouped by trait."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chain.errors import UnknownApi
from chain.runtime.frame import Ctx
from chain.runtime.metadata import Api, ApiMethod
from chain.scale import Codec, Reader, codec, wire_name

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class MethodSpec:
    """A declared method: its arguments and answer in SCALE."""

    function: Callable[..., Any]
    inputs: tuple[tuple[str, Codec[Any]], ...]
    output: Codec[Any]


@dataclass
class RuntimeApi:
    """One trait; `version` is what the runtime version publishes for it."""

    name: str
    version: int = 1
    methods: dict[str, MethodSpec] = field(default_factory=dict)

    def method(self, function: F) -> F:
        """Declare `function(ctx, ...)` as a method: its annotations are its SCALE types."""
        hints = typing.get_type_hints(function, include_extras=True)
        names = list(inspect.signature(function).parameters)[1:]
        inputs = tuple((wire_name(name), codec(hints[name])) for name in names)
        output = codec(hints["return"])
        self.methods[function.__name__] = MethodSpec(function, inputs, output)
        return function

    def describe(self) -> Api:
        """The trait as metadata V15 publishes it."""
        methods = tuple(
            ApiMethod(name, spec.inputs, spec.output, inspect.getdoc(spec.function) or "")
            for name, spec in self.methods.items()
        )
        return Api(self.name, methods)


class RuntimeApis:
    """All traits of a runtime."""

    def __init__(self, *apis: RuntimeApi) -> None:
        self.apis = apis
        self._methods = {
            f"{api.name}_{name}": spec for api in apis for name, spec in api.methods.items()
        }

    def call(self, ctx: Ctx, method: str, args: bytes) -> bytes:
        """Run `Trait_method` on SCALE arguments. Raises UnknownApi and ScaleError."""
        spec = self._methods.get(method)
        if spec is None:
            raise UnknownApi(method)
        reader = Reader(args)
        values = [c.read(reader) for _, c in spec.inputs]
        # Bytes left over are ignored, as a runtime's own decoding does.
        return spec.output.encode(spec.function(ctx, *values))
