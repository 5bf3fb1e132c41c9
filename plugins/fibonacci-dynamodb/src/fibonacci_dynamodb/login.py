"""The credentials that requests are signed with: found by boto3's chain, before a deadline.

The chain reads the environment and files; it may also ask a metadata service, AWS STS or a program
of the user's, which can take minutes. The client signs in mid-call, where nobody could wait
shorter than that. So it is given credentials that never fetch anything, and those are renewed
here, in a thread, before a call.
"""

from typing import Final

from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.session import Session

from fibonacci.plugin.runtime import ThreadSingleFlight, raise_for_signal
from fibonacci_dynamodb import faults

JOINED_FOR: Final = 60.0
"""Seconds for which a call waits for credentials that another one asked for; then it asks itself,
as what was asked first may hang for ever."""

MUST_RENEW: Final = 600
"""Seconds before their end from which on old keys are not used any more, as in botocore."""


class Login(Credentials):  # type: ignore[misc]
    """What boto3's client signs with, and the provider that it comes from."""

    def __init__(self, session: Session, where: str) -> None:
        super().__init__("", "", method="fibonacci")
        self._where = where
        self._chain = session.get_component("credential_provider")
        self._source: Credentials | None = None
        self._frozen: ReadOnlyCredentials = super().get_frozen_credentials()
        self._finding = ThreadSingleFlight(self._find, max_join_age=JOINED_FOR)
        session.register_component("credential_provider", self)

    def load_credentials(self) -> "Login":
        """Be the credentials: the session asks its provider for them."""
        return self

    @property
    def found(self) -> bool:
        """Whether the chain found any keys."""
        return bool(self._frozen.access_key)

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the keys of now, without asking for any."""
        return self._frozen

    def renew(self, deadline: float) -> None:
        """See that the keys are there and good.

        Raises DeadlineExceeded if they are not by the deadline; StorageError if there are none.
        """
        source = self._source
        if source and not (isinstance(source, RefreshableCredentials) and source.refresh_needed()):
            return
        if source and not source.refresh_needed(MUST_RENEW):
            self._finding.start()
        else:
            self._finding.do(deadline=deadline)

    def _find(self) -> None:
        try:
            return self._ask_chain()
        except Exception as fault:  # noqa: BLE001 - a provider may be anybody's, and raise anything
            raise_for_signal(fault)
            told = faults.no_keys(fault, self._where)
        raise told  # not in the block: the provider's own error would be its context, keys and all

    def _ask_chain(self) -> None:
        source = self._source or self._chain.load_credentials()
        if source is not None:
            self._frozen = source.get_frozen_credentials()  # renews them, if it is time to
            self.account_id = getattr(self._frozen, "account_id", None)
            self._source = source
