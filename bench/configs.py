# SPDX-License-Identifier: Apache-2.0
"""How the candidates are configured: one worker or thread each, no access log, keep-alive on both sides without end.

Each part of the bench differs in what it listens on: `front`. The files and the certificate lie in the scratch
directory that `values` names; it also holds port, secure (of h2), upstream, admin and files.
"""
import os
import shutil
import subprocess

NGINX = """\
worker_processes 1; daemon off; master_process off; pid {scratch}/nginx-{part}.pid; error_log stderr crit;
worker_rlimit_nofile {files};
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {scratch}/n1; proxy_temp_path {scratch}/n2; fastcgi_temp_path {scratch}/n3;
    uwsgi_temp_path {scratch}/n4; scgi_temp_path {scratch}/n5;
    keepalive_timeout 300s; keepalive_requests 1000000000;
    upstream up {{
        server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000000; keepalive_timeout 300s;
    }}
    server {{
        {front}
        location / {{ {back} }}
    }}
}}
"""
HAPROXY = """\
global
    nbthread 1
    maxconn 8192
    tune.pool-low-fd-ratio 50
    tune.pool-high-fd-ratio 60
    tune.h2.max-concurrent-streams 128
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-keep-alive 300s
    option http-keep-alive
    http-reuse always
frontend web
    {front}
    default_backend up
backend up
    server s1 127.0.0.1:{upstream} pool-purge-delay 300s{back}
"""
WEIR = """\
workers: 1
admin: {{ address: "127.0.0.1:{admin}" }}
log: {{ level: warn, access: off }}
listeners:
{front}
upstreams:
  - name: up
    protocol: {back}
    pool: {{ max_connections: 1024, max_per_endpoint: 1024, idle_timeout: 300s }}
    endpoints: [ {{ url: "http://127.0.0.1:{upstream}" }} ]
"""
WEIR_FRONT = """\
  - name: {name}
    address: "127.0.0.1:{port}"
    {tls}
    pool: {{ max_connections: 8192, keepalive_timeout: 300s, idle_timeout: 300s }}
    routes: [ {{ match: {{ path: "/" }}, upstream: up }} ]
"""
WEIR_TLS = 'tls: { certificate: cert.pem, key: key.pem }'
NGINX_PAIR = "ssl_certificate {scratch}/cert.pem; ssl_certificate_key {scratch}/key.pem;"


# How the upstream is spoken to; "grpc" in its part, else this.
BACKS = {
    "nginx": ('proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";', "grpc_pass grpc://up;"),
    "haproxy": ("", " proto h2"),
    "weir": ("http1", "grpc"),
}


def weir_front(values, name, port, tls=""):
    return WEIR_FRONT.format(name=name, port=values[port], tls=tls)


# What listens, by the part of the bench.
FRONTS = {
    "nginx": {"relay": "listen 127.0.0.1:{port} backlog=4096;",
              "tls": "listen 127.0.0.1:{port} ssl backlog=4096; " + NGINX_PAIR + " ssl_protocols TLSv1.3;\n"
                     "        ssl_session_cache off; ssl_session_tickets on; ssl_session_timeout 1h;",
              "h2": "listen 127.0.0.1:{port} http2 backlog=4096; listen 127.0.0.1:{secure} ssl http2 backlog=4096; "
                    + NGINX_PAIR + " ssl_protocols TLSv1.3; http2_max_concurrent_streams 128;",
              "grpc": "listen 127.0.0.1:{port} http2 backlog=4096; http2_max_concurrent_streams 128;"},
    "haproxy": {"relay": "bind 127.0.0.1:{port} backlog 4096",
                "tls": "bind 127.0.0.1:{port} backlog 4096 ssl crt {scratch}/both.pem alpn http/1.1",
                "h2": "bind 127.0.0.1:{port} backlog 4096 proto h2\n"
                      "    bind 127.0.0.1:{secure} backlog 4096 ssl crt {scratch}/both.pem alpn h2",
                "grpc": "bind 127.0.0.1:{port} backlog 4096 proto h2"},
    "weir": {"relay": lambda values: weir_front(values, "web", "port"),
             "tls": lambda values: weir_front(values, "web", "port", WEIR_TLS),
             "h2": lambda values: weir_front(values, "plain", "port") + weir_front(values, "web", "secure", WEIR_TLS),
             "grpc": lambda values: weir_front(values, "web", "port")},
}
NGHTTPX = {
    "tls": lambda v: [f"--frontend=127.0.0.1,{v['port']}", f"--backend=127.0.0.1,{v['upstream']};;proto=http/1.1"],
    "h2": lambda v: [f"--frontend=127.0.0.1,{v['port']};no-tls", f"--frontend=127.0.0.1,{v['secure']}",
                     f"--backend=127.0.0.1,{v['upstream']}", "--backend-connections-per-frontend=0"],
    "grpc": lambda v: [f"--frontend=127.0.0.1,{v['port']};no-tls", f"--backend=127.0.0.1,{v['upstream']};;proto=h2"],
}


def find(name):
    """Where the program of a peer is, or None."""
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")


def command_of(name, part, values, weir):
    """Writes the configuration and returns what starts the candidate."""
    scratch = values["scratch"]
    if name == "nghttpx":
        return [find(name), "--conf=/dev/null", "--no-ocsp", "--single-process", "--single-thread", "--workers=1",
                *NGHTTPX[part](values), "--backend-keep-alive-timeout=300s", "--frontend-read-timeout=300s",
                "--backlog=4096", "--accesslog-file=/dev/null", "--log-level=ERROR", scratch / "key.pem",
                scratch / "cert.pem"]
    front = FRONTS[name][part]
    front = front(values) if callable(front) else front.format(**values)
    template = {"nginx": NGINX, "haproxy": HAPROXY, "weir": WEIR}[name]
    path = scratch / f"{part}-{name}{'.yaml' if name == 'weir' else '.conf'}"
    path.write_text(template.format(front=front, back=BACKS[name][part == "grpc"], part=part, **values))
    if name == "nginx":
        return [find("nginx"), "-e", "stderr", "-p", scratch, "-c", path]
    if name == "haproxy":
        return [find("haproxy"), "-db", "-q", "-f", path]
    return [weir, "serve", "-c", path]


def certificate(scratch):
    """ECDSA P-256, for localhost and 127.0.0.1: cert.pem, key.pem, and both in both.pem."""
    key, cert = scratch / "key.pem", scratch / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
                    key, "-out", cert], check=True, capture_output=True)
    (scratch / "both.pem").write_bytes(cert.read_bytes() + key.read_bytes())
