"""A matrix step is several steps: the combinations of its values, and the key of each."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Mapping

from flowbuild.core.ids import STEP_NAME, VARIABLE_NAME
from flowbuild.spec.format import MatrixSpec
from flowbuild.spec.scalars import problem
from flowbuild.spec.words import shown

MAX_COMBINATIONS = 256
Values = Mapping[str, str]

_OTHER = re.compile(r"[^A-Za-z0-9_]+")
_KEY_LENGTH = 48  # of STEP_NAME
_DIGEST = 8  # hexadecimal digits that tell shortened keys apart


def axes(spec: MatrixSpec) -> dict[str, list[str]]:
    """Return the axes in file order."""
    return dict(spec.__pydantic_extra__)


def names(spec: MatrixSpec) -> frozenset[str]:
    """Return every name that a combination may hold."""
    return frozenset(axes(spec)).union(*spec.include)


def combinations(spec: MatrixSpec) -> list[dict[str, str]]:
    """Return the product of the axes without `exclude`, then `include`, in file order.

    An exclusion leaves out every combination that has all of its values. Raises PydanticCustomError.
    """
    values = axes(spec)
    for axis, options in values.items():
        if not VARIABLE_NAME.fullmatch(axis):
            raise problem("bad_name", f"{shown(axis)} is not a name of an axis", hint="letters, digits, _", at=axis)
        if not options:
            raise problem("bad_matrix", f"the axis {shown(axis)} has no values", at=axis)
    if math.prod(len(options) for options in values.values()) + len(spec.include) > MAX_COMBINATIONS:
        raise problem("bad_matrix", f"more than {MAX_COMBINATIONS} combinations", hint="use fewer values")
    product = [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]
    for index, left_out in enumerate(spec.exclude):
        unknown = set(left_out) - set(values)
        if unknown or not left_out:
            what = f"no axis is called {shown(min(unknown))}" if unknown else "an exclusion of everything"
            raise problem("bad_matrix", f"exclude[{index}]: {what}", at="exclude")
    kept = [chosen for chosen in product if values and not any(out.items() <= chosen.items() for out in spec.exclude)]
    result = [*kept, *(dict(more) for more in spec.include)]
    if not result or not all(result):
        raise problem("bad_matrix", "the matrix leaves no combination", hint="give an axis at least one value")
    return result


def key(name: str, values: Values) -> str:
    """Return the key of one combination: the name and its values, `test-3-12`; shortened with a digest when too long."""
    slugs = [_OTHER.sub("-", value).strip("-") or _digest(value) for value in values.values()]
    full = "-".join([name, *slugs])
    if STEP_NAME.fullmatch(full):
        return full
    return f"{full[: _KEY_LENGTH - _DIGEST - 1]}-{_digest(full)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
