"""Serving the page: to this machine alone, and nothing reaches out."""

import asyncio
import inspect
import os
import socket
import sys

import pytest

from voiceemb import __main__ as cli
from voiceemb.commands import speech
from voiceemb.page import PORT, gradio_offline, request_filter, server


@pytest.mark.parametrize(
    "path, headers, refused",
    [
        ("/", {"host": "127.0.0.1:7860"}, False),
        ("/", {"host": "LOCALHOST"}, False),
        ("/", {"host": "[::1]:7860"}, False),
        ("/", {"host": "rebound.example:7860"}, True),
        ("/", {"host": "127.0.0.1.example"}, True),
        ("/", {}, True),
        ("/x", {"host": "localhost:1", "origin": "http://localhost:1"}, False),
        ("/x", {"host": "localhost:1", "origin": "http://localhost:2"}, True),
        ("/x", {"host": "localhost:1", "origin": "https://other.example"}, True),
        ("/x", {"host": "localhost:1", "origin": "null"}, True),
        ("/gradio_api/file=/tmp/a.wav", {"host": "localhost"}, False),
        ("/gradio_api/file=https://a.example/b", {"host": "localhost"}, True),
        ("/gradio_api/proxy=HTTP://a.example/b", {"host": "localhost"}, True),
    ],
)
def test_the_filter_distinguishes_the_page_from_others(path, headers, refused):
    headers = {key.encode(): value.encode() for key, value in headers.items()}
    assert bool(request_filter.refusal_reason(path, headers)) is refused


def test_a_page_served_to_others_has_any_host_but_one_origin():
    ours = {b"host": b"voices.lan", b"origin": b"http://voices.lan"}
    assert request_filter.refusal_reason("/", ours, hosts=None) is None
    assert request_filter.refusal_reason(
        "/", ours | {b"origin": b"http://evil"}, hosts=None
    )


@pytest.mark.parametrize("host, status", [(b"localhost", 200), (b"other", 403)])
def test_every_response_forbids_to_reach_out(host, status):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"page"})

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": "/", "headers": [(b"host", host)]}
    asyncio.run(request_filter.RequestFilter(app)(scope, None, send))
    headers = dict(sent[0]["headers"])
    assert sent[0]["status"] == status and len(sent) == 2
    assert headers[b"content-security-policy"].startswith(b"default-src 'self' ")
    assert b"http" not in headers[b"content-security-policy"]


@pytest.mark.parametrize(
    "host, loopback",
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True)]
    + [("0.0.0.0", False), ("192.168.1.2", False), ("voices.lan", False)],
)
def test_the_loopback_is_known(host, loopback):
    assert server.is_loopback(host) is loopback


def test_a_missing_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ImportError, match=r'pip install "gradio'):
        gradio_offline.load()
    with pytest.raises(ImportError, match="page"):
        server.launch(1)


def test_a_port_that_is_taken_is_said_before_any_work():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"^Port {port} is taken; choose another"):
            server.check_port(port)
    server.check_port(port)


@pytest.mark.parametrize("port", [-1, 0, 65536, 70000])
def test_what_is_no_port_is_said_before_anything_is_loaded(monkeypatch, port):
    monkeypatch.setattr(gradio_offline, "load", lambda: pytest.fail("too early"))
    with pytest.raises(SystemExit, match=rf"a whole number .* Received: {port}$"):
        cli.main(["page", "--port", str(port)])
    monkeypatch.setattr(gradio_offline, "load", lambda: None)
    with pytest.raises(ValueError, match="from 1 to 65535"):
        server.launch(port)


def test_the_command_and_the_function_serve_at_the_same_port():
    (given, *_) = inspect.signature(server.launch).parameters.values()
    command = inspect.signature(speech.page).parameters["port"]
    assert command.default == given.default == PORT


def test_the_environment_is_as_it_was_afterwards(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "intranet")
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    before = dict(os.environ)
    with gradio_offline.environment(tmp_path):
        assert os.environ["GRADIO_TEMP_DIR"] == str(tmp_path)
        assert os.environ["no_proxy"] == f"intranet,{gradio_offline.LOCAL}"
    assert dict(os.environ) == before


def test_the_page_is_for_this_machine_and_nothing_is_shared():
    pytest.importorskip("starlette")
    service = server._service("127.0.0.1", 1)
    assert service["server_name"] == "127.0.0.1" and service["share"] is False
    assert not service["run_history"] and not service["enable_monitoring"]
    (guarding,) = service["app_kwargs"]["middleware"]
    assert guarding.kwargs == {"hosts": (*request_filter.LOOPBACK, "127.0.0.1")}
    (open_to_all,) = server._service("0.0.0.0", 1)["app_kwargs"]["middleware"]
    assert open_to_all.kwargs == {"hosts": None}
