"""Print the SQL that makes the table: ``python -m fibonacci_postgres [table]``."""

import argparse
import sys

from fibonacci_postgres.schema import creation
from fibonacci_postgres.settings import table_name


def main(arguments: list[str] | None = None) -> None:
    """Print the SQL for the table of this name."""
    parser = argparse.ArgumentParser(
        prog="python -m fibonacci_postgres",
        description="Print the SQL that makes the table. It may be run again.",
    )
    parser.add_argument("table", type=table_name, nargs="?", default="fibonacci")
    sys.stdout.write(creation(parser.parse_args(arguments).table))


if __name__ == "__main__":
    main()
