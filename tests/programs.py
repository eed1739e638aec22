"""Python programs of tests, each in a process forked from one that knows TensorFlow.

Loading TensorFlow and Keras takes four seconds of processor time, more than what most
programs of the tests do. Here one process per pytest worker loads them, runs nothing,
and forks for each program, which then has a process, a folder, an environment, signals
and an end of its own, as from a shell. What must be new (another backend, a program
that is not to load TensorFlow, variables that TensorFlow reads when it loads) is for
`subprocess`.
"""

import atexit
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

MODULES = ("tensorflow", "keras", "matplotlib.pyplot", "scipy.stats", "sklearn.base")
AS_LOADED = {"TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES"}


def run(command, *, cwd=None, env=None, timeout=None, check=False, **options):
    """As `subprocess.run`, with `capture_output=True, text=True`, of a Python program.

    Args:
        command: `[sys.executable, ...]`, then a script, `-m` and a module, or `-c` and
            code, and arguments.
        cwd, env, timeout, check: As of `subprocess.run`.
        **options: `capture_output` and `text`, which are always so.
    """
    assert set(options) <= {"capture_output", "text"}, options
    process = Program(command, cwd=cwd, env=env)
    try:
        out, errors = process.communicate(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    done = subprocess.CompletedProcess(command, process.returncode, out, errors)
    if check:
        done.check_returncode()
    return done


class Program:
    """As `subprocess.Popen` of a Python program whose output is text and captured."""

    def __init__(self, command, *, cwd=None, env=None):
        python, *arguments = map(str, command)
        assert python == sys.executable, f"not this Python: {python}"
        self._texts = _server().new_files("out", "errors")
        self.returncode = None
        self.pid = _server().ask(
            start=arguments,
            cwd=str(cwd or os.getcwd()),
            env={**os.environ} if env is None else dict(env),
            out=list(map(str, self._texts)),
        )

    def poll(self):
        """The status, or `None` while it runs."""
        if self.returncode is None:
            self.returncode = _server().ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout=None):
        """The status, once it has ended."""
        end = None if timeout is None else time.monotonic() + timeout
        pause = 0.005
        while self.poll() is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired("program", timeout)
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        return self.returncode

    def communicate(self, timeout=None):
        """What it has printed, on standard output and on standard error."""
        self.wait(timeout)
        return tuple(text.read_text("utf-8", "replace") for text in self._texts)

    def send_signal(self, number):
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)


class _Server:
    """The process that forks."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.folder = tempfile.TemporaryDirectory()
        self.count = 0
        atexit.register(self.close)

    def ask(self, **question):
        print(json.dumps(question), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def new_files(self, *names):
        self.count += 1
        return [Path(self.folder.name) / f"{self.count}.{name}" for name in names]

    def close(self):
        self.process.stdin.close()  # it ends
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()


def _server(kept=[]):  # noqa: B006 - kept from call to call
    if not kept:
        kept.append(_Server())
    return kept[0]


def _serve():
    """Forks a program for each `start`; says of each `poll` how it has ended."""
    for name in MODULES:
        __import__(name)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        question = json.loads(line)
        if "start" in question:
            answer = os.fork()
            if not answer:
                _become(**question)
        else:
            pid, status = os.waitpid(question["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        print(json.dumps(answer), file=answers, flush=True)


def _become(start, cwd, env, out):
    """Runs a program in this process, as the interpreter would, and ends it."""
    for number, path in enumerate(["/dev/null", *out]):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, buffering=1, encoding="utf-8", errors="replace")
        for number, mode in ((0, "r"), (1, "w"), (2, "w"))
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.orig_argv = [sys.executable, *start]
    first, rest = start[0], start[1:]
    at = str(Path(first).resolve().parent) if first not in ("-m", "-c") else cwd
    given = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [at, *given, *sys.path[1:]]
    status = 0
    try:
        if first == "-m":
            sys.argv = rest
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        elif first == "-c":
            sys.argv = ["-c", *rest[1:]]
            main = type(sys)("__main__")
            sys.modules["__main__"] = main
            exec(compile(rest[0], "<string>", "exec"), vars(main))
        else:
            sys.argv = start
            runpy.run_path(first, run_name="__main__")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if status and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
