# SPDX-License-Identifier: Apache-2.0
"""A real gRPC server (grpcio) with all four kinds of call, bytes in and out, and grpc.health.v1."""
import concurrent.futures
import pathlib
import threading
import time

import grpc


class GrpcServer:
    """/t.T/Echo, /t.T/Sum (client stream), /t.T/Count (server stream), /t.T/Chat (both), /t.T/Fail, /t.T/Wait."""

    def __init__(self, options=(), health=b"\x08\x01", pair=None, clients_ca=None):
        """`pair`: a certificate's file and its key's, for localhost; the server speaks TLS then, and with `clients_ca`,
        another file, to those alone who show a certificate of that authority; `shown`: their names."""
        self.health = health
        self.seen, self.cancelled, self.metadata = [], [], []
        self.deadlines, self.shown = [], []
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16),
                                  options=(("grpc.so_reuseport", 0), *options))
        self.server.add_generic_rpc_handlers((self,))
        if pair:
            certificate, key = (pathlib.Path(file).read_bytes() for file in pair)
            authority = pathlib.Path(clients_ca).read_bytes() if clients_ca else None
            credentials = grpc.ssl_server_credentials([(key, certificate)], authority, clients_ca is not None)
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        self.url = f"{'https://localhost' if pair else 'http://127.0.0.1'}:{self.port}"

    def service(self, details):
        self.seen.append(details.method)
        self.metadata.append(dict(details.invocation_metadata))
        kinds = {
            "/t.T/Echo": grpc.unary_unary_rpc_method_handler(self.echo),
            "/t.T/Sum": grpc.stream_unary_rpc_method_handler(self.sum),
            "/t.T/Count": grpc.unary_stream_rpc_method_handler(self.count),
            "/t.T/Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "/t.T/Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "/t.T/Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(self.check),
        }
        return kinds.get(details.method)

    def echo(self, request, context):
        self.shown += [name.decode() for name in context.auth_context().get("x509_common_name", ())]
        context.set_trailing_metadata((("x-trailing-bin", b"\0\xff"),))
        return request

    def sum(self, requests, context):
        return b"%d" % sum(len(r) for r in requests)

    def count(self, request, context):
        for i in range(int(request)):
            yield b"%d" % i

    def chat(self, requests, context):
        for request in requests:
            yield b"re: " + request

    def fail(self, request, context):
        context.set_trailing_metadata((("x-more-bin", b"\1\2"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nicht möglich: 100%\n")

    def wait(self, request, context):
        gone = threading.Event()
        if not context.add_callback(lambda: (self.cancelled.append(time.monotonic()), gone.set())):
            self.cancelled.append(time.monotonic())  # it was over before we could ask to be told
            gone.set()
        self.deadlines.append(context.time_remaining())
        gone.wait(20)
        return b""

    def check(self, request, context):
        self.asked = request
        if self.health is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return self.health

    def stop(self):
        self.server.stop(0.2).wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()
