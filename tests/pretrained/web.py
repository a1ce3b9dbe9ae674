"""A local web server, with the faults of real ones."""

from collections.abc import Iterator
import contextlib
import dataclasses
import hashlib
import http.server
import threading
import time


@dataclasses.dataclass
class Page:
  """The response to a path.

  Attributes:
    content: The file.
    status: HTTP status; other than 200 for errors.
    ranges: True if the server supports `Range` requests.
    etag: ETag; '' derives it from the content, None sends none.
    cuts: Bytes after which the next connections are cut.
    later: Content from the second request on.
    kind: Content-Type.
    to: Where the path redirects to.
    linked: The Hub's X-Linked-ETag.
    failures: Number of first requests that are answered with 500.
    seconds: Pause before each of a hundred parts.
  """

  content: bytes = b''
  status: int = 200
  ranges: bool = True
  total: bool = True
  etag: str | None = ''
  cuts: list[int] = dataclasses.field(default_factory=list)
  later: bytes | None = None
  kind: str = 'application/octet-stream'
  to: str | None = None
  linked: str | None = None
  failures: int = 0
  seconds: float = 0.0


@dataclasses.dataclass
class Web:
  """A running server.

  Attributes:
    url: Its address.
    pages: Responses by path.
    requests: Path and headers of every request.
  """

  url: str
  pages: dict[str, Page]
  requests: list[tuple[str, dict[str, str]]]


@contextlib.contextmanager
def serve() -> Iterator[Web]:
  """Runs a server without pages."""
  pages: dict[str, Page] = {}
  requests: list[tuple[str, dict[str, str]]] = []

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
      requests.append((self.path, dict(self.headers)))
      _answer(self, pages.get(self.path, Page(status=404)))

    def log_message(self, *_: object) -> None:
      pass

  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
  server.daemon_threads = True
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  try:
    yield Web(f'http://127.0.0.1:{server.server_port}', pages, requests)
  finally:
    server.shutdown()
    server.server_close()
    thread.join()


def _answer(handler: http.server.BaseHTTPRequestHandler, page: Page) -> None:
  status = page.status
  if page.failures:
    page.failures, status = page.failures - 1, 500
  if page.to is not None:
    status = 302
  if status != 200:
    handler.send_response(status)
    if page.to is not None:
      handler.send_header('Location', page.to)
      if page.linked is not None:
        handler.send_header('X-Linked-ETag', f'"{page.linked}"')
    handler.send_header('Content-Length', '0')
    handler.end_headers()
    return
  content = page.content
  if page.later is not None:
    page.content, page.later = page.later, None
  etag = page.etag
  if etag == '':
    etag = f'"{hashlib.md5(content).hexdigest()}"'
  first = 0
  wanted = handler.headers.get('Range')
  same = handler.headers.get('If-Range') in (None, etag)
  if page.ranges and wanted and same:
    first = int(wanted.removeprefix('bytes=').removesuffix('-'))
  if first >= len(content):
    handler.send_response(416)
    if page.total:
      handler.send_header('Content-Range', f'bytes */{len(content)}')
    handler.send_header('Content-Length', '0')
    handler.end_headers()
    return
  handler.send_response(206 if first else 200)
  if first:
    last = len(content) - 1
    handler.send_header('Content-Range', f'bytes {first}-{last}/{len(content)}')
  handler.send_header('Content-Length', str(len(content) - first))
  handler.send_header('Content-Type', page.kind)
  if etag is not None:
    handler.send_header('ETag', etag)
  handler.end_headers()
  _send(handler, page, content[first:])


def _send(
  handler: http.server.BaseHTTPRequestHandler, page: Page, content: bytes
) -> None:
  if page.cuts:
    handler.wfile.write(content[: page.cuts.pop(0)])
    handler.wfile.flush()
    handler.close_connection = True
    return
  part = len(content) // 100 + 1
  for start in range(0, len(content), part):
    time.sleep(page.seconds)
    handler.wfile.write(content[start : start + part])
