"""The bytes that passed a proxy."""

import attrs


@attrs.define
class Exchange:
    """One round trip: what was sent in one go, and what came back before the next request."""

    connection: int
    request: bytearray = attrs.field(factory=bytearray)
    reply: bytearray = attrs.field(factory=bytearray)


@attrs.define
class Traffic:
    """What all connections carried since the record began.

    A request is one round trip in however many writes it comes, as long as no reply comes between
    them: a pipeline that is longer than the sockets' buffers may count as several.
    """

    connections: int = 0
    """Connections that were opened."""
    exchanges: list[Exchange] = attrs.field(factory=list)
    """In the order of their requests."""
    _last: dict[int, Exchange] = attrs.field(factory=dict)

    @property
    def round_trips(self) -> int:
        return len(self.exchanges)

    @property
    def requests(self) -> bytes:
        """Return all that clients sent."""
        return b"".join(exchange.request for exchange in self.exchanges)

    @property
    def replies(self) -> bytes:
        """Return all that the server replied, whether it reached the client or not."""
        return b"".join(exchange.reply for exchange in self.exchanges)

    def note(self, direction: str, connection: int, data: bytes) -> None:
        """Record a piece before it is passed on: a client that has a reply finds it here."""
        last = self._last.get(connection)
        if direction == "request":
            if last is None or last.reply:
                last = self._last[connection] = Exchange(connection)
                self.exchanges.append(last)
            last.request += data
        elif last is not None:  # otherwise it replies to a request from before the record began
            last.reply += data
