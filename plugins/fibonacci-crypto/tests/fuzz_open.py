"""libFuzzer, guided by coverage, looks for bytes that `open` does not refuse correctly.

fuzz_open.py CORPUS [OPTION...]     the options are libFuzzer's: https://llvm.org/docs/LibFuzzer.html
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["fibonacci", "fibonacci_crypto"]):
    from test_hostile import RECORDS, try_to_open


def main(corpus: Path, options: list[str]) -> None:
    """Start from various records; end with an error at the first bytes that are misread."""
    corpus.mkdir(exist_ok=True)
    for number, record in enumerate(RECORDS):
        (corpus / str(number)).write_bytes(record)
    atheris.Setup([sys.argv[0], *options, str(corpus)], try_to_open)
    atheris.Fuzz()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
