"""What no traceback may show."""

from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen
class Secret(Generic[T]):
    """A key on its way from where it stands to its use.

    What collects errors also shows the variables of the functions that they passed; of this it
    shows ``Secret()``.
    """

    value: T = attrs.field(repr=False)
