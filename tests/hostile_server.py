"""A local server that answers as no server should: `ANSWERS` has the kinds, by name."""

import gzip
import json
import socket
import struct
import threading
import time
import zlib

from tests.bombs import bomb, gzip_bomb

_MIB = 1 << 20
PAUSE = 0.05


class HostileServer:
    """Returns the same answer to every request on a free port; use it in a ``with`` block.

    Parameters
    ----------
    answer : callable
        Gets the connection, once the request has come, and an event that is set when the block ends.
    first : callable, optional
        The answer to the first request, where that is another one.
    """

    def __init__(self, answer, first=None):
        self.answer, self.over = answer, threading.Event()
        self.first = [first] if first else []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.listener.close()

    def _accept(self):
        while not self.over.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        # The client goes away in the middle, as it should.
        try:
            with connection:
                connection.settimeout(20)
                received = b""
                while b"\r\n\r\n" not in received:
                    if not (block := connection.recv(1 << 16)):
                        return
                    received += block
                (self.first.pop() if self.first else self.answer)(connection, self.over)
        except OSError:
            return


def says(*parts):
    def answer(connection, _):
        for part in parts:
            connection.sendall(part)

    return answer


def drips(start, drop=b" "):
    def answer(connection, over):
        connection.sendall(start)
        while not over.wait(PAUSE):
            connection.sendall(drop)

    return answer


def floods(start, block):
    def answer(connection, over):
        connection.sendall(start)
        while not over.is_set():
            connection.sendall(block)

    return answer


def hangs(start=b""):
    def answer(connection, over):
        connection.sendall(start)
        over.wait(20)

    return answer


def resets(start=b""):
    def answer(connection, _):
        connection.sendall(start)
        # Without lingering, closing is a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    return answer


def slowly(answer, seconds=0.3):
    def later(connection, over):
        time.sleep(seconds)
        answer(connection, over)

    return later


def head(status="200 OK", *lines):
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


def whole(body, status="200 OK", *lines):
    body = body if isinstance(body, bytes) else body.encode()
    return says(head(status, *lines, f"Content-Length: {len(body)}", "Connection: close") + body)


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKED = head("200 OK", "Transfer-Encoding: chunked")
GZIPPED = "Content-Encoding: gzip"
NESTED = "[" * 200_000
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\r\n\u202e" + "x" * 5000
# 512 MiB in half a mebibyte.
BOMB = gzip_bomb(512)
BOMB_BY_DEFLATE = bomb(256, 15, zlib.adler32, lambda checksum: struct.pack(">L", checksum))
# One entry, but not with the columns that are asked for.
PAGE = gzip.compress(b"Entry\tSequence\nA0A0000001\tMKV\n")
PACKED_OFTEN = gzip.compress(gzip.compress(gzip.compress(PAGE)))

