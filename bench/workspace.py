"""Store and restore a workspace, against `cp -a`, `tar | zstd -1` and `rsync -a --delete` in the same run.

    python bench/workspace.py [--dir DIR] [--files 50000] [--rounds 3] [--json FILE]

Every round makes new directories and none is removed before the end: ext4 looks for free inodes past those it freed in
the last half minute, so creating files right after a removal measures the removal. The medians and their ratios within
the run are what counts; absolute times depend on the machine and on what else it does.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from flowbuild.testing.trees import change_some, large_files, small_files
from flowbuild.testing.workspaces import Bench
from flowbuild.workspace.statcache import StatCache

CPU = " (cpu)"
Times = dict[str, list[float]]
T = TypeVar("T")


def timed(times: Times, name: str, work: Callable[[], T]) -> T:
    start, cpu = time.perf_counter(), processor_seconds()
    result = work()
    times[name].append(time.perf_counter() - start)
    times[name + CPU].append(processor_seconds() - cpu)
    return result


def processor_seconds() -> float:
    """User and system time of this process and of its ended children: steadier than wall time on a busy machine."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def sh(command: str, where: Path) -> None:
    subprocess.run(["sh", "-c", command], cwd=where, check=True, capture_output=True)


def one_round(source: Path, base: Path, times: Times) -> None:
    """Everything once, alternating ours and theirs; `base` is empty and keeps what is made."""
    base.mkdir()
    bench = Bench(base)
    timed(times, "cp -a", lambda: sh(f"cp -a {source} copy", base))
    cold, warm = StatCache(), StatCache()
    stored = timed(times, "store", lambda: bench.store(source, cold))
    timed(times, "restore", lambda: bench.make(stored, base / "out", warm))
    timed(times, "tar|zstd store", lambda: sh(f"tar cf - -C {source} . | zstd -q -1 -T0 -o a.tar.zst", base))
    timed(times, "tar|zstd restore", lambda: sh("mkdir tar && zstd -dcq a.tar.zst | tar xf - -C tar", base))
    timed(times, "unchanged", lambda: bench.store(base / "out", warm))
    timed(times, "rsync unchanged", lambda: sh("rsync -a --delete out/ copy/", base))
    change_some(base / "out")
    new = timed(times, "1% store", lambda: bench.store(base / "out", warm))
    timed(times, "rsync 1%", lambda: sh("rsync -a --delete out/ copy/", base))
    other = StatCache()
    bench.make(stored, base / "other", other)
    timed(times, "1% update", lambda: bench.change(stored, new, base / "other", other))
    again = bench.store(base / "other", other)
    if (again.tree, again.meta) != (new.tree, new.meta):
        raise AssertionError("update made something else than was stored")


AGAINST = [
    ("store", "cp -a"),
    ("restore", "cp -a"),
    ("store", "tar|zstd store"),
    ("restore", "tar|zstd restore"),
    ("unchanged", "rsync unchanged"),
    ("1% store", "rsync 1%"),
    ("1% update", "rsync 1%"),
]


def report(name: str, times: Times) -> dict[str, object]:
    medians = {what: statistics.median(found) for what, found in times.items()}
    ratios = {
        f"{ours} / {theirs}{kind}": medians[ours + kind] / medians[theirs + kind]
        for ours, theirs in AGAINST
        for kind in ("", CPU)
    }
    print(f"\n{name:<20}  median ms    best ms     cpu ms")
    for what in [what for what in medians if not what.endswith(CPU)]:
        print(
            f"  {what:<18} {medians[what] * 1000:10.1f} {min(times[what]) * 1000:10.1f} {medians[what + CPU] * 1000:10.1f}"
        )
    for ours, theirs in AGAINST:
        pair = f"{ours} / {theirs}"
        print(f"  {pair:<32} {ratios[pair]:5.2f} x    cpu {ratios[pair + CPU]:5.2f} x")
    return {"seconds": {what: sorted(found) for what, found in times.items()}, "medians": medians, "ratios": ratios}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=None, help="where to work (default: the temporary directory)")
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args()
    top = Path(tempfile.mkdtemp(prefix="bench-workspace-", dir=options.dir)).resolve()
    results = {}
    try:
        small_files(top / "small", files=options.files)
        large_files(top / "large", files=100, size=options.files * 200)
        small_files(top / "tiny", files=20)
        for name in ("tiny", "small", "large"):
            times: Times = defaultdict(list)
            for number in range(options.rounds * (5 if name == "tiny" else 1)):
                one_round(top / name, top / f"{name}-{number}", times)
            results[name] = report(name, times)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
