"""ProviderContract on broken models, a class each, and on the sound ones that they derive from.

Of a broken model only the test that is about its defect is run, and has to fail.
"""

from broken_models import BROKEN, BUSY, ENDLESS, KEY, SLOW, WRONG, Plain, Sound

from fibonacci.testing import ProviderContract

SOUND = {"Sound": Sound, "Plain": Plain}
DEFECTS = {name: (broken.test,) for name, broken in BROKEN.items()}
TESTS = [name for name in dir(ProviderContract) if name.startswith("test_")]

for _name, _model in {**BROKEN, **SOUND}.items():
    _set = {
        "model": _model(),
        "endless_request": ENDLESS if _model is not Plain else None,
        "slow_request": SLOW,
        "failing_requests": [(BUSY, True), (WRONG, False)],
        "secrets": [KEY],
        "response_timeout": 2.0,
    }
    if _name in SOUND:
        _set["deadline_slack"] = 5.0  # beside many others; a broken one is late by less
    if _name in BROKEN:
        _set |= {test: None for test in TESTS if test != BROKEN[_name].test}
    globals()[f"Test{_name}"] = type(f"Test{_name}", (ProviderContract,), _set)
