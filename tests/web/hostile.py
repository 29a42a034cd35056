"""What content would try, if it were let: payloads, and a repository and a run that put them everywhere.

Each of them that becomes an element has the attribute `xss`; each that runs sets `window.__xss` or opens a dialog.
"""

from __future__ import annotations

from flowbuild.testing.website import pipelines, shell

ACT = "window.__xss=1"
PAYLOADS = (
    f"<script xss>{ACT}</script>",
    f"<script xss>{ACT}//",
    "<script xss src=data:text/javascript,window.__xss=1></script>",
    f"<img xss src=x onerror={ACT}>",
    f"<img xss src=x onerror={ACT}//",
    f'"><img xss src=x onerror={ACT}>',
    f"'><img xss src=x onerror={ACT}>",
    f"--><img xss src=x onerror={ACT}>",
    f"]]><img xss src=x onerror={ACT}>",
    f"</pre></code></td></script></style></title></textarea><img xss src=x onerror={ACT}>",
    f"<svg xss onload={ACT}>",
    f"<svg xss><script>{ACT}</script></svg>",
    f"<svg xss><animate onbegin={ACT} attributeName=x dur=1s>",
    "<svg xss><a xlink:href=javascript:window.__xss=1><text x=9 y=9>click</text></a></svg>",
    f"<math xss><mtext><table><mglyph><style><img xss src=x onerror={ACT}>",
    f"<body xss onload={ACT}>",
    f"<input xss autofocus onfocus={ACT}>",
    f"<details xss open ontoggle={ACT}>",
    f"<video xss><source onerror={ACT}></video>",
    f"<audio xss src=x onerror={ACT}>",
    f"<marquee xss onstart={ACT}>",
    f"<div xss style=animation-name:spin onanimationstart={ACT}>",
    "<iframe xss src=javascript:parent.__xss=1></iframe>",
    '<iframe xss srcdoc="<script>parent.__xss=1</script>"></iframe>',
    "<object xss data=javascript:parent.__xss=1></object>",
    "<embed xss src=javascript:parent.__xss=1>",
    "<form xss action=javascript:window.__xss=1><button autofocus>go</button></form>",
    "<base xss href=javascript:/a/-window.__xss//>",
    "<meta xss http-equiv=refresh content=0;url=javascript:window.__xss=1>",
    "<link xss rel=stylesheet href=data:text/css,body{display:none}>",
    "<style xss>@import 'data:text/css,body{display:none}';</style>",
    "<a xss href=javascript:window.__xss=1>click</a>",
    "javascript:window.__xss=1",
    "[click](javascript:window.__xss=1)",
    "![x](javascript:window.__xss=1)",
    "[click](data:text/html,<script>parent.__xss=1</script>)",
    '<https://x.invalid/" onmouseover=window.__xss=1 xss>',
    'https://x.invalid/"onmouseover="window.__xss=1"xss',
    "{{constructor.constructor('window.__xss=1')()}}",
    "${window.__xss=1}",
    "\x1b]8;;javascript:window.__xss=1\x07click\x1b]8;;\x07",
    "\x1b]0;<img xss src=x onerror=window.__xss=1>\x07",
    "\x1b[31m<img xss src=x onerror=window.__xss=1>\x1b[0m",
    "%3Cscript xss%3Ewindow.__xss=1%3C/script%3E",
    "&lt;img xss src=x onerror=window.__xss=1&gt;",
    "\u202e<img xss src=x onerror=window.__xss=1>",
)  # fmt: skip
# Git allows neither spaces nor most signs in names of branches; these are enough for HTML.
BRANCHES = (
    "<img/xss/src=x/onerror=window.__xss=1>",
    "<svg/xss/onload=window.__xss=1>",
    '"><script/xss>window.__xss=1/</script>',
)
IMAGE = (
    f"<svg xmlns='http://www.w3.org/2000/svg' width='40' height='40' onload='{ACT}'><script>parent.{ACT}</script><circle r='9'/>"
    f"<animate attributeName='x' dur='1s' onbegin='{ACT}'/><image href='x' onerror='{ACT}'/><style onload='{ACT}'/>"
    f"<a href='javascript:{ACT}'><rect width='40' height='40'/></a><foreignObject><body xmlns='http://www.w3.org/1999/xhtml'>"
    f"<img src='x' onerror='{ACT}'/><iframe srcdoc='&lt;script>parent.{ACT}&lt;/script>'/></body></foreignObject></svg>"
)
PAGE = "<!doctype html><title>x</title>\n" + "\n".join(PAYLOADS)
SUMMARY = "# Hostile\n\n" + "\n\n".join(PAYLOADS)
MARK = PAYLOADS[3]


def _escaped(text: str) -> str:
    return "".join(f"&#{ord(sign)};" for sign in text if sign >= " ")


REPORT = (
    '<testsuite name="x">'
    + "".join(
        f'<testcase classname="{_escaped(each)}" name="{_escaped(each)}" file="{_escaped(each)}">'
        f'<failure message="{_escaped(each)}">{_escaped(each)}</failure></testcase>'
        for each in PAYLOADS
    )
    + "</testsuite>"
)

STEPS = {
    "say": shell(
        "cat hostile/payloads.txt",  # the log
        'n=0; while IFS= read -r line; do n=$((n+1)); printf %s "$line" > /variables/XSS_$n',
        'printf %s "$line" > "$(printf %s "$line" | tr / %)"; done < hostile/payloads.txt',  # names of files
        "mkdir -p reports; cp hostile/report.xml reports/junit.xml",
        'cat hostile/summary.md > "$FLOW_SUMMARY"',
        "cp hostile/page.html page.html; cp hostile/image.svg image.svg; cp hostile/summary.md page.md",
        "cp hostile/payloads.txt changed.txt",
        success=[{"step": "gate", "if": f"inputs.text != {MARK!r}"}, "more"],
    ),
    "gate": shell("echo not reached"),
    "more": shell("exit 3", allow_failure=True),
}
FILES = {
    ".flow.yml": pipelines(
        hostile={
            "description": MARK,
            "inputs": {"text": {"type": "string", "default": MARK, "description": MARK}},
            "variables": {"GIVEN": MARK},
            "steps": STEPS,
        }
    ),
    "hostile/payloads.txt": "\n".join(PAYLOADS) + "\n",
    "hostile/report.xml": REPORT,
    "hostile/summary.md": SUMMARY,
    "hostile/page.html": PAGE,
    "hostile/image.svg": IMAGE,
}
