# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of processes."""
import re
from pathlib import Path


def children(pid):
    """Processes that the first thread of @pid started, the oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def status_mib(pid, field):
    """A size in /proc/PID/status."""
    return int(re.search(rf"^{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"), re.M).group(1)) / 1024


def anonymous_mib(pid):
    """Memory of a process that is neither a file's nor shared: without code and without blobs."""
    return status_mib(pid, "RssAnon")
