"""Calls that go on while something else happens: clients that send, a bridge that echoes."""

import selectors
import struct
import threading
import time

import stun
from lab import BRIDGE, PATIENCE, PUBLIC

OURS = b"bhtest"  # how the transaction ids of known clients begin
MEDIA_INTERVAL = 0.01  # per client
PING_INTERVAL = 0.25  # STUN per client, as browsers do, but more often


class Traffic:
    """`clients` sockets send media and STUN to a listener; whatever of theirs reaches the bridge goes
    back. To STUN requests of others the bridge is silent, as to any ufrag it does not know.

    A thread does the work between start() and stop(). `sent` and `echoed` count packets; `addresses`
    are those the bridge saw, a set for each client; `last_echo` is when each client last heard.
    """

    def __init__(self, lab, clients=10, listener=(PUBLIC, 10000), bridge=(BRIDGE, 10000)):
        self._lab = lab
        self.listener = listener
        self.clients = [lab.client_socket() for _ in range(clients)]
        self.bridge = lab.bridge_socket(*bridge)
        self.sent = self.echoed = 0
        self.addresses = [set() for _ in range(clients)]
        self.last_echo = [0.0] * clients
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.bridge, selectors.EVENT_READ, None)
        for index, client in enumerate(self.clients):
            self._selector.register(client, selectors.EVENT_READ, index)
        for sock in (*self.clients, self.bridge):
            sock.setblocking(False)
        self._sending = self._running = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self, settle=0.2):
        """Starts and waits until every client has heard its echo."""
        self._before = self._whereabouts()
        self._sending = self._running = True
        self._thread.start()
        self.wait_flowing()
        time.sleep(settle)
        return self

    def wait_flowing(self, seconds=10):
        """Waits until every client hears echoes that were sent after now."""
        begin = time.monotonic()
        while min(self.last_echo) < begin:
            silent = sum(at < begin for at in self.last_echo)
            assert time.monotonic() < begin + seconds, f"{silent} clients hear nothing"
            time.sleep(0.02)
        return time.monotonic() - begin

    def stop(self):
        """Stops sending, lets what is on the way arrive, and returns (sent, echoed)."""
        self._sending = False
        last, since = -1, time.monotonic()
        while time.monotonic() < since + 0.2 * PATIENCE:
            if self.echoed != last:
                last, since = self.echoed, time.monotonic()
            time.sleep(0.02)
        self._running = False
        self._thread.join(5)
        self._selector.close()
        return self.sent, self.echoed

    def _whereabouts(self):
        """What has become of packets: the relay's account, and both kernels' UDP errors."""
        balance = self._lab.balance()
        counts = {name: balance[name] for name in ("received", "forwarded", "held")}
        counts |= {f"drop {name}": count for name, count in balance["drops"].items()}
        for role in ("client", "bridge"):
            for name, count in getattr(self._lab, role).udp_statistics().items():
                counts[f"{role} {name}"] = count
        return counts

    def explain(self):
        """What has changed since start(), for the message of a failed assertion."""
        changes = {name: count - self._before.get(name, 0)
                   for name, count in self._whereabouts().items()}
        return f"sent {self.sent}, echoed {self.echoed}; since the start: " + ", ".join(
            f"{name} {change:+}" for name, change in changes.items() if change)

    def _send(self, index, sequence, ping):
        if ping:
            transaction = OURS + struct.pack("!HI", index, sequence)
            data = stun.request(transaction=transaction)
        else:
            data = stun.rtp(sequence, 160, ssrc=index)
        try:
            self.clients[index].sendto(data, self.listener)
            self.sent += 1
        except OSError:  # the interface is just changing
            pass

    def _echo(self):
        while True:
            try:
                data, source = self.bridge.recvfrom(2048)
                is_stun = data[0] < 2
                if is_stun and not data[8:20].startswith(OURS):
                    continue
                index = struct.unpack("!H", data[14:16])[0] if is_stun else data[11]
                if index < len(self.clients):
                    self.addresses[index].add(source)
                self.bridge.sendto(stun.response(data) if is_stun else data, source)
            except BlockingIOError:
                return
            except OSError:
                continue

    def _hear(self, index):
        while True:
            try:
                self.clients[index].recv(2048)
            except BlockingIOError:
                return
            except OSError:
                continue
            self.echoed += 1
            self.last_echo[index] = time.monotonic()

    def _run(self):
        sequence, next_media = 0, time.monotonic()
        pings = round(PING_INTERVAL / MEDIA_INTERVAL)
        while self._running:
            if self._sending and time.monotonic() >= next_media:
                next_media = max(next_media + MEDIA_INTERVAL, time.monotonic() - MEDIA_INTERVAL)
                for index in range(len(self.clients)):
                    self._send(index, sequence, ping=sequence % pings == 0)
                sequence += 1
            for key, _ in self._selector.select(MEDIA_INTERVAL / 2):
                if key.data is None:
                    self._echo()
                else:
                    self._hear(key.data)
