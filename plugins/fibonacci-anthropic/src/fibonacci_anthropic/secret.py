"""What no traceback may show."""

import attrs


@attrs.frozen
class Secret:
    """A key, or a URL that may hold a password, on its way; None where there is none.

    What collects errors also shows the variables of the functions that they passed; of this it
    shows ``Secret()``.
    """

    value: str | None = attrs.field(repr=False)
