"""How much memory can still be taken: of a device, or of what a container or batch system allows."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

CONTROL_GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""All limits by control groups, and which groups this process is in."""

_FILES = {
    2: ("memory.max", "memory.current", ("inactive_file", "active_file")),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
}
"""By version: a group's limit, its use, and what of that is files in the cache."""


def available_bytes(device: str | torch.device) -> int | None:
    """What can still be allocated; None where that cannot be told."""
    if torch.device(device).type == "cuda":
        # What this process's allocator keeps for itself is free to it, and used to the device.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    rooms = [_of_machine(), *(_room(folder, version) for folder, version in _own_groups())]
    return min((each for each in rooms if each is not None), default=None)


def _of_machine() -> int | None:
    try:
        return psutil.virtual_memory().available
    except OSError:  # nothing in /proc, for instance
        return None


def _own_groups() -> Iterator[tuple[Path, int]]:
    """Folders of this process's groups and of all that these are in: each may have a limit.

    A container sees its own group as the root, whatever name it has outside.
    """
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, version = (CONTROL_GROUPS / "memory", 1) if controllers else (CONTROL_GROUPS, 2)
        group = root if ".." in path else root / path.strip("/")
        yield group, version
        yield from ((each, version) for each in group.parents if each.is_relative_to(root))


def _room(group: Path, version: int) -> int | None:
    """What the group's limit leaves; cached files count as used, and give way to who needs memory."""
    limit_file, use_file, cached = _FILES[version]
    try:
        limit, used = (group / limit_file).read_text().strip(), int((group / use_file).read_text())
        statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    except OSError:
        return None
    return (
        None if limit == "max" else max(int(limit) - used + sum(int(statistics[name]) for name in cached), 0)
    )
