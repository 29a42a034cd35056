"""The service: GET /health, GET /entries, POST /entries with a line as its body."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from guestbook import store, text


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, "up")
        elif self.path == "/entries":
            self.answer(200, store.lines())
        else:
            self.answer(404, "no such page")

    def do_POST(self) -> None:
        try:
            line = text.clean(self.rfile.read(int(self.headers["Content-Length"])).decode())
        except ValueError as error:
            self.answer(400, str(error))
        else:
            store.add(line)
            self.answer(201, line)

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    if "--create-tables" in sys.argv:
        store.create_tables()
    else:
        ThreadingHTTPServer(("", 8000), Handler).serve_forever()
