"""Hosts, addresses and ports of a URL, its query included: those that can't be any are refused."""

from ipaddress import ip_address

from fibonacci.errors import ConfigurationError
from fibonacci.plugin.runtime import host_problem
from fibonacci_postgres.parameters import ConnectionParameters


def check_hosts(parameters: ConnectionParameters) -> None:
    """Raise ConfigurationError for hosts and ports that are none, or not as many."""
    hosts, addresses, ports = (_listed(name, parameters) for name in ("host", "hostaddr", "port"))
    for host in filter(None, hosts):
        _check_host(host)
    if not all(map(_is_address, filter(None, addresses))):
        raise ConfigurationError("option 'hostaddr' must be an IP address; a name is a host")
    if not all(map(_is_port, filter(None, ports))):
        raise ConfigurationError("a port in the connection URL is no number from 1 to 65535")
    count = max(len(hosts), len(addresses))
    for name, listed in {"host": hosts, "hostaddr": addresses, "port": ports}.items():
        if count and len(listed) not in (0, 1, count):
            raise ConfigurationError(
                f"the connection URL has {count} hosts, and {len(listed)} of {name}: "
                f"one, or as many"
            )


def _listed(name: str, parameters: ConnectionParameters) -> list[str]:
    return parameters.get(name).split(",") if parameters.has(name) else []


def _check_host(host: str) -> None:
    fault = None if host.startswith(("/", "@")) else host_problem(host)  # a unix socket
    if fault is not None:
        raise ConfigurationError(f"a host in the connection URL {fault}")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 65535
