"""The watch over pages sees what it must: without these, nothing else here could be believed."""

from __future__ import annotations

from flowbuild.testing.browser import until

CAUSES = """() => {
  console.error('said by the console');
  setTimeout(() => { throw new Error('thrown by a script'); });
  const script = document.createElement('script');
  script.textContent = 'window.__xss = 1';
  document.body.append(script);
  const style = document.createElement('style');
  style.textContent = 'body { color: red }';
  document.body.append(style);
  setTimeout(() => alert('opened by a script'));
  return fetch('/api/v1/broken');
}"""


def test_errors_breaches_dialogs_and_answers_of_5xx_are_seen(visit, watch):
    page = visit("/login", who=None)
    page.locator("[autocomplete=username]").wait_for()
    assert watch.problems() == []
    page.route("**/api/v1/broken", lambda route: route.fulfill(status=500, body="broken"))
    page.evaluate(CAUSES)
    until(page, "window.__violations.length === 2")
    said = "\n".join(watch.problems())
    for text in ("said by the console", "thrown by a script", "500: GET", "dialog: opened by a script"):
        assert text in said, f"{text}: not in {said}"
    assert "policy violation: script-src" in said
    assert "policy violation: style-src" in said
    assert page.evaluate("window.__xss") is None
    watch.complaints.clear()
    watch.dialogs.clear()


def test_what_is_tolerated_is_only_what_was_named(watch):
    watch.complaints += ["console: this is expected", "console: this is not"]
    watch.tolerate("is expected")
    assert watch.problems() == ["console: this is not"]
