"""Print the table's definition: ``python -m fibonacci_dynamodb [cloudformation|terraform]``."""

import argparse
import sys

from fibonacci_dynamodb.schema import FORMATS
from fibonacci_dynamodb.settings import table_name


def main(arguments: list[str] | None = None) -> None:
    """Print the definition of a table."""
    parser = argparse.ArgumentParser(
        prog="python -m fibonacci_dynamodb",
        description="Print the definition of the table, to create it yourself.",
    )
    parser.add_argument("format", choices=FORMATS, nargs="?", default="cloudformation")
    parser.add_argument("--table", type=_table, default="fibonacci")
    parsed = parser.parse_args(arguments)
    sys.stdout.write(FORMATS[parsed.format](parsed.table))


def _table(name: str) -> str:
    try:
        return table_name(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    main()
