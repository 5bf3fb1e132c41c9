"""The documentation site: every Markdown page of the project, built by Sphinx, MyST and Furo.

sphinx-build -W --keep-going -c docs . site      from the root of a checkout

The source directory is the root of the checkout, so that links between pages work both here and on
a code host.
"""

import fibonacci

project = "Fibonacci"
author = "The Fibonacci developers"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name
version = release = fibonacci.__version__

extensions = ["myst_parser"]
root_doc = "docs/index"
source_suffix = {".md": "markdown"}
include_patterns = [
    "docs/**",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "examples/README.md",
    "examples/**/README.md",
    "plugins/*/README.md",
    "tests/README.md",
]
exclude_patterns = ["**/.*", "**/node_modules"]

myst_heading_anchors = 4  # a code host makes an anchor of each heading, and pages link to them
nitpicky = True

html_theme = "furo"
html_title = "Fibonacci"
html_show_sphinx = False
