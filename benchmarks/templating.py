"""Rendering and compiling prompts: the built-in engine, Jinja, and others that are installed."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from measure import seconds_per_call
from values import VALUES

from fibonacci._builtin.template_engine import BuiltinEngine
from fibonacci.plugin import render_value

PROMPT = """Conversation history:
{{memory.history}}

User: {{input.message}}

Respond naturally."""

MESSAGE = "How are you today?"
FORMAT = PROMPT.replace("{{memory.history}}", "{}").replace("{{input.message}}", "{}")
HISTORIES = {"text": "a chat, as text", "2 KB": VALUES["2 KB"], "64 KB": VALUES["64 KB"]}


def namespace(history: Any) -> dict[str, Any]:
    return {"memory": {"history": history}, "input": {"message": MESSAGE}}


def renderers(history: Any) -> dict[str, Callable[[], object]]:
    """Return renderers of the same text: a value that is not text is JSON."""
    names, json = namespace(history), {"memory": {}, "input": {"message": MESSAGE}}
    builtin = BuiltinEngine().compile(PROMPT)

    def formatted() -> str:
        return FORMAT.format(render_value(history), MESSAGE)

    found: dict[str, Callable[[], object]] = {
        "render_value": lambda: render_value(history),
        "str.format": formatted,
        "builtin": lambda: builtin.render(names),
    }
    with suppress(ImportError):
        from fibonacci_jinja import JinjaEngine

        jinja = JinjaEngine().compile(PROMPT)
        found["fibonacci-jinja"] = lambda: jinja.render(names)
    with suppress(ImportError):
        import jinja2.sandbox

        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(finalize=render_value)
        stock = environment.from_string(PROMPT)
        found["jinja2 sandbox"] = lambda: stock.render(names)
    with suppress(ImportError):
        import minijinja

        mini = minijinja.Environment(templates={"t": PROMPT}, finalizer=render_value)
        found["minijinja"] = lambda: mini.render_template("t", **names)
    with suppress(ImportError):
        import chevron

        unescaped = PROMPT.replace("{{", "{{{").replace("}}", "}}}")

        def mustache() -> str:
            json["memory"] = {"history": render_value(history)}
            return str(chevron.render(unescaped, json))

        found["chevron"] = mustache
    return found


def compilers() -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {"builtin": lambda: BuiltinEngine().compile(PROMPT)}
    with suppress(ImportError):
        from fibonacci_jinja import JinjaEngine

        engine = JinjaEngine()
        found["fibonacci-jinja"] = lambda: engine.compile(PROMPT)
    with suppress(ImportError):
        import jinja2.sandbox

        environment = jinja2.sandbox.ImmutableSandboxedEnvironment()
        found["jinja2 sandbox"] = lambda: environment.from_string(PROMPT)
    return found


def table(title: str, contenders: dict[str, Callable[[], object]]) -> None:
    print(f"\n{title:32}{'µs':>9}{'x builtin':>11}")
    times = seconds_per_call(contenders)
    for name, seconds in times.items():
        print(f"  {name:30}{seconds * 1e6:9.2f}{seconds / times['builtin']:11.2f}")


def main() -> None:
    for size, history in HISTORIES.items():
        contenders = renderers(history)
        texts = {make() for name, make in contenders.items() if name != "render_value"}
        assert len(texts) == 1, "the contenders differ in what they render"
        table(f"render, history of {size}", contenders)
    table("compile", compilers())


if __name__ == "__main__":
    main()
