"""Quotes and variables in a setting that a shell or a container platform should have replaced."""

import re
from typing import Final

_QUOTES: Final = ('""', "''", "``", "“”")
# A shell's ${NAME} and Kubernetes' $(NAME), anywhere; $NAME as the whole, in capitals.
_UNFILLED: Final = re.compile(r"\$\{\w[^}]*\}|\$\(\w+\)|^\$[A-Z_][A-Z0-9_]*$", re.ASCII)


def shell_syntax_problem(text: str) -> str | None:
    """Return which shell syntax is left in a setting; None if there is none.

    The result follows a subject, and quotes nothing: "is in quotes, …".
    """
    if len(text) > 1 and text[0] + text[-1] in _QUOTES:
        return (
            "is in quotes, which count as part of it (a shell removes them, but "
            "`docker --env-file` does not): remove them"
        )
    if _UNFILLED.search(text):
        return (
            "contains the name of a variable, as in ${NAME}, that nothing has replaced by its value"
        )
    return None
