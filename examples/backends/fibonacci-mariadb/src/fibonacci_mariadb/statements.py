"""All SQL. The statements are bytes, and what they hold is written in hexadecimal digits.

So no value can end its literal, whatever the server's ``sql_mode`` and character set are, and the
size of a statement is known: twice its bytes. Names are VARBINARY, which is compared and sorted by
bytes, and so by code point; a text column would fold, pad or trim them.

The clock is ``SYSDATE(6)``. ``NOW(6)`` is the time at which the statement began: before it waited
for the lock of a row.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final

from fibonacci.plugin import KEEP_TTL, Address, KeepTTL, Space, encode_parts

NAMES_SIZE: Final = 2 * (1_152 + 1_000) + 200
"""Bytes of a statement that the names of one record take at most, with its expiry."""

SESSION: Final = (
    b"SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES', autocommit = 1, sql_notes = 0"
)
"""What each connection begins with: UTC, and errors instead of truncated values. Without notes,
for which aiomysql would ask, and which Python would show as warnings."""

PACKET_SIZE: Final = b"SELECT @@max_allowed_packet"

_UNEXPIRED: Final = b"(expires_at IS NULL OR expires_at > SYSDATE(6))"


class Statements:
    """The statements for one table."""

    def __init__(self, table: str) -> None:
        self._table = f"`{table}`".encode()

    def create_table(self) -> bytes:
        """Create the table if it is missing."""
        return self._fill(
            b"CREATE TABLE IF NOT EXISTS %b ("
            b"space VARBINARY(1152) NOT NULL, name VARBINARY(1000) NOT NULL, "
            b"value LONGBLOB NOT NULL, expires_at DATETIME(6) NULL, "
            b"PRIMARY KEY (space, name)) ENGINE = InnoDB ROW_FORMAT = DYNAMIC"
        )

    def read(self, address: Address) -> bytes:
        return self._fill(b"SELECT value FROM %b WHERE %b AND " + _UNEXPIRED, _is_at(address))

    def read_many(self, addresses: Sequence[Address]) -> bytes:
        """Select space, name and value."""
        template = b"SELECT space, name, value FROM %b WHERE %b AND " + _UNEXPIRED
        return self._fill(template, _is_one_of(addresses))

    def remaining(self, address: Address) -> bytes:
        """Select the microseconds until it expires; NULL: never."""
        template = (
            b"SELECT TIMESTAMPDIFF(MICROSECOND, SYSDATE(6), expires_at) FROM %b WHERE %b AND "
        )
        return self._fill(template + _UNEXPIRED, _is_at(address))

    def write(self, rows: Iterable[tuple[Address, bytes]], ttl_ms: int | None) -> bytes:
        """Insert or replace. ``VALUES(expires_at)`` would be older than a wait for the row."""
        return self._fill(
            b"INSERT INTO %b (space, name, value, expires_at) VALUES %b "
            b"ON DUPLICATE KEY UPDATE value = VALUES(value), expires_at = %b",
            b", ".join(_row(address, data, ttl_ms) for address, data in rows),
            _expiry(ttl_ms),
        )

    def insert(self, address: Address, data: bytes, ttl_ms: int | None) -> bytes:
        """Insert, and fail if there is a record, expired or not."""
        template = b"INSERT INTO %b (space, name, value, expires_at) VALUES %b"
        return self._fill(template, _row(address, data, ttl_ms))

    def remove_expired(self, address: Address) -> bytes:
        template = b"DELETE FROM %b WHERE %b AND expires_at <= SYSDATE(6)"
        return self._fill(template, _is_at(address))

    def replace(
        self, address: Address, expected: bytes, data: bytes, ttl_ms: int | KeepTTL | None
    ) -> bytes:
        """Replace the value if it is ``expected``, of which only the digest is sent.

        Two values might not fit into one packet.
        """
        return self._fill(
            b"UPDATE %b SET value = %b, expires_at = %b "
            b"WHERE %b AND SHA2(value, 256) = '%b' AND " + _UNEXPIRED,
            _literal(data),
            b"expires_at" if ttl_ms is KEEP_TTL else _expiry(ttl_ms),
            _is_at(address),
            sha256(expected).hexdigest().encode(),
        )

    def touch(self, address: Address, ttl_ms: int | None) -> bytes:
        template = b"UPDATE %b SET expires_at = %b WHERE %b AND " + _UNEXPIRED
        return self._fill(template, _expiry(ttl_ms), _is_at(address))

    def remove(self, addresses: Sequence[Address]) -> bytes:
        """Delete the records, and select for each whether it was unexpired."""
        template = b"DELETE FROM %b WHERE %b RETURNING " + _UNEXPIRED
        return self._fill(template, _is_one_of(addresses))

    def scan(self, space: Space, prefix: bytes, after: bytes | None, limit: int) -> bytes:
        """Select the next names; no UTF-8 has the byte that ends the range of the prefix."""
        return self._fill(
            b"SELECT name FROM %b WHERE space = %b AND name %b AND name < %b AND "
            + _UNEXPIRED
            + b" ORDER BY name LIMIT %d",
            _space(space),
            b">= " + _literal(prefix) if after is None else b"> " + _literal(after),
            _literal(prefix + b"\xff"),
            limit,
        )

    def clear(self, space: Space, after: bytes, limit: int) -> bytes:
        """Delete the next records, and select their names."""
        return self._fill(
            b"DELETE FROM %b WHERE space = %b AND name > %b ORDER BY name LIMIT %d RETURNING name",
            _space(space),
            _literal(after),
            limit,
        )

    def _fill(self, template: bytes, *parts: bytes | int) -> bytes:
        return template % (self._table, *parts)


def limited(statement: bytes, seconds: float) -> bytes:
    """Have the server end the statement when nobody waits for it any more."""
    return b"SET STATEMENT max_statement_time = %.3f FOR %b" % (max(seconds, 0.001), statement)


def row_key(address: Address) -> tuple[bytes, bytes]:
    """Return the space and the name of an address, as the table holds them."""
    return encode_space(address.space), address.key.encode()


@lru_cache(maxsize=1024)
def encode_space(space: Space) -> bytes:
    """Return a space as the table holds it."""
    return encode_parts(*space)


def _row(address: Address, data: bytes, ttl_ms: int | None) -> bytes:
    return b"(%b, %b, %b, %b)" % (*_names(address), _literal(data), _expiry(ttl_ms))


def _names(address: Address) -> tuple[bytes, bytes]:
    space, name = row_key(address)
    return _literal(space), _literal(name)


def _space(space: Space) -> bytes:
    return _literal(encode_space(space))


def _is_at(address: Address) -> bytes:
    return b"space = %b AND name = %b" % _names(address)


def _is_one_of(addresses: Sequence[Address]) -> bytes:
    return b"(space, name) IN (%b)" % b", ".join(b"(%b, %b)" % _names(each) for each in addresses)


def _literal(data: bytes) -> bytes:
    return b"X'%b'" % data.hex().encode()


def _expiry(ttl_ms: int | None) -> bytes:
    return b"NULL" if ttl_ms is None else b"SYSDATE(6) + INTERVAL %d MICROSECOND" % (ttl_ms * 1000)
