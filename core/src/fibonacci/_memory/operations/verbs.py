"""What all verbs stand on: a way to addresses, a store to ask, and a sync voice."""

import inspect
from collections.abc import Callable, Coroutine, Iterator
from copy import copy
from time import monotonic
from typing import Any, Concatenate, ParamSpec, TypeVar

import attrs

from fibonacci._memory.addresses import Addresses
from fibonacci._memory.envelope import Envelope
from fibonacci._memory.expiry import TTL, milliseconds
from fibonacci._memory.store_handle import StoreHandle
from fibonacci.plugin._run import run_sync

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V", bound="Verbs")


@attrs.frozen(kw_only=True)
class Means:
    """What a memory and its views have in common."""

    handle: StoreHandle
    envelope: Envelope
    timeout: float
    """Seconds for one request."""
    default_ttl_ms: int | None
    """Milliseconds that a new record lives if its writer does not say; None: for ever."""


class Verbs:
    """The ground of the classes that hold the verbs."""

    def __init__(self, addresses: Addresses, means: Means) -> None:
        self._means = means
        self._place = addresses.space
        self._whole = addresses.whole
        self._find = addresses.find
        self._pack = means.envelope.pack
        self._unpack = means.envelope.unpack
        self._timeout = means.timeout
        self._handle: Any = means.handle
        # The same object in the sync voice, with the sync handle. What a subclass's repr needs
        # is there by now, as the copy stands in the frames of each traceback.
        self._spoken = copy(self)
        self._spoken._handle = means.handle.sync

    def _deadline(self) -> float:
        return monotonic() + self._timeout

    def _ttl_ms(self, ttl: TTL | None) -> int | None:
        """The ttl of a new record: the one given, else the memory's own, else none."""
        return self._means.default_ttl_ms if ttl is None else milliseconds(ttl)


def in_sync(
    verb: Callable[Concatenate[V, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[V, P], R]:
    """Return the sync verb of an async one: the same signature, the store's answer at once.

    The function is compiled with the signature written out, as attrs and namedtuple do: handing
    ``*args, **kwargs`` on would cost 0.3 µs a call, a third of all that a read costs.
    """
    name = verb.__name__.removeprefix("a")
    parameters = list(inspect.signature(verb).parameters.values())
    source = (
        f"def {name}({', '.join(_written(parameters))}):\n"
        f"    return run(verb(self._spoken, {', '.join(map(_passed, parameters[1:]))}))\n"
    )
    defaults = {p.name: p.default for p in parameters}
    names: dict[str, Any] = {"run": run_sync, "verb": verb, "defaults": defaults}
    exec(compile(source, f"<the sync voice of {verb.__qualname__}>", "exec"), names)  # noqa: S102
    spoken: Any = names[name]
    spoken.__doc__ = verb.__doc__
    spoken.__module__ = verb.__module__
    spoken.__qualname__ = verb.__qualname__.replace(verb.__name__, name)
    spoken.__annotations__ = dict(verb.__annotations__)
    return spoken  # type: ignore[no-any-return]


def _written(parameters: list[inspect.Parameter]) -> Iterator[str]:
    named = False
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            named = True
            yield f"*{parameter.name}"
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not named:
            named = True
            yield "*"
        default = "" if parameter.default is parameter.empty else f"=defaults[{parameter.name!r}]"
        yield parameter.name + default


def _passed(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return f"*{parameter.name}"
    if parameter.kind is parameter.KEYWORD_ONLY:
        return f"{parameter.name}={parameter.name}"
    return parameter.name
