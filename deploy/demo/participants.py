"""The call's participants: headless Chromium, one browser each, with a fake camera and microphone.

A small HTTP server on the client network's loopback gives each browser its page and takes the page's
report (participant.js) once a second. The page is on localhost because browsers hand out cameras only
to pages from a secure place.
"""

import functools
import http.server
import json
import os
import signal
import subprocess
import threading
import time
import urllib.parse

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank")

CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root without user namespaces; the only page it ever loads is ours
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    # Real addresses instead of .local names: nothing here resolves mDNS.
    "--disable-features=WebRtcHideLocalIpsWithMdns,MediaRouter,Translate,LocalNetworkAccessChecks",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--mute-audio",
    "--no-first-run",
    "--password-store=basic",
)


class Reports:
    """The latest report of each participant, shared between the server's threads and the caller."""

    def __init__(self):
        self._lock = threading.Lock()
        self._latest = {}
        self._joined = set()
        self._leave = False

    def take(self, report):
        with self._lock:
            if not report["left"]:
                self._latest[report["name"]] = {**report, "time": time.monotonic()}
            return {"join": report["name"] in self._joined, "leave": self._leave}

    def latest(self):
        with self._lock:
            return dict(self._latest)

    def opening(self, names):
        """Those of `names` whose page has no camera and microphone yet."""
        latest = self.latest()
        return [name for name in names
                if name not in latest or latest[name]["stage"] == "opening camera"]

    def ask_to_join(self, names):
        """Those named may enter the call; until then their pages wait."""
        with self._lock:
            self._joined.update(names)

    def ask_to_leave(self):
        with self._lock:
            self._leave = True


class _Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args, reports, **kwargs):
        self._reports = reports
        super().__init__(*args, **kwargs)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps(self._reports.take(json.loads(body))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):  # one line per request would drown the table
        pass


class Participants:
    """`count` browsers in one call, and one more that waits when there is to be a `newcomer`. `bridges`
    is a list of (name, address of its signalling), which take turns; `announced` an address that
    bridges tell participants where `public` is meant. `directory` takes the browsers' profiles,
    `logs` their output."""

    def __init__(self, count, bridges, directory, logs, public, announced="", newcomer=False):
        self.names = NAMES[:count]
        self.newcomer = NAMES[count] if newcomer else None
        self.everyone = NAMES[:count + newcomer]
        self.bridge_of = {name: bridges[i % len(bridges)][0] for i, name in enumerate(self.everyone)}
        # Whoever is alone with his bridge is sent back what he sent.
        self.echo = len(self.everyone) == 1 or len(bridges) > 1
        self.reports = Reports()
        self._browsers = {}
        self._directory = directory
        self._logs = logs
        self._query = {"room": 1, "echo": int(self.echo), "announced": announced, "public": public}
        self._signalling = dict(bridges)
        pages = os.path.dirname(os.path.abspath(__file__))
        handler = functools.partial(_Handler, reports=self.reports, directory=pages)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def start(self):
        for name, bridge in self.bridge_of.items():
            query = urllib.parse.urlencode(
                {"name": name, "bridge": self._signalling[bridge], **self._query})
            page = f"http://127.0.0.1:{self._server.server_port}/participant.html?{query}"
            profile = os.path.join(self._directory, f"chromium-{name}")
            with open(self.log_of(name), "wb") as log:
                self._browsers[name] = subprocess.Popen(
                    # The browsers give way to the relay and the bridge: a browser that is late
                    # shows fewer frames, a relay that is late loses packets.
                    ["nice", "-n", "10", "chromium", *CHROMIUM_FLAGS,
                     f"--user-data-dir={profile}", page],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    env={**os.environ, "HOME": profile, "XDG_CONFIG_HOME": profile,
                         "XDG_CACHE_HOME": profile, "TMPDIR": profile})

    def log_of(self, name):
        return os.path.join(self._logs, f"chromium-{name}.log")

    def dead(self):
        """The name of a participant whose browser has ended, or None."""
        return next((name for name, browser in self._browsers.items()
                     if browser.poll() is not None), None)

    def stop(self):
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            for browser in self._browsers.values():
                try:
                    os.killpg(browser.pid, signal_number)  # its session, made by start()
                except ProcessLookupError:
                    pass
            deadline = time.monotonic() + 3
            for browser in self._browsers.values():
                try:
                    browser.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    pass
        self._server.shutdown()
