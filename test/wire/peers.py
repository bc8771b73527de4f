# SPDX-License-Identifier: Apache-2.0
"""Real servers on loopback: started on ports the kernel chose, waited for, stopped by their own pid."""
import contextlib
import pathlib
import shutil
import socket
import subprocess
import tempfile

from weirtest import free_port, wait_for


def find(program, package):
    """A missing peer fails the test that needs it: the package list installs them all."""
    for place in (program, f"/usr/sbin/{program}", f"/usr/bin/{program}"):
        if found := shutil.which(place):
            return found
    raise AssertionError(f"{program} is not installed (Debian package {package}; see tools/packages.txt)")


def accepts(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


class Server:
    """A child process that listens on self.port."""

    def __init__(self, command, port, directory=None):
        self.port, self.directory = port, directory
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for(lambda: accepts(port), f"{command[0]} to listen")

    url = property(lambda self: f"http://127.0.0.1:{self.port}")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
        if self.directory:
            self.directory.cleanup()

    def stop(self):
        """Nobody listens afterwards. May be called again."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        wait_for(lambda: not accepts(self.port), "its children to be gone")


def nginx(files=None, extra=""):
    """nginx serving the files {name: bytes} and whatever locations `extra` adds."""
    directory = tempfile.TemporaryDirectory(prefix="weir-nginx-")
    home = pathlib.Path(directory.name)
    home.chmod(0o755)
    (home / "www").mkdir()
    for name, data in (files or {}).items():
        (home / "www" / name).write_bytes(data)
    port = free_port()
    (home / "nginx.conf").write_text(f"""
        daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;
        user root;
        events {{ worker_connections 4096; }}
        http {{
            access_log off; sendfile on; keepalive_requests 1000000; client_max_body_size 2g;
            client_body_temp_path {home}/body; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
            uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
            server {{ listen 127.0.0.1:{port}; root {home}/www;
                location = /ok {{ return 200 "ok"; }}
                {extra} }}
        }}""")
    server = Server([find("nginx", "nginx-light"), "-c", str(home / "nginx.conf"), "-e",
                     str(home / "error.log")], port, directory)
    server.root = home / "www"
    return server


NODE_SERVER = """
const http = require('http');
const server = http.createServer({ keepAliveTimeout: Number(process.argv[2]) }, (req, res) => {
  if (req.url === '/sse') {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    let n = 0;
    const timer = setInterval(() => {
      res.write(`data: ${n}\\n\\n`);
      if (++n === 5) { clearInterval(timer); res.end(); }
    }, 50);
    return;
  }
  if (req.method === 'HEAD') { res.writeHead(200, { 'Content-Length': 7 }); res.end(); return; }
  const parts = [];
  req.on('data', (part) => parts.push(part));
  req.on('end', () => {
    const body = Buffer.concat(parts);
    res.setHeader('X-Method', req.method);
    if (req.url === '/chunked') { res.write(body); res.end('!'); } else res.end(body);
  });
});
server.listen(Number(process.argv[1]), '127.0.0.1');
"""


def node(keep_alive_ms=60000):
    port = free_port()
    return Server([find("node", "nodejs"), "-e", NODE_SERVER, str(port), str(keep_alive_ms)], port)


PYTHON_SERVER = """
import sys
from aiohttp import web

async def echo(request):
    return web.Response(body=await request.read())

async def stream(request):
    answer = web.StreamResponse(headers={'Content-Type': 'text/event-stream'})
    await answer.prepare(request)
    for i in range(5):
        await answer.write(b'data: %d\\n\\n' % i)
    await answer.write_eof()
    return answer

app = web.Application(client_max_size=1 << 30)
app.router.add_get('/sse', stream)
app.router.add_route('*', '/{rest:.*}', echo)
web.run_app(app, host='127.0.0.1', port=int(sys.argv[1]), print=None)
"""


def python():
    port = free_port()
    return Server(["/usr/bin/python3", "-c", PYTHON_SERVER, str(port)], port)


def haproxy_conf(home, mode, bind, server):
    """Writes HAProxy's configuration into the directory: from what it binds, in this mode, to the server."""
    conf = home / "haproxy.cfg"
    conf.write_text(f"""
defaults
    mode {mode}
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen front
    bind 127.0.0.1:{bind}
    server inner 127.0.0.1:{server}
""")
    return [find("haproxy", "haproxy"), "-db", "-f", str(conf)]


def haproxy_tls(pair, mode, words, server):
    """HAProxy that takes TLS off in this mode, with these words on its bind line, and passes what is inside on."""
    port = free_port()
    directory = tempfile.TemporaryDirectory(prefix="weir-haproxy-")
    home = pathlib.Path(directory.name)
    (home / "pair.pem").write_bytes(b"".join(pathlib.Path(part).read_bytes() for part in pair))
    return Server(haproxy_conf(home, mode, f"{port} {words} ssl crt {home}/pair.pem", server), port, directory)


def tls_front(pair, behind):
    """HAProxy that takes TLS off: an HTTP proxy behind it becomes one of https://."""
    return haproxy_tls(pair, "tcp", "", behind)


def squid(credentials=None, pair=None):
    """Squid as an HTTP proxy, with TLS towards its clients where there is a certificate."""
    port = free_port()
    directory = tempfile.TemporaryDirectory(prefix="weir-squid-")
    home = pathlib.Path(directory.name)
    home.chmod(0o777)
    for part in pair or ():
        shutil.copy(part, home)
    names = [home / pathlib.Path(part).name for part in pair or ()]
    for name in names:
        name.chmod(0o644)
    bind = f"https_port 127.0.0.1:{port} tls-cert={names[0]} tls-key={names[1]}" if pair else f"http_port 127.0.0.1:{port}"
    rule = "all"
    login = ""
    if credentials:
        password = subprocess.run([find("openssl", "openssl"), "passwd", "-apr1", credentials[1]], check=True,
                                  capture_output=True, text=True).stdout.strip()
        (home / "users").write_text(f"{credentials[0]}:{password}\n")
        login = f"""
auth_param basic program /usr/lib/squid/basic_ncsa_auth {home}/users
auth_param basic children 1
auth_param basic realm test
acl known proxy_auth REQUIRED"""
        rule = "known"
    (home / "squid.conf").write_text(f"""
{bind}
{login}
http_access allow {rule}
http_access deny all
cache deny all
cache_mem 8 MB
access_log none
cache_log {home}/cache.log
cache_store_log none
pid_filename {home}/squid.pid
coredump_dir {home}
shutdown_lifetime 0 seconds
visible_hostname localhost
pinger_enable off
max_filedescriptors 1024
dns_nameservers 127.0.0.1
""")
    return Server([find("squid", "squid"), "-N", "-f", str(home / "squid.conf")], port, directory)


def squid_tls(pair, _behind):
    return squid(pair=pair)


def dante(credentials=None):
    """Dante as a SOCKS5 proxy."""
    port = free_port()
    directory = tempfile.TemporaryDirectory(prefix="weir-dante-")
    home = pathlib.Path(directory.name)
    home.chmod(0o755)
    method = "username" if credentials else "none"
    (home / "danted.conf").write_text(f"""
logoutput: {home}/log
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: {method}
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
""")
    return Server([find("danted", "dante-server"), "-f", str(home / "danted.conf"), "-N", "1"], port, directory)


def nginx_announced():
    """nginx that takes PROXY headers, and says on /who what they said."""
    port = free_port()
    directory = tempfile.TemporaryDirectory(prefix="weir-nginx-")
    home = pathlib.Path(directory.name)
    home.chmod(0o755)
    (home / "nginx.conf").write_text(f"""
daemon off; master_process off; worker_processes 1; pid {home}/pid; error_log {home}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
    uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
    server {{
        listen 127.0.0.1:{port} proxy_protocol;
        location / {{ return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port"; }}
    }}
}}
""")
    return Server([find("nginx", "nginx-light"), "-p", str(home), "-c", str(home / "nginx.conf")], port, directory)


def haproxy_announced(pair, behind):
    """HAProxy that takes PROXY headers, then TLS, and adds to requests an X-From of whom the headers named."""
    return haproxy_tls(pair, "http", "accept-proxy", f"{behind}\n    http-request set-header X-From %[src]")


@contextlib.contextmanager
def haproxy_to(words):
    """(port, aim): aim(port) starts HAProxy on the first port, as a proxy of HTTP to that one, with these words on its
    server line."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="weir-haproxy-") as directory, contextlib.ExitStack() as stack:
        def aim(at):
            command = haproxy_conf(pathlib.Path(directory), "http", port, f"{at} {words}")
            stack.enter_context(Server(command, port))
        yield port, aim
