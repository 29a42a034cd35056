import unittest

from guestbook import text


class Clean(unittest.TestCase):
    def test_blanks_are_tidied(self):
        self.assertEqual(text.clean("  good \n morning "), "good morning")

    def test_a_long_line_is_welcome(self):
        self.assertEqual(text.clean("x" * 280), "x" * 280)

    def test_too_long_a_line_is_refused(self):
        with self.assertRaisesRegex(ValueError, "281"):
            text.clean("x" * 281)

    def test_nothing_is_refused(self):
        with self.assertRaises(ValueError):
            text.clean(" \t ")
