import json
import os
import unittest
import urllib.error
import urllib.request

ENTRIES = os.environ["SERVICE_URL"] + "/entries"


def call(url, body=None):
    with urllib.request.urlopen(url, body.encode() if body is not None else None) as answer:
        return answer.status, json.load(answer)


class Service(unittest.TestCase):
    """Against the service that the step `deploy` started."""

    def test_a_line_can_be_read_again(self):
        self.assertEqual(call(ENTRIES, "  was here "), (201, "was here"))
        self.assertIn("was here", call(ENTRIES)[1])

    def test_nothing_is_refused(self):
        with self.assertRaises(urllib.error.HTTPError) as refused:
            call(ENTRIES, "")
        refused.exception.close()
        self.assertEqual(refused.exception.code, 400)
