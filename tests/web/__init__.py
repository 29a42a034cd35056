"""The web app in a real browser. A package, so that its server and its browser end with its tests: no loop of theirs meets other tests."""
