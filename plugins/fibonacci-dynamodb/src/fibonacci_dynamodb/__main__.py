"""Print the table's definition: ``python -m fibonacci_dynamodb [cloudformation|terraform]``."""

import argparse
import sys

from fibonacci_dynamodb.definition import FORMS
from fibonacci_dynamodb.settings import table_name


def main(arguments: list[str] | None = None) -> None:
    """Print the definition of the table of this name."""
    parser = argparse.ArgumentParser(
        prog="python -m fibonacci_dynamodb",
        description="Print the definition of the table, for those who make it themselves.",
    )
    parser.add_argument("form", choices=FORMS, nargs="?", default="cloudformation")
    parser.add_argument("--table", type=table_name, default="fibonacci")
    chosen = parser.parse_args(arguments)
    sys.stdout.write(FORMS[chosen.form](chosen.table))


if __name__ == "__main__":
    main()
