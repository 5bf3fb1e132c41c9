"""Print the SQL that creates a database: ``python -m fibonacci_sqlite | sqlite3 memory.db``."""

import sys

from fibonacci_sqlite.schema import script

sys.stdout.write(script())
