"""The address of the server behind a proxy."""

import socket
from contextlib import suppress

import attrs


@attrs.frozen
class Address:
    """An IP address and a port."""

    family: socket.AddressFamily
    address: tuple[str, int]


def address_of(host: str, port: int) -> Address:
    """Return the first address of the host where a server listens; the first, if none does."""
    found = [
        Address(family, (str(address[0]), port))
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    ]
    if len(found) > 1:  # "localhost" has two, and a server often only one of them
        for each in found:
            with suppress(OSError), socket.create_connection(each.address, timeout=1):
                return each
    return found[0]
