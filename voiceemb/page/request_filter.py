"""The guard: what may be asked of the page, and what the page may ask of others.

A page on this machine can be reached by every web site that is open in a browser on
it: by a form that posts to 127.0.0.1, or by a name that is made to mean 127.0.0.1
(DNS rebinding). So whoever asks must name this machine, and a request that another
site made is refused. The other way round, every answer tells the browser to load
nothing and send nothing but from and to here.
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


class Guard:
    """ASGI middleware that answers only this machine's own page.

    Args:
        app: The application behind it.
        hosts: Names by which the page may be called, or `None` for any, when it is
            served to other machines on purpose. Defaults to those of the loopback.
    """

    def __init__(self, app, hosts=LOOPBACK):
        self.app, self.hosts = app, hosts

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reason = refusal(scope["path"], dict(scope["headers"]), self.hosts)

        async def marked(message):
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        if reason is None:
            await self.app(scope, receive, marked)
            return
        kind = [(b"content-type", b"text/plain; charset=utf-8")]
        await marked({"type": "http.response.start", "status": 403, "headers": kind})
        await send({"type": "http.response.body", "body": reason.encode()})


def refusal(path, headers, hosts=LOOPBACK):
    """Why a request is refused, or `None` if it is not.

    Args:
        path: Of the request, as `/gradio_api/upload`.
        headers: Dict of bytes, names in small letters.
        hosts: As of `Guard`.
    """
    host, origin = (headers.get(k, b"").decode("latin-1") for k in (b"host", b"origin"))
    if hosts is not None and _name(host) not in hosts:
        return f"This page answers to {', '.join(hosts)}. Received: another name"
    if origin and origin.partition("://")[2] != host:
        return "Only the page itself may ask this. Received: another site's request"
    if any(f"={scheme}:" in path.lower() for scheme in ("http", "https")):
        return "This page fetches nothing from elsewhere. Received: an address"
    return None


def _name(host):
    """The name in a `Host` header: without its port and without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
