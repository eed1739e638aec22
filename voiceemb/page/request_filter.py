"""Request filter: host and origin checks, and a Content-Security-Policy.

Every web site that is open in a browser on this machine can reach a local server: by a
form that posts to 127.0.0.1 (CSRF), or by a name that resolves to it (DNS rebinding).
So the `Host` header must name this machine, and requests of other origins are refused.
The policy lets the browser load from, and send to, this server only.
"""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ONLY_HERE = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' blob: data:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HEADERS = (
    (b"content-security-policy", ONLY_HERE.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class RequestFilter:
    """ASGI middleware that answers only this machine's own page.

    Args:
        app: The application behind it.
        hosts: Allowed names in `Host`, or `None` for any, when the page is served to
            other machines on purpose. Defaults to those of the loopback.
    """

    def __init__(self, app, hosts=LOOPBACK):
        self.app, self.hosts = app, hosts

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reason = refusal_reason(scope["path"], dict(scope["headers"]), self.hosts)

        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        if reason is None:
            await self.app(scope, receive, send_with_headers)
            return
        kind = [(b"content-type", b"text/plain; charset=utf-8")]
        await send_with_headers(
            {"type": "http.response.start", "status": 403, "headers": kind}
        )
        await send({"type": "http.response.body", "body": reason.encode()})


def refusal_reason(path, headers, hosts=LOOPBACK):
    """Why a request is refused, or `None` if it is not.

    Args:
        path: Of the request, as `/gradio_api/upload`.
        headers: Dict of bytes, names in small letters.
        hosts: As of `RequestFilter`.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    origin = headers.get(b"origin", b"").decode("latin-1")
    if hosts is not None and _host_name(host) not in hosts:
        return f"This page answers to {', '.join(hosts)} only."
    if origin and origin.partition("://")[2] != host:
        return "Only the page itself may ask this, and no other site."
    if any(f"={scheme}:" in path.lower() for scheme in ("http", "https")):
        return "This page fetches nothing from elsewhere: no addresses in requests."
    return None


def _host_name(host):
    """The name in a `Host` header: without its port and without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
