"""The real servers behind the examples: nginx, Prosody, coturn and Janus, each started in a namespace
of an ExampleLab with a configuration of its own, and stopped with the lab."""


def nginx(lab, namespace, address, port, servers, name="nginx"):
    """`servers`: the server blocks; one of them listens on `address` and `port`."""
    folder = lab.directory / name
    folder.mkdir()
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                        ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(f"""
        daemon off; user root; pid {folder}/pid; error_log stderr warn; worker_processes 1;
        events {{ worker_connections 256; }}
        http {{ access_log off; {temporary} default_type text/html; {servers} }}""")
    child = lab.spawn(namespace, name, "nginx", "-p", folder, "-c", folder / "nginx.conf")
    lab.await_listener(child, name, address, port, namespace)


def prosody(lab, namespace, address, domain, port=5280):
    """BOSH on /http-bind and XMPP on /xmpp-websocket, for guests."""
    folder = lab.directory / "prosody"
    folder.mkdir()
    (folder / "prosody.cfg.lua").write_text(f"""
        run_as_root = true
        pidfile = "{folder}/pid"
        data_path = "{folder}"
        certificates = "{folder}"
        log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
        modules_enabled = {{ "bosh", "websocket", "saslauth", "disco" }}
        modules_disabled = {{ "s2s" }}
        c2s_ports = {{ }}
        http_interfaces = {{ "{address}" }}
        http_ports = {{ {port} }}
        https_ports = {{ }}
        http_default_host = "{domain}"
        consider_bosh_secure = true
        consider_websocket_secure = true
        VirtualHost "{domain}"
            authentication = "anonymous"
        """)
    child = lab.spawn(namespace, "prosody", "prosody", "--config", folder / "prosody.cfg.lua", "-F")
    lab.await_listener(child, "prosody", address, port, namespace)


def coturn(lab, namespace, address, certificate, key, port=5349):
    folder = lab.directory / "coturn"
    folder.mkdir()
    (folder / "turnserver.conf").write_text(f"""
listening-ip={address}
relay-ip={address}
listening-port=3478
tls-listening-port={port}
cert={certificate}
pkey={key}
realm=turn.example.org
lt-cred-mech
user=user:password
userdb={folder}/users
pidfile={folder}/pid
log-file=stdout
no-cli
no-dtls
no-udp
""")
    child = lab.spawn(namespace, "coturn", "turnserver", "-c", folder / "turnserver.conf")
    lab.await_listener(child, "coturn", address, port, namespace)


def janus(lab, namespace, address, port=8188):
    """Its WebSocket API alone."""
    folder = lab.directory / "janus"
    folder.mkdir()
    (folder / "plugins").mkdir()
    (folder / "janus.jcfg").write_text(f"""
general: {{ debug_level = 4, debug_colors = false, plugins_folder = "{folder}/plugins" }}
media: {{ ipv6 = false }}
transports: {{
  disable = "libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so"
}}
events: {{ broadcast = false }}
""")
    (folder / "janus.transport.websockets.jcfg").write_text(f"""
general: {{ ws = true, ws_port = {port}, ws_ip = "{address}", wss = false }}
admin: {{ admin_ws = false }}
""")
    child = lab.spawn(namespace, "janus", "janus", f"--configs-folder={folder}",
                      f"--config={folder}/janus.jcfg")
    lab.await_listener(child, "janus", address, port, namespace)


# Of a nginx server block: a WebSocket goes on to Janus at `address`, and the answer says who passed it
# on and what headers came.
def to_janus(address, node="nginx", port=8188):
    return f"""
        proxy_pass http://{address}:{port};
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        proxy_read_timeout 1h;
        add_header X-Node {node} always;
        add_header X-Seen-URI $request_uri always;
        add_header X-Seen-Client-IP $http_x_client_ip always;
        add_header X-Seen-Authorization "$http_authorization" always;"""
