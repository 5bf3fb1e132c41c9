"""Workflows: nodes, the graph of their dependencies, and how a run executes them."""
