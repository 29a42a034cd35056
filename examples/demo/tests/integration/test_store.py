import unittest

from guestbook import store


class Store(unittest.TestCase):
    """Against the database of this step, which is new."""

    def test_lines_come_back_in_order(self):
        store.create_tables()
        self.assertEqual(store.lines(), [])
        store.add("first")
        store.add("second; drop table entries")
        self.assertEqual(store.lines(), ["first", "second; drop table entries"])
