"""The proxies that are compared, each with one worker on core 1 and the same work to do.

HTTP with WebSockets on one port, a TLS tunnel that is decrypted on a second, one that is passed
through by its SNI on a third. All of them tell the origin who the client is, pool connections to
it, and write no access log.
"""

import os
import shutil
import signal
import ssl
import subprocess
import urllib.error
import urllib.request

from processes import PROXY_CORE, Failed, Process, built, wait_until

SERVER_NAME = "bench.example.org"
ORIGIN_HTTP = "127.0.0.1:8080"
ORIGIN_STREAM = "127.0.0.1:8081"
HTTPS = "127.0.0.1:8443"
TUNNEL = "127.0.0.1:8444"
PASS = "127.0.0.1:8445"
RESERVED_PORTS = "8080,8081,8443-8445,9100"  # no client's; 9100: bridgehead's admin server
MAX_CONNECTIONS = 30000  # limits of the proxies, out of the way


def make_certificate(directory):
    """A P-256 certificate: certificate.pem, key.pem, and both in both.pem."""
    certificate, key, both = (os.path.join(directory, name)
                              for name in ("certificate.pem", "key.pem", "both.pem"))
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "30", "-subj", "/CN=" + SERVER_NAME,
         "-addext", "subjectAltName=DNS:" + SERVER_NAME, "-keyout", key, "-out", certificate],
        capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise Failed(f"openssl made no certificate: {made.stderr}")
    with open(both, "w", encoding="ascii") as file:
        for part in (certificate, key):
            with open(part, encoding="ascii") as source:
                file.write(source.read())


class Peer:
    """A proxy: started by enter, ended by exit."""

    name = ""
    program = ""
    package = ""
    config = ""

    def __init__(self, directory, build):
        self.directory = directory
        self.build = build
        self.process = None

    @classmethod
    def find(cls, build):
        found = shutil.which(cls.program, path="/usr/sbin:/usr/bin:/sbin:/bin")
        if found is None:
            raise Failed(f"{cls.program} is missing; bring it with: "
                         f"sudo ./deploy/packages.sh bench (or leave it out: --peers)")
        return found

    def config_file(self):
        return os.path.join(self.directory, self.name + ".conf")

    def write_config(self, generation):
        """Each generation of the configuration says its number in the answers."""
        with open(self.config_file(), "w", encoding="utf-8") as file:
            file.write(self.config.format(
                directory=self.directory, name=SERVER_NAME, generation=generation, https=HTTPS,
                tunnel=TUNNEL, passed=PASS, origin_http=ORIGIN_HTTP, origin_stream=ORIGIN_STREAM,
                max_connections=MAX_CONNECTIONS, core=PROXY_CORE))

    def command(self):
        raise NotImplementedError

    def reload(self):
        raise NotImplementedError

    def __enter__(self):
        self.write_config(1)
        self.process = Process(self.directory, PROXY_CORE, *self.command())
        try:
            wait_until(f"{self.name} start", lambda: self.generation() == 1, self.process)
        except BaseException:
            self.process.__exit__()
            raise
        return self

    def __exit__(self, *details):
        self.process.__exit__(*details)

    def generation(self):
        """Of the configuration that answers a new connection now; 0: nothing answers."""
        context = ssl.create_default_context(
            cafile=os.path.join(self.directory, "certificate.pem"))
        context.check_hostname = False  # the address is asked, the certificate still verified
        request = urllib.request.Request(f"https://{HTTPS}/", headers={"Host": SERVER_NAME})
        try:
            with urllib.request.urlopen(request, timeout=2, context=context) as answer:
                return int(answer.headers.get("X-Generation", 0))
        except urllib.error.HTTPError as error:
            error.close()
            return 0
        except OSError:
            return 0

    def switch(self, generation):
        """Reloads with another configuration and waits until new connections get it."""
        self.write_config(generation)
        self.reload()
        wait_until(f"{self.name} reload", lambda: self.generation() == generation, self.process)


class Nginx(Peer):
    name = "nginx"
    program = "nginx"
    config = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr error;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{ worker_connections {max_connections}; }}
