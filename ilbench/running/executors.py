"""Who runs the blocks: this process, one after another, or several processes side by side. The records are the same.

    Work, Work, ... --> [ inline | processes ] --> (Work, Done), in the order in which they finish

A worker process prepares JAX as its parent has it and keeps its own session. It writes nothing to the store. One that is
killed costs the block it was at; when the parent goes, however it goes, its workers go too.
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, Protocol

import jax

from ilbench import registry
from ilbench.compute import caches, parallel, process
from ilbench.evaluation.evaluate import Session
from ilbench.running.work import Done, Failure, Work, attempt, failure

WORKER = """
import sys
sys.path[:] = {path}
from ilbench.compute import caches
caches.hush()
from ilbench.running import executors
executors.serve({fd})
"""
PATIENCE = 5.0  # seconds between the last word of a worker and its end
Finished = Generator[tuple[Work, Done], None, None]


class Executor(Protocol):
    """Runs blocks; `started` is called in the caller's thread before each. Closing what it returns ends what is in flight."""

    def __call__(self, work: Sequence[Work], started: Callable[[Work], None]) -> Finished: ...


def inline(work: Sequence[Work], started: Callable[[Work], None]) -> Finished:
    """One block after another, here."""
    session = Session()
    for one in work:
        started(one)
        yield one, attempt(one, session)


def check(workers: int) -> None:
    """Raises ValueError for a number of blocks at a time that there cannot be, on these devices or on any."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"--workers must be at least 1, got {workers!r}")
    if workers > 1 and (device := jax.default_backend()) != "cpu":
        raise ValueError(
            f"--workers is for CPUs: on this {device} every block takes all devices and their memory. Leave it out, or start a run "
            "for each device (CUDA_VISIBLE_DEVICES=0 ilbench run --tasks ...): they may share --out"
        )


def processes(count: int) -> Executor:
    """`count` blocks at once, each in a process with as many CPU devices as this one has.

    A worker goes on with the task it is at, and a new one begins with a task that no other has: programs are compiled once.
    """

    def run(work: Sequence[Work], started: Callable[[Work], None]) -> Finished:
        waiting, setting, workers = list(work), Setting.here(), list[_Worker]()
        try:
            while waiting or any(worker.work for worker in workers):
                idle = next((worker for worker in workers if worker.work is None), None)
                if waiting and (idle or len(workers) < count):
                    if idle is None:
                        workers.append(idle := _Worker(setting))
                    one = waiting.pop(_next(waiting, idle.task, {worker.task for worker in workers}))
                    started(one)
                    idle.give(one)
                    continue
                for worker in _speaking(workers):
                    at, done = worker.work, worker.receive()
                    if worker.ended:
                        workers.remove(worker)
                    if at is not None and done is not None:
                        yield at, done
        finally:
            for worker in workers:
                worker.end()

    return run


def _next(waiting: Sequence[Work], own: Any, taken: set[Any]) -> int:
    """Which block a worker takes: the first of its own task, else of one that nobody is at, else of any."""
    tasks = [_task(one) for one in waiting]
    free = (i for i, task in enumerate(tasks) if task not in taken)
    return tasks.index(own) if own in tasks else next(free, 0)


def _task(work: Work) -> tuple[str, int | None]:
    return work.block.task, work.block.horizon


# --------------------------------------------------------------------------------- the parent's side of a worker
@dataclass(frozen=True)
class Setting:
    """How JAX is set up in a process, for another that is to compute the same bits."""

    devices: int
    compile_cache: str
    pinned: dict[str, Any]

    @classmethod
    def here(cls) -> Setting:
        """That of this process."""
        return cls(jax.local_device_count(), caches.used(), process.pinned())

    def prepare(self) -> None:
        """Makes this process, which has computed nothing yet, one of that setting."""
        process.pin(self.pinned)
        jax.config.update("jax_platforms", "cpu")
        parallel.setup(self.devices, self.compile_cache)


class _Worker:
    """A process that runs one block at a time.

    It is a bare interpreter, and no child of `multiprocessing`, which would run the caller's script again in each. It has a
    process group of its own: Ctrl-C is the parent's to answer.
    """

    def __init__(self, setting: Setting) -> None:
        self.work: Work | None = None
        self.task: Any = None  # of its last block
        self.ready = self.ended = False
        self.connection, theirs = Pipe()
        nowhere, fd = subprocess.DEVNULL, theirs.fileno()
        command = [sys.executable, "-c", WORKER.format(path=[str(folder) for folder in sys.path], fd=fd)]
        self.process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, pass_fds=[fd], process_group=0)
        theirs.close()
        self.connection.send(setting)

    def give(self, work: Work) -> None:
        """Has it run a block."""
        self.work, self.task = work, _task(work)
        with contextlib.suppress(OSError):  # it has ended: `receive` says so
            self.connection.send(work)

    def receive(self) -> Done | None:
        """What became of its block, once it has said so or is no more; None before. RuntimeError where it cannot start at all."""
        try:
            done: Done | None = self.connection.recv()
        except (EOFError, OSError):
            how = self.end(PATIENCE)
            if not self.ready and self.process.returncode > 0:
                raise RuntimeError(f"a worker process {how} before it could run anything; its own words are above") from None
            return Done(failure=Failure(f"its worker process {how}", f"its worker process {how}\n"))
        self.ready = True
        if done is not None:
            self.work = None
        return done

    def end(self, patience: float = 0) -> str:
        """Ends the process, at once or if it has not ended by itself after so many seconds; how it ended."""
        self.ended = True
        self.connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        self.process.kill()
        code = self.process.wait()
        if code >= 0:
            return f"ended with exit code {code}"
        memory = ", as the system does where memory runs out" if code == -signal.SIGKILL else ""
        return f"was ended by {signal.Signals(-code).name}{memory}"


def _speaking(workers: Sequence[_Worker]) -> list[_Worker]:
    """Waits until workers have something to say, or are no more."""
    heard = wait([worker.connection for worker in workers])
    return [worker for worker in workers if worker.connection in heard]


# --------------------------------------------------------------------------------------------- in the worker itself
def serve(descriptor: int) -> None:
    """What a worker process does: runs the blocks that come through a connection, as long as there is somebody to send them."""
    connection, inbox = Connection(descriptor), queue.SimpleQueue[Any]()
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    setting: Setting = inbox.get()
    with contextlib.redirect_stderr(io.StringIO()):  # of caches and of broken plug-ins the parent has spoken
        setting.prepare()
        for kind in registry.KINDS:
            registry.entries(kind)
    _say(connection, None)
    session = Session()
    with contextlib.redirect_stdout(sys.stderr):  # stdout is for what the command prints
        while True:
            got = inbox.get()
            _say(connection, Done(failure=got) if isinstance(got, Failure) else attempt(got, session))


def _listen(connection: Any, inbox: Any) -> None:
    """Fetches what comes while a block is computed, so that a worker notices when its parent is gone, and goes too."""
    while True:
        try:
            inbox.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)
        except Exception as error:  # made of something that only the parent has
            inbox.put(failure(error))


def _say(connection: Any, what: Done | None) -> None:
    try:
        connection.send(what)
    except OSError:  # nobody is there to hear it
        os._exit(0)
