"""``python -m fibonacci.testing new NAME [FOLDER]``: starts a backend of your own."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from fibonacci.errors import InvalidArgumentError
from fibonacci.testing.new_backend import create_backend


def main(arguments: Sequence[str]) -> None:
    """Run the command, and say what to do next; exit with 2 if its arguments are wrong."""
    parser = ArgumentParser(prog="python -m fibonacci.testing")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    new = commands.add_parser("new", help="write a new storage backend that passes the contract")
    new.add_argument("name", metavar="NAME", help="what users write: MemoryConfig('NAME', …)")
    new.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, help="fibonacci-NAME")
    options = parser.parse_args(arguments)
    folder = options.folder or Path(f"fibonacci-{options.name}")
    try:
        create_backend(options.name, folder)
    except InvalidArgumentError as error:
        new.error(str(error))
    sys.stdout.write(
        f"{folder} has a backend that passes the contract on a dict. Install and test it there:\n"
        f"  pip install -e '.[test]'\n"
        f"  pytest --fibonacci-report\n"
        f"Then put your driver into src/fibonacci_{options.name}/store.py, method after method.\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
