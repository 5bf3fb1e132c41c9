"""A workflow as a drawing: Mermaid's text form, which forges and notebooks show as a picture."""

from collections.abc import Iterator, Mapping

from fibonacci._workflow.nodes import LLMNode
from fibonacci._workflow.step import Step


def to_mermaid(steps: Mapping[str, Step]) -> str:
    """Return a flowchart: nodes, who waits for whom, and the memory that they read and write.

    The syntax is that of https://mermaid.js.org/syntax/flowchart.html. Numbers stand for ids, as
    some words ("end") mean something else there.
    """
    order = {node_id: number for number, node_id in enumerate(steps)}
    numbers = {node_id: f"n{number}" for node_id, number in order.items()}
    records = {record: f"m{number}" for number, record in enumerate(dict.fromkeys(_records(steps)))}
    return "\n".join(
        [
            "flowchart TD",
            *(f"    {numbers[node_id]}{_shape(step)}" for node_id, step in steps.items()),
            *(f'    {name}[("{_escaped(_label(*one))}")]' for one, name in records.items()),
            *(
                f"    {numbers[need]} --> {numbers[node_id]}"
                for node_id, step in steps.items()
                for need in sorted(step.needs & numbers.keys(), key=order.__getitem__)
            ),
            *(
                f"    {records[one.scope, one.key]} -.-> {numbers[node_id]}"
                for node_id, step in steps.items()
                for one in step.node.memory_read
            ),
            *(
                f"    {numbers[node_id]} -.-> {records[one.scope, one.key]}"
                for node_id, step in steps.items()
                for one in step.node.memory_write
            ),
        ]
    )


def _records(steps: Mapping[str, Step]) -> Iterator[tuple[str | None, str]]:
    for step in steps.values():
        yield from ((one.scope, one.key) for one in step.node.memory_read)
        yield from ((one.scope, one.key) for one in step.node.memory_write)


def _label(scope: str | None, key: str) -> str:
    return f"{scope}: {key}" if scope else key


def _shape(step: Step) -> str:
    node = step.node
    name = _escaped(node.id)
    return f'["{name}"]' if isinstance(node, LLMNode) else f'[["{name}"]]'


def _escaped(text: str) -> str:
    """Text within quotes: Mermaid reads entities in it, and nothing else."""
    return "".join(
        character if character.isalnum() or character in " _-.:" else f"#{ord(character)};"
        for character in text
    )
