"""Does for this program what its user may not: `python -m flowbuild.workspace.helper REQUEST`, see `Request`.

Containers write as any user, most of them as root, into the workspace of a program whose user often is not root. Such a
user may neither read what is theirs alone nor empty their directories. But who may use the Docker Engine can have a
container with rights, and in it runs this: the same code, as the same user, with one or two capabilities more. So what
is stored is what root would store, and every file that is made belongs to the user.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flowbuild.core.errors import FlowError
from flowbuild.core.ids import CommitId
from flowbuild.workspace.repo import RunRepository
from flowbuild.workspace.slots import Committed, Slots, remove

# linux/capability.h, linux/prctl.h
CAPABILITIES = {"DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "FOWNER": 3}
_VERSION_3 = 0x20080522
_KEEP_CAPABILITIES = 8
TO_READ = ("DAC_READ_SEARCH",)
TO_REMOVE = ("DAC_OVERRIDE", "FOWNER")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be done, as user `uid` and group `gid`: store an attempt when there is a `repository`, else empty `at`."""

    uid: int
    gid: int
    root: str
    at: str
    repository: str = ""
    run: str = ""
    commit: str = ""
    message: str = ""
    trailers: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = True

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Return the rights that are needed beside those of the user."""
        return TO_READ if self.repository else TO_REMOVE

    def dump(self) -> str:
        """Return the request as an argument of the program."""
        return json.dumps(dataclasses.asdict(self))


def load_answer(output: bytes) -> Committed:
    """Return what the program printed for a request to store. Raises ValueError."""
    answer = json.loads(output)
    return Committed(**answer | {"dropped": tuple(answer["dropped"]), "commit": CommitId(answer["commit"])})


def main(arguments: list[str]) -> int:
    """Do what the request says; print what came of it, or on standard error why nothing did."""
    request = Request(**json.loads(arguments[0]))
    _become(request.uid, request.gid, [CAPABILITIES[name] for name in request.capabilities])
    try:
        if request.repository:
            sys.stdout.write(json.dumps(dataclasses.asdict(_store(request))))
        else:
            for path in Path(request.at).iterdir():
                remove(path)
    except (FlowError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _store(request: Request) -> Committed:
    repository, slots = RunRepository.open(Path(request.repository)), Slots(Path(request.root))
    commit, at = CommitId(request.commit), Path(request.at)
    slot = slots.adopt(repository, request.run, commit, at, trusted=request.trusted)
    return slots.commit(slot, repository, message=request.message, trailers=request.trailers)


def _become(uid: int, gid: int, capabilities: list[int]) -> None:
    """Stop being root, and keep nothing of it but some capabilities. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the rights cannot be kept")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    set_capabilities(mask := sum(1 << number for number in capabilities), mask)


def set_capabilities(effective: int, permitted: int) -> None:
    """Give this thread, and those that it will start, just these capabilities: bits by number. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    words = [(mask >> shift) & 0xFFFFFFFF for shift in (0, 32) for mask in (effective, permitted, 0)]
    if libc.capset(struct.pack("Ii", _VERSION_3, 0), struct.pack("IIIIII", *words)):
        raise OSError(ctypes.get_errno(), "the capabilities cannot be set")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
