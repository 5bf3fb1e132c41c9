"""Asking the server: one attempt a question, and the truth about it."""

from math import ceil
from time import monotonic

from fibonacci.errors import BackendUnavailableError, StorageError
from fibonacci.plugin.runtime import DeadlineExceeded, no_response_error, raise_for_signal
from fibonacci_postgres import schema
from fibonacci_postgres.dial import OptionsRefusedError, dial
from fibonacci_postgres.driver import DriverError, PGresult
from fibonacci_postgres.faults import MISSING_TABLE, Answer, rejected
from fibonacci_postgres.link import Link
from fibonacci_postgres.pool import Pool
from fibonacci_postgres.settings import Settings
from fibonacci_postgres.statements import Parameters, Statement
from fibonacci_postgres.voices import Voice


class Server:
    """A server with a table, in one voice."""

    def __init__(self, settings: Settings, voice: Voice) -> None:
        self._settings = settings
        self._voice = voice
        self._wait = voice.wait
        self._prepares = settings.prepare
        self._parameters = settings.parameters
        if settings.prepare:  # else the session is not ours to change
            options = schema.session_options(ceil(settings.timeout * 1000))
            self._parameters = settings.parameters.with_options(options)
        self._pool = Pool(settings.max_connections, voice)
        self._found = False
        """Whether the table was seen."""

    def __repr__(self) -> str:
        return f"PostgreSQL at {self._settings.where}"

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    async def ask(self, statement: Statement, parameters: Parameters, deadline: float) -> PGresult:
        """Return the result of a statement.

        Raises OutcomeUnknownError where a write's answer was lost, BackendUnavailableError where it
        was not applied, and StorageError where trying again would not help.
        """
        if monotonic() >= deadline:
            raise self._unanswered("the time was up", maybe_applied=False)
        link = self._pool.idle_one() or await self._take(deadline)
        asked = False
        try:
            if not self._found:
                await self._find_table(link, deadline)
            if self._prepares and statement.name not in link.prepared:
                await self._prepare(link, statement, deadline)
            asked = True  # before it is; where libpq could not send it, link.sent says so
            if self._prepares:
                link.start(statement, parameters)
            else:
                link.start_unprepared(statement, parameters)
            # Voice.finish, written out: every call takes this path.
            while True:
                waiting = self._wait(link, deadline)
                if waiting is not None:
                    await waiting
                if link.advance():
                    break
            result = link.result()
            if result is None:
                raise self._fault(link, writes=statement.writes)
        except (DeadlineExceeded, DriverError) as fault:
            maybe_applied = asked and statement.writes and link.sent
            self._pool.drop(link)
            raise_for_signal(fault)
            raise self._unanswered(_reason(fault), maybe_applied=maybe_applied) from None
        except BaseException:
            self._pool.drop(link)
            raise
        self._pool.give(link)
        return result

    def _unanswered(self, reason: str, *, maybe_applied: bool) -> StorageError:
        return no_response_error(reason, repr(self), maybe_applied=maybe_applied)

    async def _take(self, deadline: float) -> Link:
        try:
            return await self._pool.take(self._connect, deadline)
        except (DeadlineExceeded, DriverError) as fault:
            raise_for_signal(fault)
            raise BackendUnavailableError(
                f"no connection to PostgreSQL at {self._settings.where}: {_reason(fault)}. "
                f"At most {self._settings.max_connections} are used at once (max_connections)"
            ) from None

    async def _connect(self, link: Link, deadline: float) -> None:
        used = self._parameters  # others may change it meanwhile
        try:
            shared = not self._prepares
            await dial(link, used, self._settings.where, self._voice, deadline, shared)
        except OptionsRefusedError as refused:
            if used is self._settings.parameters:  # they are the user's
                raise StorageError(*refused.args) from None
            self._parameters = self._settings.parameters  # a pooler's sessions are not ours alone
            await self._connect(link, deadline)

    async def _find_table(self, link: Link, deadline: float) -> None:
        """See whether the table is there; make it, if it is not and that is wanted."""
        missing = not await self._table_is_there(link, deadline)
        if missing and self._settings.create:
            try:
                await self._script(link, schema.locked_creation(self._settings.table), deadline)
            except StorageError:
                # Another process, with more rights, may have been faster.
                if link.lost or not await self._table_is_there(link, deadline):
                    raise
        elif missing:
            text = f"there is no table {schema.quoted(self._settings.table)}"
            raise rejected(MISSING_TABLE, text, self._settings.where)
        self._found = True

    async def _table_is_there(self, link: Link, deadline: float) -> bool:
        result = await self._script(link, schema.search(self._settings.table), deadline)
        version = result.get_value(0, 0) if result.ntuples else None
        if version and int(version) > schema.VERSION:
            raise StorageError(
                f"the table {schema.quoted(self._settings.table)} in PostgreSQL at "
                f"{self._settings.where} has schema {int(version)}, and this release of "
                f"fibonacci-postgres knows {schema.VERSION}: upgrade it"
            )
        return bool(result.ntuples)

    async def _prepare(self, link: Link, statement: Statement, deadline: float) -> None:
        link.start_preparing(statement)
        await self._answer(link, deadline)
        link.prepared.add(statement.name)

    async def _script(self, link: Link, sql: bytes, deadline: float) -> PGresult:
        link.start_script(sql)
        return await self._answer(link, deadline)

    async def _answer(self, link: Link, deadline: float, *, writes: bool = False) -> PGresult:
        """Read the answer to its end, and return the last statement's result."""
        await self._voice.finish(link, deadline)
        result = link.result()
        if result is None:
            raise self._fault(link, writes=writes)
        return result

    def _fault(self, link: Link, *, writes: bool) -> StorageError:
        answer = Answer(link.results, lost=link.lost)
        if answer.code != MISSING_TABLE or not self._settings.create:
            return answer.fault(self._settings.where, maybe_applied=writes and link.sent)
        self._found = False  # dropped by somebody; the next attempt makes it anew
        return BackendUnavailableError(
            f"the table {schema.quoted(self._settings.table)} in PostgreSQL at "
            f"{self._settings.where} has disappeared"
        )


def _reason(fault: Exception) -> str:
    return "the time was up" if isinstance(fault, DeadlineExceeded) else "the connection broke"
