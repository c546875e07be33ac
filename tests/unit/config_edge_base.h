// A good configuration with every key of edge: in it, and the values of none of them the default.
#pragma once

namespace bridgehead::config {

constexpr char kEdgeBase[] = R"(dataplane:
  workers: [1, 2]
  ports: [{name: wan, device: eth0}]
bridges: [{name: jvb1, address: 10.8.0.11}]
media: [{name: meet, listen: "198.51.100.10:10000", nat: destination, bridges: [jvb1]}]
admin: {listen: 127.0.0.1:9100}
edge:
  cores: [0, 3]
  drain_time: 31s
  access_log:
    file: /var/log/edge.log
    fields: [time, client, sni]
  upstreams:
    - name: web
      servers:
        - {address: 10.8.0.20:443, name: web1, weight: 2}
        - {address: 10.8.0.21:443, name: web2, backup: true}
      balance: source_hash
      send_proxy: v2
      tls: {verify: on, ca_file: /etc/ca.pem, server_name: Web.example.org}
      health: {path: "/healthz?full", host: web.example.org, interval: 4s, timeout: 3s, rise: 5, fall: 6, expect: [200, 204], port: 8080}
      max_failures: 7
      failure_timeout: 11s
      connect_timeout: 6s
      max_connections: 1001
      keepalive: 65
      retries: 2
    - {name: jvb1, servers: [{address: "[2001:db8::11]:9090"}]}
    - {name: turn, servers: [{address: 127.0.0.1:5349}]}
  hosts:
    - name: site
      names: [meet.example.org, "*.meet.example.org"]
      forwarded_headers: true
      trusted_proxies: [203.0.113.0/24]
      access_log: /var/log/meet.log
      request_headers:
        - {name: X-Real, set: "$client_address"}
        - {name: X-Chain, append: "$client_endpoint, $forwarded_for"}
        - {name: X-Secret, remove: true}
      response_headers:
        - {name: X-Frame-Options, set: DENY}
        - {name: X-Via, append: edge}
        - {name: X-Powered-By, remove: true}
      error_pages:
        - {statuses: [502, 503], file: /srv/down.html}
      routes:
        - name: xmpp
          regex: ^/([a-z]+)/xmpp-websocket$
          upstream: web
          rewrite: /xmpp-websocket/\1
          websocket: true
          origins: ["https://meet.example.org", "HTTPS://Two.example.org:443"]
          response_timeout: 70s
          tunnel_idle_timeout: 30d
          allow: [192.0.2.0/24]
          deny: [192.0.2.7/32]
          basic_auth: {realm: Staff, file: /etc/htpasswd}
          cookie_token: {cookie: token, folder: /var/lib/tokens}
          max_body: 10MiB
          requests_per_source: 20
          request_headers:
            - {name: X-Route, set: "$host $scheme"}
            - {name: X-More, append: more}
            - {name: X-Gone, remove: true}
          response_headers:
            - {name: X-Answer, set: yes}
            - {name: X-Also, append: also}
            - {name: X-Away, remove: true}
        - path: /colibri-ws/
          servers_by_id: [{id: jvb-1, upstream: jvb1}]
        - {exact: /old, redirect: {to: "https://$host/new$query", status: 308}}
        - {path: /static/, files: {root: /srv/static, index: start.html, cors_origin: "*"}}
        - {path: /none, respond: {status: 410, body: gone}}
    - {names: "*", routes: [{path: /, respond: {}}]}
  listeners:
    - name: https
      listen: 0.0.0.0:443
      accept_proxy_from: [198.51.100.64/26]
      allow: [0.0.0.0/0]
      deny: [192.0.2.9/32]
      rules:
        - {protocol: tls, sni: [turn.example.org, "*.turn.example.org"], alpn: [stun.turn], sources: [192.0.2.0/25], forward: turn}
        - {sources: 203.0.113.9/32, serve: true}
      peek_timeout: 3s
      tls:
        certificates: [{certificate_file: /etc/meet.pem, key_file: /etc/meet.key, ocsp_file: /etc/meet.ocsp}]
        min_version: 1.3
        strict_sni: true
        ticket_lifetime: 2h
        handshake_timeout: 9s
      hosts: [site, "*"]
      http2: true
      http2_websocket: true
      fast_open: true
      idle_timeout: 1d
      request_timeout: 16s
      body_timeout: 32s
      keepalive_timeout: 76s
      max_connections: 50001
      connections_per_source: 100
      new_connections_per_source: 50
    - {name: debug, listen: "[::]:4443", forward: jvb1}
)";

}  // namespace bridgehead::config
