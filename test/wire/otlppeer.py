# SPDX-License-Identifier: Apache-2.0
"""A collector of spans: an aiohttp server that reads what it is posted by the messages of opentelemetry-proto, strictly:
protobuf's own reader of JSON refuses a field that they do not have, and a value of another type."""
import asyncio
import collections
import re
import threading

from aiohttp import web
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto
TYPES = {"string": FIELD.TYPE_STRING, "bytes": FIELD.TYPE_BYTES, "bool": FIELD.TYPE_BOOL, "int64": FIELD.TYPE_INT64,
         "uint32": FIELD.TYPE_UINT32, "fixed32": FIELD.TYPE_FIXED32, "fixed64": FIELD.TYPE_FIXED64, "double": FIELD.TYPE_DOUBLE}

# opentelemetry-proto 1.3: trace/v1/trace.proto, common/v1/common.proto, resource/v1/resource.proto and
# collector/trace/v1/trace_service.proto, as far as traces go. "type name number", * for repeated.
MESSAGES = {
    "AnyValue": "string string_value 1; bool bool_value 2; int64 int_value 3; double double_value 4; ArrayValue array_value 5; "
                "KeyValueList kvlist_value 6; bytes bytes_value 7",
    "ArrayValue": "*AnyValue values 1",
    "KeyValueList": "*KeyValue values 1",
    "KeyValue": "string key 1; AnyValue value 2",
    "InstrumentationScope": "string name 1; string version 2; *KeyValue attributes 3; uint32 dropped_attributes_count 4",
    "Resource": "*KeyValue attributes 1; uint32 dropped_attributes_count 2",
    "Status": "string message 2; uint32 code 3",
    "Span": "bytes trace_id 1; bytes span_id 2; string trace_state 3; bytes parent_span_id 4; fixed32 flags 16; string name 5; "
            "uint32 kind 6; fixed64 start_time_unix_nano 7; fixed64 end_time_unix_nano 8; *KeyValue attributes 9; "
            "uint32 dropped_attributes_count 10; Status status 15",
    "ScopeSpans": "InstrumentationScope scope 1; *Span spans 2; string schema_url 3",
    "ResourceSpans": "Resource resource 1; *ScopeSpans scope_spans 2; string schema_url 3",
    "ExportTraceServiceRequest": "*ResourceSpans resource_spans 1",
}


def _messages():
    file = descriptor_pb2.FileDescriptorProto(name="traces.proto", package="otlp", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        if name == "AnyValue":
            message.oneof_decl.add(name="value")
        for row in fields.split(";"):
            kind, field, number = row.split()
            repeated, kind = kind.startswith("*"), kind.lstrip("*")
            made = message.field.add(name=field, number=int(number),
                                     label=FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL)
            if name == "AnyValue":  # a choice: what is there is told from what is not, also where it is 0
                made.oneof_index = 0
            if kind in TYPES:
                made.type = TYPES[kind]
            else:
                made.type, made.type_name = FIELD.TYPE_MESSAGE, f".otlp.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(
        pool.FindMessageTypeByName("otlp.ExportTraceServiceRequest"))


REQUEST = _messages()
IDS = re.compile(r'"(traceId|spanId|parentSpanId)":"([^"]*)"')
Span = collections.namedtuple("Span", "trace id parent name kind start end attributes error resource")


def _value(any_value):
    ((field, value),) = any_value.ListFields()
    assert field.name in ("string_value", "bool_value", "int_value", "double_value"), field.name
    return value


def _attributes(pairs):
    names = [pair.key for pair in pairs]
    assert len(names) == len(set(names)), names
    return {pair.key: _value(pair.value) for pair in pairs}


def spans_of(text):
    """Of OTLP's JSON, in which ids are hex where protobuf has base64: they are judged and taken by themselves."""
    ids = []
    for name, value in IDS.findall(text):
        assert re.fullmatch("[0-9a-f]{32}" if name == "traceId" else "[0-9a-f]{16}", value) and set(value) != {"0"}, (name, value)
        ids.append((name, value))
    message = json_format.Parse(text, REQUEST())  # strict: no unknown fields
    (resource,) = message.resource_spans
    (scope,) = resource.scope_spans
    assert scope.scope.name == "weir" and scope.scope.version
    about, found, rest = _attributes(resource.resource.attributes), [], iter(ids)
    for span in scope.spans:
        own = {"parentSpanId": None, **dict([next(rest), next(rest)])}
        if span.parent_span_id:
            own.update([next(rest)])
        assert set(own) == {"traceId", "spanId", "parentSpanId"}
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano and span.flags & 1
        found.append(Span(own["traceId"], own["spanId"], own["parentSpanId"], span.name, span.kind, span.start_time_unix_nano,
                          span.end_time_unix_nano, _attributes(span.attributes), span.status.code == 2, about))
    assert next(rest, None) is None
    return found


class Collector:
    """`answer(number of posts so far)`: a status, or a web.Response, or an asyncio coroutine of one."""

    def __init__(self, answer=lambda _: 200):
        self.answer, self.spans, self.posts, self.errors, self.headers = answer, [], 0, [], []
        self.loop, self.started = asyncio.new_event_loop(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.started.wait(20)

    async def _post(self, request):
        self.posts += 1
        self.headers.append(dict(request.headers))
        text = await request.text()
        said = self.answer(self.posts)
        said = await said if asyncio.iscoroutine(said) else said
        answer = said if isinstance(said, web.StreamResponse) else web.json_response({}, status=said)
        try:
            assert request.content_type == "application/json"
            spans = spans_of(text)
            if answer.status == 200:
                self.spans.extend(spans)
        except Exception as error:  # the test's thread tells it
            self.errors.append(error)
        return answer

    def _run(self):
        asyncio.set_event_loop(self.loop)

        async def start():
            app = web.Application(client_max_size=64 << 20)
            app.router.add_post("/v1/traces", self._post)
            self.runner = web.AppRunner(app)
            await self.runner.setup()
            site = web.TCPSite(self.runner, "127.0.0.1", 0)
            await site.start()
            self.port = site._server.sockets[0].getsockname()[1]
            self.started.set()
        self.loop.run_until_complete(start())
        self.loop.run_forever()

    url = property(lambda self: f"http://127.0.0.1:{self.port}/v1/traces")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(20)
        assert not self.errors, self.errors
