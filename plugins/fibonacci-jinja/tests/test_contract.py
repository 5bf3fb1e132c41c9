from fibonacci.testing import EngineContract


class TestJinja(EngineContract):
    engine = "jinja"
