"""The repository of the tests: small pipelines, each for one thing to look at."""

from __future__ import annotations

from flowbuild.testing.website import pipelines, shell

ERROR = "ERROR: expected 4 apples but found 5"
WAIT = "until [ -e /tmp/{0} ]; do sleep 0.1; done"  # until `in_container(…, "touch", "/tmp/…")`
REPORT = '<testsuite name="shop" tests="1"><testcase classname="cart" name="adds up" time="0.1"/></testsuite>'

PIPELINES = {
    "release": {
        "description": "Build, check from two sides, pack",
        "variables": {"GREETING": "hello"},
        "steps": {
            "build": shell("echo building", "echo made > made.txt", success=["unit", "lint"]),
            "unit": shell(
                "mkdir -p reports; cat > reports/junit.xml <<'END'",
                REPORT,
                "END",
                "echo '**All** is well' > $FLOW_SUMMARY",
                success=["pack"],
            ),
            "lint": shell("echo clean", success=["pack"]),
            "pack": shell("cat made.txt > packed.txt; rm made.txt; echo 7 > /variables/PACKED"),
        },
    },
    "talk": {
        "steps": {
            "speak": shell(
                "echo first words", WAIT.format("go"), "echo second words", WAIT.format("end"), success=["close"]
            ),
            "close": shell("echo closed"),
        }
    },
    "broken": {
        "steps": {
            "build": shell("echo building", success=["check"]),
            "check": shell(
                "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo apple $i is fine; done",
                f"echo '{ERROR}'",
                "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo cleaning up $i; done",
                "exit 3",
                success=["pack"],
                fail=["tell"],
            ),
            "pack": shell("echo packed"),
            "tell": shell("echo told"),
        }
    },
    "paint": {
        "variables": {"COLOUR": "red"},
        "steps": {
            "mix": shell("echo mixing", "echo mixed > mixed.txt", success=["paint"]),
            "paint": shell("echo painting it $COLOUR", "echo $COLOUR > colour.txt"),
        },
    },
    "ship": {
        "steps": {
            "build": shell("echo building", success=["deploy"]),
            "deploy": shell("echo deployed", environment={"name": "production", "approve": ["maintainers"]}),
        }
    },
    "stage": {
        "steps": {"act": shell("echo acting", WAIT.format("end"), environment={"name": "staging"})},
    },
    "asks": {
        "description": "Wants to know things",
        "inputs": {
            "target": {"type": "choice", "options": ["qa", "prod"], "default": "qa", "description": "Where it goes"},
            "version": {"type": "string", "description": "What it is called"},
        },
        "steps": {"do": shell("echo it is $FLOW_INPUT_VERSION for $FLOW_INPUT_TARGET")},
    },
}

FILES = {".flow.yml": pipelines(**PIPELINES), "README.md": "# Shop\n", "src/app.py": "print(1)\n"}
