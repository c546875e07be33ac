"""A bridge's private HTTP server: its health, and whether it drains."""

import http.server
import json
import socketserver
import threading

PORT = 8080


class BridgeHttp:
    """Serves /about/health and /colibri/drain at `address` in the bridge network until close()."""

    def __init__(self, lab, address):
        self.status, self.draining = 200, False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                if self.path == "/about/health":
                    self._answer(outer.status, b"")
                elif self.path == "/colibri/drain":
                    self._answer(200, json.dumps({"drain": outer.draining}).encode())
                else:
                    self._answer(404, b"")

            def _answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        # Not http.server's own, which asks a name server for its name.
        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        with lab.bridge.entered():
            self._server = Server((address, PORT), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,),
                                        daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
