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
                f"    {records[read.scope, read.key]} -.-> {numbers[node_id]}"
                for node_id, node in nodes.items()
                for read in node.definition.memory_read
            ),
            *(
                f"    {numbers[node_id]} -.-> {records[write.scope, write.key]}"
                for node_id, node in nodes.items()
                for write in node.definition.memory_write
            ),
        ]
    )


def _records(nodes: Mapping[str, CompiledNode]) -> Iterator[tuple[str | None, str]]:
    for node in nodes.values():
        yield from ((read.scope, read.key) for read in node.definition.memory_read)
        yield from ((write.scope, write.key) for write in node.definition.memory_write)


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
