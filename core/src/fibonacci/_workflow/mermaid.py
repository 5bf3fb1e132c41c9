"""A workflow as a Mermaid flowchart, which forges and notebooks render."""

from collections.abc import Iterator, Mapping

from fibonacci._workflow.compiled_node import CompiledNode
from fibonacci._workflow.nodes import LLMNode


def to_mermaid(nodes: Mapping[str, CompiledNode]) -> str:
    """Return a flowchart: nodes, their dependencies, and the memory that they read and write.

    The syntax is that of https://mermaid.js.org/syntax/flowchart.html. Numbers replace ids, as some
    words ("end") mean something else there.
    """
    order = {node_id: number for number, node_id in enumerate(nodes)}
    numbers = {node_id: f"n{number}" for node_id, number in order.items()}
    records = {record: f"m{number}" for number, record in enumerate(dict.fromkeys(_records(nodes)))}
    return "\n".join(
        [
            "flowchart TD",
            *(f"    {numbers[node_id]}{_shape(node)}" for node_id, node in nodes.items()),
            *(f'    {name}[("{_escape(_label(*record))}")]' for record, name in records.items()),
            *(
                f"    {numbers[dependency]} --> {numbers[node_id]}"
                for node_id, node in nodes.items()
                for dependency in sorted(node.dependencies & numbers.keys(), key=order.__getitem__)
            ),
            *(
                f"    {records[record]} -.-> {numbers[node_id]}"
                for node_id, node in nodes.items()
                for record in _reads(node)
            ),
            *(
                f"    {numbers[node_id]} -.-> {records[record]}"
                for node_id, node in nodes.items()
                for record in _writes(node)
            ),
        ]
    )


_Record = tuple[str | None, str]


def _records(nodes: Mapping[str, CompiledNode]) -> Iterator[_Record]:
    for node in nodes.values():
        yield from _reads(node)
        yield from _writes(node)


def _reads(node: CompiledNode) -> Iterator[_Record]:
    yield from ((read.scope, read.key) for read in node.definition.memory_read)
    if node.history is not None:
        yield node.history.spec.scope, node.history.spec.key


def _writes(node: CompiledNode) -> Iterator[_Record]:
    yield from ((write.scope, write.key) for write in node.definition.memory_write)
    if node.history is not None and node.history.spec.record is not False:
        yield node.history.spec.scope, node.history.spec.key


def _label(scope: str | None, key: str) -> str:
    return f"{scope}: {key}" if scope else key


def _shape(node: CompiledNode) -> str:
    name = _escape(node.id)
    return f'["{name}"]' if isinstance(node.definition, LLMNode) else f'[["{name}"]]'


def _escape(text: str) -> str:
    """Escape text for quotes, in which Mermaid reads entities and nothing else."""
    return "".join(
        character if character.isalnum() or character in " _-.:" else f"#{ord(character)};"
        for character in text
    )
