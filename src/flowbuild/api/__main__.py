"""Print the description of the API: `python -m flowbuild.api > schema/openapi.json`."""

import json

from flowbuild.api.app import describe

print(json.dumps(describe().openapi(), indent=2, ensure_ascii=False))  # noqa: T201 (what this program is for)
