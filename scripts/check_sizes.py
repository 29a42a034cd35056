"""Check the budgets of the house: files <= 400 lines (tests <= 600), functions of Python <= 60 lines.

Prints one line per breach and exits 1 when there is one, also when an exception is no longer needed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE_LINES = 400
TEST_FILE_LINES = 600
FUNCTION_LINES = 60

# "path" or "path::function" -> why it may be longer. Meant to stay short and to shrink.
EXCEPTIONS: dict[str, str] = {}


def breaches(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, message) for the file and each of its functions that is too long."""
    name = path.relative_to(ROOT).as_posix()
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    limit = TEST_FILE_LINES if name.startswith("tests/") or ".test." in name else FILE_LINES
    if lines > limit:
        yield name, f"{lines} lines, {limit} are allowed"
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{name}::{node.name}", f"line {node.lineno}: {length} lines, {FUNCTION_LINES} are allowed"


def main() -> int:
    """Check every file of Python, TypeScript and style of the project."""
    files = [path for top in ("src", "tests", "bench", "scripts") for path in sorted((ROOT / top).rglob("*.py"))]
    web = (path for path in sorted((ROOT / "web" / "src").rglob("*")) if path.suffix in {".ts", ".tsx", ".css"})
    files += [path for path in web if "generated" not in path.parts]
    found = dict(breach for path in files for breach in breaches(path))
    problems = [f"{name}: {message}" for name, message in found.items() if name not in EXCEPTIONS]
    problems += [f"{name}: the exception is not needed any more" for name in EXCEPTIONS if name not in found]
    print("\n".join(problems) or f"{len(files)} files are within their budgets")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
