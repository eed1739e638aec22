"""The page: who speaks when, seen and heard in a browser on the same machine.

`page.launch()` serves it to this machine alone; nothing is fetched from anywhere and
nothing is sent anywhere. It needs the extra `page`, which is loaded only when asked.
"""

PORT = 7860  # where it is served unless another port is asked for


def __getattr__(name):
    if name == "build":
        from voiceemb.page.app import build

        return build
    if name == "launch":
        from voiceemb.page.server import launch

        return launch
    raise AttributeError(f"module 'voiceemb.page' has no attribute {name!r}")
