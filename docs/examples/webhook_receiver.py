"""Receives the webhooks of Asper Wallet, in Python 3 without any package.

  PORT=5051 WEBHOOK_SECRET=whsec_... python3 docs/examples/webhook_receiver.py

The secret is shown once, when the endpoint is made with POST /v1/webhook-endpoints. Requests are signed after
https://www.standardwebhooks.com. Put it behind something that ends TLS; it listens to its own machine alone.
"""
import base64, hmac, json, os, signal, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_BYTES_MAX = 1024 * 1024
TOLERANCE_SECONDS = 300
IDS_MAX = 10_000
SECRET = base64.b64decode(os.environ.get("WEBHOOK_SECRET", "").removeprefix("whsec_"))
if len(SECRET) < 24:  # with an empty key anybody could sign
    raise SystemExit("WEBHOOK_SECRET must be the whsec_... of the endpoint")

# Events come at least once: again where an answer was lost, or where somebody asked for a replay. In earnest these ids
# are a unique column in your database, written in the same transaction as what you do with the event: in memory they
# are forgotten at a restart, and written apart from it one of the two is lost in a crash.
seen: dict[str, None] = {}
one_at_a_time = threading.Lock()  # the same event may come twice in the same moment


def handle(event: dict) -> None:
    """What to do with an event. Where it raises, the answer is 500, and the wallet sends the event again."""
    print(event["type"], event["id"], flush=True)


def handle_once(event_id: str, body: bytes) -> None:
    with one_at_a_time:
        if event_id in seen:
            return
        handle(json.loads(body))
        seen[event_id] = None  # not before: what failed has to be handled when it comes again
        if len(seen) > IDS_MAX:
            del seen[next(iter(seen))]  # the oldest


def is_signed(event_id: str, timestamp: str, signatures: str, body: bytes) -> bool:
    """Whether one of the signatures is right. There are several while a secret is being replaced by another."""
    digest = hmac.digest(SECRET, f"{event_id}.{timestamp}.".encode() + body, "sha256")
    expected = b"v1," + base64.b64encode(digest)
    # In constant time: how long `==` takes tells how much of a guess is right.
    return any(hmac.compare_digest(given.encode(), expected) for given in signatures.split(" "))


def is_recent(timestamp: str) -> bool:
    """Whoever has recorded a request cannot send it again when its id has long been forgotten."""
    return timestamp.isdecimal() and abs(time.time() - int(timestamp)) <= TOLERANCE_SECONDS


class Receiver(BaseHTTPRequestHandler):
    timeout = 10  # seconds of silence after which a connection is closed

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        # The bytes as they came, which are what is signed: the same JSON written anew may differ.
        body = self.rfile.read(min(int(length), BODY_BYTES_MAX + 1)) if length.isdecimal() else b""
        event_id, timestamp = self.headers.get("webhook-id", ""), self.headers.get("webhook-timestamp", "")
        signatures = self.headers.get("webhook-signature", "")
        if len(body) > BODY_BYTES_MAX:
            return self.answer(413)
        if not is_recent(timestamp) or not is_signed(event_id, timestamp, signatures, body):
            return self.answer(401)
        try:
            handle_once(event_id, body)
        except Exception:
            self.answer(500)
            raise  # which prints it
        self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("allow", "POST")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = lambda self: self.answer(405)


class Server(ThreadingHTTPServer):
    daemon_threads = False  # requests under way are answered before it ends
    request_queue_size = 50  # the wallet opens ten connections at a time; of more than five (the default) some wait


with Server(("127.0.0.1", int(os.environ.get("PORT", "5051"))), Receiver) as server:
    # shutdown() waits for the loop that the signal has interrupted, hence from another thread.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print("listening on", server.server_port, flush=True)
    server.serve_forever()