http {{
  access_log off;
  server_tokens off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 1000000000;
  keepalive_timeout 75s;
  upstream origin {{ server {origin_http}; keepalive 64; keepalive_requests 1000000000; }}
  map $http_upgrade $connection_header {{ default upgrade; "" ""; }}
  server {{
    listen {https} ssl backlog=4096;
    server_name {name};
    ssl_certificate {directory}/certificate.pem;
    ssl_certificate_key {directory}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_timeout 1d;
    add_header X-Generation {generation};
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      proxy_read_timeout 1d;
      proxy_send_timeout 1d;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_header;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $host;
    }}
  }}
}}
stream {{
  map $ssl_preread_server_name $passed {{ {name} {origin_stream}; default ""; }}
  server {{
    listen {tunnel} ssl backlog=4096;
    ssl_certificate {directory}/certificate.pem;
    ssl_certificate_key {directory}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    proxy_pass {origin_stream};
  }}
  server {{
    listen {passed} backlog=4096;
    ssl_preread on;
    proxy_pass $passed;
  }}
}}
"""

    def command(self):
        return [self.find(self.build), "-e", "stderr", "-c", self.config_file()]

    def reload(self):
        self.process.signal(signal.SIGHUP)


class Haproxy(Peer):
    name = "haproxy"
    program = "haproxy"
    config = """
global
  nbthread 1
  ssl-default-bind-options ssl-min-ver TLSv1.2
  tune.ssl.lifetime 86400
defaults
  timeout connect 5s
  timeout client 75s
  timeout server 60s
  timeout tunnel 1d
  {splice}
frontend https
  mode http
  bind {https} ssl crt {directory}/both.pem alpn http/1.1 backlog 4096
  option forwardfor
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Proto https
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-response set-header X-Generation {generation}
  use_backend http if {{ req.hdr(host) -i {name} }}
backend http
  mode http
  http-reuse always
  server origin {origin_http}
frontend tunnel
  mode tcp
  bind {tunnel} ssl crt {directory}/both.pem backlog 4096
  default_backend stream
frontend pass
  mode tcp
  bind {passed} backlog 4096
  tcp-request inspect-delay 2s
  tcp-request content accept if {{ req.ssl_hello_type 1 }}
  use_backend stream if {{ req.ssl_sni -i {name} }}
backend stream
  mode tcp
  server origin {origin_stream}
"""
    splice = ""

    def write_config(self, generation):
        self.config = type(self).config.replace("{splice}", self.splice)
        super().write_config(generation)

    def command(self):
        return [self.find(self.build), "-W", "-db", "-f", self.config_file()]

    def reload(self):
        self.process.signal(signal.SIGUSR2)


class HaproxySplice(Haproxy):
    """What is passed through stays in the kernel, which is not the default. For `pass` alone: its
    pipes take descriptors that the other scenarios need."""

    name = "haproxy-splice"
    splice = "option splice-auto"


class Bridgehead(Peer):
    name = "bridgehead"
    # What is not the edge's has to be there, but no relay runs.
    config = """
dataplane:
  workers: [0]
  ports:
    - {{name: wan, vdev: net_null0, addresses: [198.51.100.10/24]}}
bridges:
  - {{name: none, address: 198.51.100.11}}
media:
  - {{name: none, listen: "198.51.100.10:10000", nat: destination, bridges: [none]}}
edge:
  cores: [{core}]
  upstreams:
    - name: origin
      servers: [{{address: "{origin_http}"}}]
    - name: stream
      servers: [{{address: "{origin_stream}"}}]
  hosts:
    - names: [{name}]
      response_headers: [{{name: X-Generation, set: "{generation}"}}]
      routes:
        - {{path: /, upstream: origin, websocket: true, tunnel_idle_timeout: 1d}}
  listeners:
    - name: https
      listen: "{https}"
      tls:
        certificates:
          - {{certificate_file: {directory}/certificate.pem, key_file: {directory}/key.pem}}
      hosts: [{name}]
      max_connections: {max_connections}
    - name: tunnel
      listen: "{tunnel}"
      tls:
        certificates:
          - {{certificate_file: {directory}/certificate.pem, key_file: {directory}/key.pem}}
      forward: stream
    - name: pass
      listen: "{passed}"
      rules: [{{sni: {name}, forward: stream}}]
      forward: stream
"""

    @classmethod
    def find(cls, build):
        return built(build, "ctrl/bridgehead-ctrl")

    def command(self):
        return [self.find(self.build), "--config", self.config_file(),
                "--run-dir", self.directory, "--log-level", "warning"]

    def reload(self):
        self.process.signal(signal.SIGHUP)


PEERS = {peer.name: peer for peer in (Nginx, Haproxy, HaproxySplice, Bridgehead)}
