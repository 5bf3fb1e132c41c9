from fibonacci.testing import EngineContract


class TestBuiltin(EngineContract):
    engine = "builtin"
