"""A primary and a replica, monitored by three Sentinels.

All know each other beforehand: it would take the Sentinels seconds to find out.
"""

from services import ports
from services.fleet import Fleet
from services.resp import ReplyError
from services.standalone import Settings, Standalone, data, process

SERVICE = "fibonacci"
_QUORUM = 2
_DOWN_AFTER, _FAILOVER = 500, 3_000  # milliseconds


class Watched(Fleet):
    """`.servers` hold the data, `.sentinels` monitor; each can be killed, paused and started."""

    service = SERVICE

    def __init__(self, servers: list[Standalone], sentinels: list[Standalone]) -> None:
        hosts = ",".join(f"{each.host}:{each.port}" for each in sentinels)
        super().__init__(f"redis+sentinel://{hosts}/{SERVICE}/0", [*servers, *sentinels])
        self.servers = servers
        self.sentinels = sentinels

    @property
    def primary(self) -> Standalone:
        """Return the server that the Sentinels name."""
        sentinel = next(each for each in self.sentinels if each.alive)
        _, port = sentinel("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(each for each in self.servers if each.port == int(port))

    @property
    def replica(self) -> Standalone:
        """Return the other server."""
        primary = self.primary
        return next(each for each in self.servers if each is not primary)

    def is_ready(self) -> bool:
        """Return whether the Sentinels agree on a serving primary, and a living replica follows."""
        sentinels = [each for each in self.sentinels if each.alive]
        if not all(each.is_ready() and _agreed(each) for each in sentinels):
            return False
        primary, replica = self.primary, self.replica
        return primary.is_ready() and (not replica.alive or _follows(replica, primary))


def launched(binary: str, settings: Settings) -> Watched:
    """Start all five, and wait until a failover would succeed."""
    primary, replica = ports.claim(), ports.claim()
    follows = {"replicaof": f"{ports.LOOPBACK} {primary}"}
    servers = [
        Standalone(process(binary, data({"port": port, **more, **settings})), port)
        for port, more in ((primary, {}), (replica, follows))
    ]
    claimed = [ports.claim() for _ in range(3)]
    sentinels = [
        Standalone(process(binary, _lines(port, claimed, primary, replica), "--sentinel"), port)
        for port in claimed
    ]
    return Watched(servers, sentinels).start()


def _lines(port: int, claimed: list[int], primary: int, replica: int) -> list[str]:
    """Return a Sentinel's configuration, as it would write it itself after some seconds."""
    others = [other for other in claimed if other != port]
    return [
        f"port {port}",
        f"sentinel myid {port:040x}",
        f"sentinel monitor {SERVICE} {ports.LOOPBACK} {primary} {_QUORUM}",
        f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER}",
        f"sentinel failover-timeout {SERVICE} {_FAILOVER}",
        f"sentinel known-replica {SERVICE} {ports.LOOPBACK} {replica}",
        *(
            f"sentinel known-sentinel {SERVICE} {ports.LOOPBACK} {other} {other:040x}"
            for other in others
        ),
    ]


def _agreed(sentinel: Standalone) -> bool:
    """Return whether it sees a primary, and enough other Sentinels to replace it."""
    try:
        state = sentinel("SENTINEL", "CKQUORUM", SERVICE)
        words = sentinel("SENTINEL", "MASTER", SERVICE)
    except ReplyError:  # NOQUORUM
        return False
    about = dict(zip(words[::2], words[1::2], strict=True))
    return state.startswith(b"OK") and about[b"flags"] == b"master"


def _follows(replica: Standalone, primary: Standalone) -> bool:
    about = replica.is_ready() and replica.info("replication")
    return (
        bool(about)
        and about.get("master_link_status") == "up"
        and about["master_port"] == str(primary.port)
    )
