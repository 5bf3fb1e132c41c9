"""Tests whose server this machine does not have are left out, and named at the end of the run."""

from collections import Counter
from typing import Any

import pytest
from services import kinds
from services.kinds import Kind

_left_out = pytest.StashKey[Counter[str]]()

NEEDS: dict[str, Kind] = {
    "valkey_server": kinds.VALKEY,
    "valkey_cluster": kinds.VALKEYS,
    "valkey_sentinel": kinds.VALKEYS,
    "redis_server": kinds.REDIS,
    "secured_redis": kinds.TLS,
    "postgres_server": kinds.POSTGRES,
    "pgbouncer_server": kinds.PGBOUNCER,
    "dynamodb_server": kinds.DYNAMODB,
    "moto_server": kinds.MOTO,
}
"""What kind of server each fixture is; a parameter that is a `Kind` counts as well."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run, unless it must."""
    reasons = {item: _reasons(item) for item in items}
    config.stash[_left_out] = Counter(why for whys in reasons.values() for why in whys)
    without = [item for item in items if reasons[item]]
    if without and not kinds.required():
        items[:] = [item for item in items if not reasons[item]]
        config.hook.pytest_deselected(items=without)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Name what was left out."""
    if not kinds.required():
        for reason, count in sorted(config.stash.get(_left_out, Counter()).items()):
            terminalreporter.write_line(f"not run: {reason}: {count} tests", yellow=True)


def _reasons(item: pytest.Item) -> set[str]:
    names = getattr(item, "fixturenames", ())
    params = getattr(getattr(item, "callspec", None), "params", {}).values()
    wanted = {NEEDS[name] for name in names if name in NEEDS}
    wanted |= {param for param in params if isinstance(param, Kind)}
    return {f"{kind} ({kind.missing})" for kind in wanted if kind.missing}
