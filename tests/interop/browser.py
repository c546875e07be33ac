"""Headless Chromium that a test drives by the DevTools protocol, over a pair of pipes."""

import base64
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

PATIENCE = float(os.environ.get("BRIDGEHEAD_PATIENCE", "1"))
FLAGS = ("--headless=new", "--no-sandbox",  # root without user namespaces; it loads our pages only
         "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
         "--disable-component-update", "--disable-default-apps", "--disable-extensions",
         "--disable-sync", "--no-first-run", "--password-store=basic", "--remote-debugging-pipe")


def key_hash(certificate):
    """Of the certificate's key, as --ignore-certificate-errors-spki-list wants it."""
    key = subprocess.run(["openssl", "x509", "-in", str(certificate), "-noout", "-pubkey"],
                         check=True, capture_output=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=key, check=True,
                         capture_output=True).stdout
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


class Browser:
    """Every name is at `address`; `certificates` are taken although nobody has signed them."""

    def __init__(self, namespace, address, certificates):
        # A short path: that of a socket in it has a limit.
        self._folder = folder = Path(tempfile.mkdtemp(prefix="bh-browser-"))
        from_us, self._to = os.pipe()
        self._from, to_us = os.pipe()
        keys = ",".join(key_hash(certificate) for certificate in certificates)
        with open(folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                namespace.command(
                    "bash", "-c", f'exec "$@" 3<&{from_us} 4>&{to_us}', "bash", "chromium", *FLAGS,
                    f"--user-data-dir={folder}/profile", f"--host-resolver-rules=MAP * {address}",
                    f"--ignore-certificate-errors-spki-list={keys}", "about:blank"),
                pass_fds=(from_us, to_us), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env={**os.environ, "HOME": str(folder),
                                             "TMPDIR": str(folder)})
        os.close(from_us)
        os.close(to_us)
        self._log, self._buffer, self._last, self._session = folder / "log", b"", 0, None
        try:
            page, = [one for one in self.call("Target.getTargets")["targetInfos"]
                     if one["type"] == "page"]
            self._session = self.call("Target.attachToTarget", targetId=page["targetId"],
                                      flatten=True)["sessionId"]
            self.call("Page.enable")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """With all the processes that it has started: they are its session."""
        os.close(self._to)
        os.close(self._from)
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(5 * PATIENCE)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        shutil.rmtree(self._folder, ignore_errors=True)

    def _message(self, deadline):
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self._from], [], [], left)[0], (
                "Chromium does not answer: " + self._log.read_text(errors="replace")[-2000:])
            got = os.read(self._from, 1 << 20)
            assert got, "Chromium has ended: " + self._log.read_text(errors="replace")[-2000:]
            self._buffer += got
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        """The result; events that come meanwhile are passed over."""
        self._last += 1
        request = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._to, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + 60 * PATIENCE
        while (message := self._message(deadline)).get("id") != self._last:
            pass
        assert "error" not in message, message
        return message["result"]

    def open(self, url):
        """Until the page is there with all that it loads."""
        assert "errorText" not in (opened := self.call("Page.navigate", url=url)), opened
        self.run("document.readyState == 'complete' || "
                 "new Promise(done => addEventListener('load', done))")

    def run(self, script):
        """What the page makes of a JavaScript expression, or of its promise."""
        done = self.call("Runtime.evaluate", expression=script, awaitPromise=True,
                         returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")
