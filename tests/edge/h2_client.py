"""A client of HTTP/2 over TLS, by the h2 library: what tests ask of several streams at a time."""

import ssl

import h2.config
import h2.connection
import h2.events
from hyperframe.frame import GoAwayFrame
from wire import Client


class H2Client:
    """`tls`: offers h2. Streams are by their number."""

    def __init__(self, port, tls):
        self.client = Client(port, tls=tls)
        assert self.client.sock.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.statuses, self.data, self.ended = {}, {}, set()
        self.goaway = False
        # The library takes it for the end; streams go on (RFC 9113 section 6.8).
        self.h2._frame_dispatch_table[GoAwayFrame] = self._go_away
        self.flush()

    def _go_away(self, _):
        self.goaway = True
        return [], []

    def flush(self):
        self.client.send(self.h2.data_to_send())

    def close(self):
        self.client.close()

    def more(self):
        """Reads once. False: the connection has ended."""
        try:
            got = self.client.sock.recv(65536)
        except (ConnectionError, ssl.SSLError) as error:
            assert not isinstance(error, TimeoutError)
            return False
        for event in self.h2.receive_data(got) if got else []:
            if isinstance(event, h2.events.ResponseReceived):
                self.statuses[event.stream_id] = int(dict(event.headers)[":status"])
            elif isinstance(event, h2.events.DataReceived):
                self.data[event.stream_id] = self.data.get(event.stream_id, b"") + event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                self.ended.add(event.stream_id)
        self.flush()
        return bool(got)

    def until(self, done):
        while not done():
            assert self.more(), "the connection has ended"

    def begin(self, path, *fields, method="GET", host="meet.example", protocol=None):
        """The number of a stream whose head has been sent."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":path", path), (":authority", host)]
        self.h2.send_headers(stream, pseudo + ([(":protocol", protocol)] if protocol else []) +
                             list(fields), end_stream=protocol is None)
        self.flush()
        return stream

    def begin_websocket(self, path):
        """RFC 8441; as begin."""
        self.until(lambda: self.h2.remote_settings.enable_connect_protocol)
        return self.begin(path, ("sec-websocket-version", "13"), method="CONNECT",
                          protocol="websocket")

    def _answered(self, stream):
        self.until(lambda: stream in self.statuses or stream in self.ended)
        return stream

    def ask(self, path, *fields, **options):
        """As begin; and its head has been answered."""
        return self._answered(self.begin(path, *fields, **options))

    def websocket(self, path):
        return self._answered(self.begin_websocket(path))

    def send(self, stream, data):
        self.h2.send_data(stream, data)
        self.flush()
