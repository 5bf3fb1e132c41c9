"""Print the SQL that creates the table: ``python -m fibonacci_postgres [table]``."""

import argparse
import sys

from fibonacci_postgres.schema import create_table_sql
from fibonacci_postgres.settings import table_name_option


def main(arguments: list[str] | None = None) -> None:
    """Print the SQL that creates the table with this name."""
    parser = argparse.ArgumentParser(
        prog="python -m fibonacci_postgres",
        description="Print the SQL that creates the table. The SQL may be run more than once.",
    )
    parser.add_argument("table", type=_table, nargs="?", default="fibonacci")
    sys.stdout.write(create_table_sql(parser.parse_args(arguments).table))


def _table(name: str) -> str:
    try:
        return table_name_option(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    main()
