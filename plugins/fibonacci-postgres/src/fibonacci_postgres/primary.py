"""Whether a server is a primary: a standby may lag behind, so it is used only if that is said."""

import os
from typing import Final

from fibonacci_postgres.driver import PGconn
from fibonacci_postgres.link import Link
from fibonacci_postgres.parameters import ConnectionParameters
from fibonacci_postgres.voices import Voice

TARGET: Final = "target_session_attrs"
"""libpq's parameter for which servers will do."""

STANDBY: Final = (
    "it is a standby, which may lag behind: name the primary as well, or say in the connection URL "
    f"that any server will do, {TARGET}=any"
)

_IN_RECOVERY: Final = b"SELECT pg_catalog.pg_is_in_recovery()"


async def is_unwanted(
    link: Link, parameters: ConnectionParameters, voice: Voice, deadline: float, shared: bool
) -> bool:
    """Say whether a new connection leads to a standby, and nobody said that one will do.

    ``shared`` says that sessions are a pooler's: it may repeat what another server told it once.
    Raises DeadlineExceeded, and DriverError where libpq can't send the question.
    """
    if _is_target_said(link.pgconn, parameters):
        return False
    # Servers from 14 on tell it as a session begins.
    if not shared and link.pgconn.parameter_status(b"in_hot_standby") == b"off":
        return False
    link.start_script(_IN_RECOVERY)
    await voice.finish(link, deadline)
    result = link.result()
    link.results = []
    return result is not None and result.get_value(0, 0) == b"t"


def _is_target_said(pgconn: PGconn, parameters: ConnectionParameters) -> bool:
    """Say whether the URL, the environment or a service file says which servers will do."""
    if parameters.has(TARGET) or os.environ.get("PGTARGETSESSIONATTRS"):
        return True
    if not parameters.get("service"):
        return False
    # Only libpq reads that file. Its "any" can't be told from libpq's own default.
    found = {option.keyword: option.val for option in pgconn.info}
    return found.get(TARGET.encode()) not in (None, b"any")
