"""What may be written into the book."""

LIMIT = 280


def clean(line: str) -> str:
    """Return the line with its blanks tidied; raises ValueError when nothing or too much is left."""
    line = " ".join(line.split())
    if not line:
        raise ValueError("there is nothing to write")
    if len(line) > LIMIT:
        raise ValueError(f"a line has {LIMIT} characters at most, this one has {len(line)}")
    return line
