"""References: all that a template asks for, and where."""

import re

from fibonacci.plugin import Engine, Reference
from fibonacci.testing.engine.bench import Bench


class References(Bench):
    """C26: what the graph and the reads of memory are made of."""

    def test_complete(self, compiler: Engine) -> None:
        """Each place is reported, in the order of the text, with line and column (C26)."""
        start, end = len(self.opening), len(self.closing)
        first = self.at("memory.history")
        source = f"a {first}{self.at('input.a.b')}\n\n\té {self.at('node')}\n{self.at('node.x.0')}"
        assert compiler.compile(source).references == (
            Reference(root="memory", path=("history",), line=1, column=3 + start),
            Reference(
                root="input",
                path=("a", "b"),
                line=1,
                column=3 + 2 * start + end + len("memory.history"),
            ),
            Reference(root="node", line=3, column=4 + start),
            Reference(root="node", path=("x", 0), line=4, column=1 + start),
        )

    def test_each_time(self, compiler: Engine) -> None:
        """A name that is written twice is reported twice (C26)."""
        template = compiler.compile(f"{self.at('memory.a')}{self.at('memory.a')}")
        assert [reference.name for reference in template.references] == ["memory.a", "memory.a"]

    def test_text_around_values(self, compiler: Engine) -> None:
        """Where literals are told, each rendered text has them in their order (C26)."""
        a, b = self.at("input.a"), self.at("node")
        for parts in (["x\r\n", a, "\n y ", b, ""], ["", a, "", b, "z\n"], ["é", a, b], ["text"]):
            template = compiler.compile("".join(parts))
            told = template.literals
            pattern = ".*" if told is None else ".*".join(map(re.escape, told))
            for value in ("", "v", "text"):
                rendered = template.render({"input": {"a": value}, "memory": {}, "node": value})
                assert re.fullmatch(pattern, rendered, re.DOTALL), (parts, told)

    def test_none(self, compiler: Engine) -> None:
        """Text asks for nothing (C26)."""
        assert compiler.compile("memory.history input").references == ()

    def test_types(self, compiler: Engine) -> None:
        """References are plain data, keys text and indexes numbers (C26)."""
        template = compiler.compile(f"{self.at('memory.items.0.k1')}")
        (reference,) = template.references
        assert [type(part) for part in (reference.root, *reference.path)] == [str, str, int, str]
        assert type(reference.line) is type(reference.column) is int
        assert type(template.references) is tuple
        assert reference.unconditional is True

    def test_newlines(self, compiler: Engine) -> None:
        """Lines end by LF or CRLF, and columns count characters (C26)."""
        source = f"é\r\n😀 {self.at('memory.a')}\r\n{self.at('memory.b')}"
        places = [(one.line, one.column) for one in compiler.compile(source).references]
        assert places == [(2, 3 + len(self.opening)), (3, 1 + len(self.opening))]
