"""A guestbook: people leave a line, everyone can read them."""
