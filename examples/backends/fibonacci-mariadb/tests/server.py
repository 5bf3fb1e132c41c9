"""A MariaDB server for tests: on loopback, in a folder of its own, with TLS for those who ask."""

import getpass
import random
import shutil
import socket
import subprocess
import time
from urllib.parse import quote

import pymysql

PASSWORD = "p@ss/w€rd:#1 '\"\\😀"


class Server:
    """A server with the database `fib`, and the user `fib` who may do all in it."""

    def __init__(self, folder):
        self.folder = folder
        self.port = _free_port()
        self.url = self.url_of("fib")

    def url_of(self, user, password=PASSWORD, database="fib"):
        login = f"{user}:{quote(password, safe='')}"
        return f"mariadb://{login}@127.0.0.1:{self.port}/{database}"

    def __enter__(self):
        subprocess.run(
            ["mariadb-install-db", *self._options(), *_INSTALL],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        with (self.folder / "log").open("ab") as log:
            command = ["mariadbd", *self._options(), *self._serving()]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        # It reads until this process ends, however it does, and then ends the server.
        guard = ["sh", "-c", 'read _; kill -9 "$0"', str(self.process.pid)]
        self.guard = subprocess.Popen(guard, stdin=subprocess.PIPE)
        try:
            self._prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *raised):
        self.guard.kill()
        self.guard.communicate()
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)

    def create_user(self, name, rights, more=""):
        self.query(f"CREATE USER {name} IDENTIFIED BY %s {more}", PASSWORD)
        self.query(f"GRANT {rights} ON fib.* TO {name}")

    def query(self, sql, *arguments):
        """Run a statement as root; return the rows."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return cursor.fetchall()

    def connect(self):
        """Return a connection of root's, a context manager."""
        return pymysql.connect(
            unix_socket=str(self.folder / "socket"), user="root", autocommit=True, ssl_disabled=True
        )

    def _prepare(self):
        deadline = time.monotonic() + 120
        while "ready for connections" not in (log := (self.folder / "log").read_text()):
            assert self.process.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.02)
        self.query("CREATE DATABASE fib")
        self.create_user("fib", "ALL")

    def _options(self):
        return [
            "--no-defaults",
            f"--user={getpass.getuser()}",  # only with a name does it run as root
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.folder / 'socket'}",
            "--innodb-log-file-size=16M",
            "--innodb-buffer-pool-size=32M",
        ]

    def _serving(self):
        return [
            f"--port={self.port}",
            f"--ssl-cert={self.folder / 'certificate.pem'}",
            f"--ssl-key={self.folder / 'key.pem'}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",  # nothing waits for the disk
        ]


_INSTALL = ["--auth-root-authentication-method=normal", "--skip-test-db"]


def _free_port():
    for port in random.sample(range(10_240, 22_768), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")
