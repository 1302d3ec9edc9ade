# SPDX-License-Identifier: Apache-2.0
"""What guests read over the network, and how they tell what they read."""
import contextlib
import functools
import hashlib
import http.server
import tempfile
import threading
from pathlib import Path


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without a word."""

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def web(data):
    """The port of this machine's server whose /file is @data; guests reach it at 10.0.2.2."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "file").write_bytes(data)
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield server.server_port
            finally:
                server.shutdown()


def md5(data):
    """As md5sum prints it."""
    return hashlib.md5(data).hexdigest()
