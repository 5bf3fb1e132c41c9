"""The suite on broken engines, a class each; and on the sound ones that they are made of."""

from broken_engines import BROKEN, Soft

from fibonacci._builtin.braces import BracesEngine
from fibonacci.testing import EngineContract
from fibonacci.testing.engine.any_text import AnyText

SOUND = {"BracesEngine": BracesEngine, "Soft": Soft}
PROPERTIES = ["EscapesForHTML", "MakesNewlinesAlike", "WritesPython"]
RANDOM = {name: None for name in vars(AnyText) if name.startswith("test_")}

for _name, _engine in {**BROKEN, **SOUND}.items():
    # Without the random texts: a defect has to be found by a test that says what it is.
    _class = type(f"Test{_name}", (EngineContract,), {"engine": _engine(), **RANDOM})
    globals()[_class.__name__] = _class

for _name in PROPERTIES:
    _class = type(f"TestRandom{_name}", (AnyText,), {"engine": BROKEN[_name]()})
    globals()[_class.__name__] = _class
