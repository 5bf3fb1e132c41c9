"""The credentials that sign requests: loaded by boto3's provider chain, within a deadline.

The chain reads the environment and files; it may also call a metadata service, AWS STS or a
program of the user's, which can take minutes. botocore's client signs inside a call, where no
deadline applies. So the client gets credentials that never fetch anything; they are refreshed
here, in a thread, before a call.
"""

from typing import Final

from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.session import Session

from fibonacci.plugin.runtime import ThreadSingleFlight, raise_for_signal
from fibonacci_dynamodb import faults

MAX_JOIN_AGE: Final = 60.0
"""Seconds after which a new call no longer joins work that another call began, as it may hang
forever."""

MANDATORY_REFRESH_SECONDS: Final = 600
"""Keys that expire within so many seconds are not used any more, as in botocore."""


class SigningCredentials(Credentials):  # type: ignore[misc]
    """What boto3's client signs with, and the session's provider of it."""

    def __init__(self, session: Session, table: str) -> None:
        super().__init__("", "", method="fibonacci")
        self._table = table
        self._provider = session.get_component("credential_provider")
        self._loaded: Credentials | None = None
        self._frozen: ReadOnlyCredentials = super().get_frozen_credentials()
        self._fetching = ThreadSingleFlight(self._fetch, max_join_age=MAX_JOIN_AGE)
        session.register_component("credential_provider", self)

    def load_credentials(self) -> "SigningCredentials":
        """Return itself: the session calls this on its provider."""
        return self

    @property
    def available(self) -> bool:
        """Whether the chain found any keys."""
        return bool(self._frozen.access_key)

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the current keys, without fetching any."""
        return self._frozen

    def refresh(self, deadline: float) -> None:
        """Load the keys, or refresh them if they expire soon.

        Raises DeadlineExceeded if that takes longer than the deadline; StorageError if it fails.
        """
        loaded = self._loaded
        if loaded and not (isinstance(loaded, RefreshableCredentials) and loaded.refresh_needed()):
            return
        if loaded and not loaded.refresh_needed(MANDATORY_REFRESH_SECONDS):
            self._fetching.start()
        else:
            self._fetching.do(deadline=deadline)

    def _fetch(self) -> None:
        try:
            return self._load_from_chain()
        except Exception as error:  # noqa: BLE001 - third-party providers may raise anything
            raise_for_signal(error)
            mapped = faults.map_credentials_error(error, self._table)
        raise mapped  # not in the block: the provider's error would be its context, keys included

    def _load_from_chain(self) -> None:
        loaded = self._loaded or self._provider.load_credentials()
        if loaded is not None:
            self._frozen = loaded.get_frozen_credentials()  # refreshes them if they expire soon
            self.account_id = getattr(self._frozen, "account_id", None)
            self._loaded = loaded
