# SPDX-License-Identifier: Apache-2.0
"""Run the test_* functions of a module and print TAP, as the cmocka programs do."""
import sys
import time
import traceback


class Skip(Exception):
    """Raised by a test that can not run here; the text says why."""


def main(module, only=None):
    """Run all tests of @module (or those whose name contains @only).  Exit status 1 if one failed."""
    tests = [(n, f) for n, f in vars(module).items() if n.startswith("test_") and callable(f) and (not only or only in n)]
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, (name, function) in enumerate(tests, 1):
        start = time.monotonic()
        try:
            function()
            print(f"ok {number} - {name[5:]} # {time.monotonic() - start:.1f} s", flush=True)
        except Skip as reason:
            print(f"ok {number} - {name[5:]} # SKIP {reason}", flush=True)
        except Exception:  # noqa: any failure of a test is a failure of that test alone
            failed += 1
            print(f"not ok {number} - {name[5:]}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    sys.exit(1 if failed else 0)
