"""A cluster, and a primary monitored by Sentinels."""

import pytest
from services import redis, valkey
from services.cluster import Cluster
from services.proxied import proxied
from services.resp import Client, ReplyError
from services.sentinel import Watched
from services.waiting import wait_until

CLUSTERS = {"valkey": valkey.cluster, "redis": redis.cluster}
SENTINELS = {"valkey": valkey.sentinel, "redis": redis.sentinel}


def test_a_cluster_serves_all_slots(valkey_cluster: Cluster):
    """Each key has a primary and a replica, and the three primaries share the keys."""
    holders = set()
    for number in range(30):
        key = f"k{number}"
        primary, replica = valkey_cluster.primary_of(key), valkey_cluster.replica_of(key)
        assert primary("SET", key, number) == b"OK"
        assert replica.info("replication")["master_port"] == str(primary.port)
        holders.add(primary)
    assert len(holders) == 3
    assert valkey_cluster.url.count("127.0.0.1:") == 6


def test_a_node_redirects(valkey_cluster: Cluster):
    """A node that does not hold a key redirects to the one that does."""
    holder = valkey_cluster.primary_of("k")
    other = next(n for n in valkey_cluster.nodes if n is not holder)
    with pytest.raises(ReplyError, match=rf"MOVED \d+ 127.0.0.1:{holder.port}"):
        other("GET", "k")


@pytest.mark.long
@pytest.mark.parametrize("kind", CLUSTERS)
def test_a_cluster_survives_a_primary(kind):
    """A killed primary's replica takes over; the killed node returns as its replica."""
    with CLUSTERS[kind]() as cluster:
        primary, replica = cluster.primary_of("k"), cluster.replica_of("k")
        primary.kill()
        wait_until(lambda: cluster.primary_of("k") is replica, 20)
        cluster.wait()
        assert replica("SET", "k", "v") == b"OK"
        primary.start()
        cluster.wait()
        assert cluster.replica_of("k") is primary


@pytest.mark.long
@pytest.mark.parametrize("kind", SENTINELS)
def test_sentinels_replace_a_primary(kind):
    """The Sentinels promote the replica of a killed primary."""
    with SENTINELS[kind]() as watched:
        primary, replica = watched.primary, watched.replica
        assert primary("SET", "k", "v") == b"OK"
        primary.kill()
        wait_until(lambda: watched.primary is replica, 20)
        watched.wait()
        assert replica("SET", "k", "v") == b"OK"


def test_proxied_cluster_sends_clients_to_its_proxies(valkey_cluster: Cluster):
    """Every node has its proxy, and announces the proxies of the others."""
    with proxied(valkey_cluster) as proxies:
        assert all(f"127.0.0.1:{proxy.port}" in proxies.url for proxy in proxies.by_node.values())
        holder = valkey_cluster.primary_of("k")
        other = next(n for n in valkey_cluster.nodes if n is not holder)
        with (
            Client(proxies.by_node[other].url) as client,
            pytest.raises(ReplyError, match=f"MOVED .*:{proxies.by_node[holder].port}$"),
        ):
            client("GET", "k")
    with pytest.raises(ReplyError, match=f"MOVED .*:{holder.port}$"):
        other("GET", "k")


def test_sentinel_url(valkey_sentinel: Watched):
    """The URL names the Sentinels and the service; they name the primary."""
    assert valkey_sentinel.url.endswith(f"/{valkey_sentinel.service}/0")
    for sentinel in valkey_sentinel.sentinels:
        assert f"127.0.0.1:{sentinel.port}" in valkey_sentinel.url
    assert valkey_sentinel.replica.info("replication")["role"] == "slave"
