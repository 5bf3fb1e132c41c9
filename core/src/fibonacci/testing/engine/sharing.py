"""Sharing: one engine and one template for all threads."""

from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from fibonacci.plugin import Engine
from fibonacci.testing.engine.fixtures import ContractFixtures
from fibonacci.testing.threads import run_concurrently

THREADS = 8
TIMES = 100


class SharingTests(ContractFixtures):
    """C27: templates are objects that many use."""

    def test_render_in_threads(self, compiler: Engine) -> None:
        """One template renders in concurrent threads, each with its own values (C27)."""
        template = compiler.compile(f"{self.at('input.x')}-{self.at('memory.y.0')}-{self.at('z')}")

        def work(number: int) -> Callable[[], None]:
            def render() -> None:
                for turn in range(TIMES):
                    own = f"{number}.{turn}"
                    namespace = {"input": {"x": own}, "memory": {"y": [own]}, "z": {"own": own}}
                    expected = f'{own}-{own}-{{"own":"{own}"}}'
                    assert template.render(namespace) == expected

            return render

        run_concurrently([work(number) for number in range(THREADS)])

    def test_compile_in_threads(self, compiler: Engine) -> None:
        """One engine compiles in concurrent threads (C27)."""

        def work(number: int) -> Callable[[], None]:
            def compile_and_render() -> None:
                for turn in range(TIMES // 10):
                    key = f"k{number}_{turn}"
                    assert self.shown(compiler, f"input.{key}", input={key: turn}) == str(turn)

            return compile_and_render

        run_concurrently([work(number) for number in range(THREADS)])

    def test_renderings_are_independent(self, compiler: Engine) -> None:
        """A template keeps no value of an earlier rendering (C27)."""
        template = compiler.compile(f"{self.at('memory.a')}{self.at('memory.b')}")
        assert template.render({"input": {}, "memory": {"a": 1, "b": 2}}) == "12"
        assert template.render({"input": {}, "memory": {"b": 3}}) == "3"

    def test_namespace_is_not_changed(self, compiler: Engine) -> None:
        """Rendering changes neither the namespace nor a value (C27)."""
        names = ["memory.made", "memory.a.made", "memory.a.b", "input", "node.0", "node"]
        template = compiler.compile("".join(map(self.at, names)))
        making: defaultdict[str, Any] = defaultdict(dict, a=defaultdict(list, b=[{"c": 1}]))
        namespace: dict[str, Any] = {"input": {"x": [1]}, "memory": making, "node": [{"y": {}}]}
        before = deepcopy(namespace)
        template.render(namespace)
        assert namespace == before
        assert list(namespace) == list(before)