# Of these there is never an end, or not soon: a client waits as long as it waits for anything.
STALLING = {
    "no answer": hangs(),
    "half a status line": hangs(b"HTTP/1."),
    "headers that do not end": hangs(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n"),
    "no body": hangs(head("200 OK", "Content-Length: 10")),
    "half a body": hangs(head("200 OK", "Content-Length: 10") + b"12345"),
    "no chunk": hangs(CHUNKED),
    "half a chunk": hangs(CHUNKED + b"ff\r\n123"),
    "a status line a byte at a time": drips(b"HTTP/1.1 200 ", b"O"),
    "headers a byte at a time": drips(b"HTTP/1.1 200 OK\r\nX-A: ", b"1"),
    "header lines one at a time": drips(b"HTTP/1.1 200 OK\r\n", b"X-A: 1\r\n"),
    "a body a byte at a time": drips(head("200 OK", "Content-Length: 1000000")),
    "a body without a length a byte at a time": drips(head()),
    "chunks of one byte": drips(CHUNKED, b"1\r\n \r\n"),
    "a chunk extension a byte at a time": drips(CHUNKED + b"1;a=", b"b"),
    "continue, and again": drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "an error a byte at a time": drips(head("500 Error", "Content-Length: 1000000")),
    "a redirect a byte at a time": drips(head("302 Found", "Location: /", "Content-Length: 1000000")),
    "slow redirects": slowly(whole("", "302 Found", "Location: /again")),
}

ANSWERS = {
    **STALLING,
    # Size.
    "a body without end": floods(head(), b" " * _MIB),
    "a body of a gigabyte and no more": floods(head("200 OK", "Content-Length: 1073741824"), b" " * _MIB),
    "chunks without end": floods(CHUNKED, chunk(b" " * _MIB)),
    "headers without end": floods(b"HTTP/1.1 200 OK\r\n", b"X-A: 1\r\n" * 1000),
    "a header without end": floods(b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * _MIB),
    "a status line without end": floods(b"HTTP/1.1 200 ", b"a" * _MIB),
    "continue without end": floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "an error without end": floods(head("503 Busy", "Retry-After: 1"), b" " * _MIB),
    "a redirect without end": floods(head("302 Found", "Location: /"), b" " * _MIB),
    "trailers without end": floods(CHUNKED + b"0\r\n", b"X-A: 1\r\n" * 1000),
    "a length that no memory holds": says(head("200 OK", f"Content-Length: {1 << 60}") + b"{"),
    "a length of 5,000 digits": says(head("200 OK", "Content-Length: " + "9" * 5000) + b"{"),
    "a chunk that no memory holds": says(CHUNKED + b"%x\r\n{" % (1 << 60)),
    "a chunk length of 5,000 digits": says(CHUNKED + b"f" * 5000 + b"\r\n{"),
    "a bomb": whole(BOMB, "200 OK", GZIPPED),
    "a bomb in a bomb": whole(gzip.compress(BOMB), "200 OK", GZIPPED),
    "a bomb that says nothing": whole(BOMB),
    "a bomb by deflate": whole(BOMB_BY_DEFLATE, "200 OK", "Content-Encoding: deflate"),
    "a bomb as an error": whole(BOMB, "400 Bad Request", GZIPPED),
    "empty gzip members": whole(gzip.compress(b"") * 20_000),
    # Words.
    "nested JSON": whole(NESTED, "200 OK", "Content-Type: application/json"),
    "nested JSON as an error": whole(NESTED, "400 Bad Request", "Content-Type: application/json"),
    "nested messages": whole('{"messages": ' + NESTED, "400 Bad Request"),
    "messages of no list": whole('{"messages": 3, "error_code": {}, "message": []}', "400 Bad Request"),
    "escapes in an error": whole(
        json.dumps({"messages": [ESCAPES], "error_code": "X", "message": ESCAPES}), "400 Bad Request"
    ),
    "escapes in a page": whole(ESCAPES),
    "escapes in headers": whole("a", "200 OK", "X-UniProt-Release: \x1b[2J\x9b", "X-Total-Results: 1"),
    "HTML": whole("<html>sign in</html>", "200 OK", "Content-Type: text/html"),
    "bytes that are no text": whole(bytes(range(128, 256)) * 10, "200 OK", "Content-Type: application/json"),
    "null": whole("null"),
    "an empty object": whole("{}"),
    "empty objects": whole('{"experiment": {}, "run": {"info": {}, "data": {}}}'),
    "a number": whole("1" * 5000),
    "nothing": whole(""),
    "no HTTP": says(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "zeros": says(bytes(1000)),
    "a version of its own": says(b"HTTP/9.9 200 OK\r\n\r\n"),
    "a status that is no number": says(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a status of no kind": whole("", "999 What"),
    "no content": whole("", "204 No Content"),
    "not modified": whole("", "304 Not Modified"),
    "a total of 5,000 digits": whole(PAGE, "200 OK", "X-Total-Results: " + "9" * 5000),
    "a total of other digits": whole(PAGE, "200 OK", "X-Total-Results: \xb2"),
    "a total below nothing": whole(PAGE, "200 OK", "X-Total-Results: -1"),
    "a link that is no address": whole(PAGE, "200 OK", "X-Total-Results: 2", 'Link: <http://[>; rel="next"'),
    "a link that is no link": whole(PAGE, "200 OK", "X-Total-Results: 2", "Link: <<<;;;=,,,"),
    "a page that is packed three times too often": whole(PACKED_OFTEN, "200 OK", "X-Total-Results: 1"),
    # Connections.
    "closed at once": says(),
    "a reset": resets(),
    "a reset in the headers": resets(b"HTTP/1.1 200 OK\r\nX-A"),
    "a reset in the body": resets(head("200 OK", "Content-Length: 10") + b"123"),
    "a body that is too short": says(head("200 OK", "Content-Length: 10") + b"{}"),
    "a cut chunk": says(CHUNKED + b"ff\r\n{}"),
    "chunks of no length": says(CHUNKED + b"xyz\r\n{}\r\n"),
    "gzip that is none": whole("{}", "200 OK", GZIPPED),
    "half of a gzip file": whole(gzip.compress(b"{}" * 1000)[:-10], "200 OK", GZIPPED),
    "a redirect to itself": whole("", "302 Found", "Location: /"),
    "a redirect to no address": whole("", "302 Found", "Location: http://["),
    "a redirect to a file": whole("", "302 Found", "Location: file:///etc/passwd"),
    "a redirect to nothing": whole("", "302 Found"),
    "a permanent redirect to itself": whole("", "308 Permanent Redirect", "Location: /"),
    # Retries.
    "too many requests": whole("", "429 Too Many Requests"),
    "too many requests for an hour": whole("", "429 Too Many Requests", "Retry-After: 3600"),
    "busy for an hour": whole("", "503 Busy", "Retry-After: 3600"),
    "busy for 5,000 digits": whole("", "503 Busy", "Retry-After: " + "9" * 5000),
    "busy until a date that is none": whole("", "503 Busy", "Retry-After: Tue, 99 Foo 99999 99:99:99 GMT"),
    "busy until the year 9999": whole("", "503 Busy", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT"),
    "busy until a year that is none": whole("", "503 Busy", "Retry-After: Fri, 31 Dec 999999999 23:59:59 GMT"),
    "busy for less than nothing": whole("", "503 Busy", "Retry-After: -5"),
    "busy for words": whole("", "503 Busy", "Retry-After: \x1b[2Jsoon"),
    "gone": whole("", "410 Gone"),
    "forbidden": whole("no", "403 Forbidden"),
    "not found": whole("no", "404 Not Found"),
    "no gateway": whole("no", "502 Bad Gateway"),
}
