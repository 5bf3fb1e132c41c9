"""EngineContract on broken engines, a class each, and on the sound ones that they derive from.

Of a broken engine only the test that is about its defect is run, and has to fail.
"""

from broken_engines import BROKEN, Soft

from fibonacci._builtin.template_engine import BuiltinEngine
from fibonacci.testing import EngineContract
from fibonacci.testing.engine.rendering import AnyTextTests

SOUND = {"BuiltinEngine": BuiltinEngine, "Soft": Soft}
PROPERTIES = {
    "EscapesForHTML": "test_any_text_as_value",
    "MakesNewlinesAlike": "test_any_text",
    "WritesPython": "test_any_value",
}
DEFECTS = {name: (broken.test,) for name, broken in BROKEN.items()}
DEFECTS |= {f"Random{name}": (test,) for name, test in PROPERTIES.items()}
TESTS = [name for name in dir(EngineContract) if name.startswith("test_")]
RANDOM = {name: None for name in vars(AnyTextTests) if name.startswith("test_")}

for _name, _engine in {**BROKEN, **SOUND}.items():
    _fields = {"engine": _engine(), **RANDOM}
    if _name in BROKEN:
        _fields |= {test: None for test in TESTS if test != _engine.test}
    globals()[f"Test{_name}"] = type(f"Test{_name}", (EngineContract,), _fields)

for _name in PROPERTIES:
    _class = type(f"TestRandom{_name}", (AnyTextTests,), {"engine": BROKEN[_name]()})
    globals()[_class.__name__] = _class
