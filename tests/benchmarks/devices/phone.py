"""A phone as adb sees one: adbd's side of the documented protocol, over TCP, with a folder of this machine as storage.

Follows AOSP's packages/modules/adb: protocol.txt (messages), SYNC.TXT (push), and shell_protocol.h (shell v2). adb's
own client and server talk to it; commands run in this machine's shell, with the phone's tools first in PATH.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
from pathlib import Path

_VERSION, _MAXDATA = 0x01000001, 256 * 1024
_STDOUT, _STDERR, _EXIT = 1, 2, 3


class Phone:
    """Listens on 127.0.0.1:`port`. tools: programs of the phone's own; full: as if its storage were."""

    def __init__(self, tools: Path) -> None:
        self.tools, self.full = tools, False
        self.pushed: list[str] = []
        self.running: dict[int, str] = {}  # the command of each process group
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def tool(self, name: str, script: str) -> None:
        (self.tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.tools / name).chmod(0o755)

    def unplug(self) -> None:
        """The cable is pulled: nothing answers any more, and what ran is ended."""
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for group in list(self.running):
            os.killpg(group, signal.SIGKILL)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=_Connection(self, connection).serve, daemon=True).start()


class _Connection:
    def __init__(self, phone: Phone, connection: socket.socket) -> None:
        self.phone, self._socket = phone, connection
        self._lock = threading.Lock()
        self._acknowledged: dict[int, threading.Semaphore] = {}
        self._sync: dict[int, bytes] = {}
        self._file: dict[int, tuple[Path, bytes]] = {}

    def serve(self) -> None:
        try:
            while True:
                command, first, second, length, _, _ = struct.unpack("<4s5I", self._exactly(24))
                data = self._exactly(length)
                if command == b"CNXN":
                    banner = b"device::ro.product.name=test;ro.product.model=test;features=shell_v2,cmd"
                    self._send(b"CNXN", _VERSION, _MAXDATA, banner)
                elif command == b"OPEN":
                    self._open(first, data.rstrip(b"\0").decode())
                elif command == b"OKAY":
                    self._acknowledged[second].release()
                elif command == b"WRTE":
                    self._send(b"OKAY", second, first)
                    if second in self._sync:
                        self._synchronize(second, first, data)
        except (OSError, EOFError):
            return

    def _open(self, theirs: int, service: str) -> None:
        ours = theirs + 1000
        self._acknowledged[ours] = threading.Semaphore(0)
        self._send(b"OKAY", ours, theirs)
        name, _, command = service.partition(":")
        if name == "sync":
            self._sync[ours] = b""
        else:
            assert name.startswith("shell,v2")
            threading.Thread(target=self._shell, args=(ours, theirs, command), daemon=True).start()

    def _shell(self, ours: int, theirs: int, command: str) -> None:
        environ = {**os.environ, "PATH": f"{self.phone.tools}:{os.environ['PATH']}"}
        environ.pop("PYTHONPATH", None)
        pipe = subprocess.PIPE
        process = subprocess.Popen(["sh", "-c", command], env=environ, stdout=pipe, stderr=pipe, start_new_session=True)
        self.phone.running[process.pid] = command
        out, err = process.communicate()
        del self.phone.running[process.pid]
        packets = ((_STDOUT, out), (_STDERR, err), (_EXIT, bytes([process.returncode & 255])))
        try:
            for kind, data in packets:
                if data:
                    self._write(ours, theirs, struct.pack("<BI", kind, len(data)) + data)
            self._send(b"CLSE", ours, theirs)
        except OSError:  # unplugged
            return

    def _synchronize(self, ours: int, theirs: int, data: bytes) -> None:
        """Requests of four letters and a number, which is the length of what follows but for DONE."""
        buffer = self._sync[ours] + data
        while len(buffer) >= 8:
            request, number = buffer[:4], struct.unpack("<I", buffer[4:8])[0]
            length = 0 if request in (b"DONE", b"QUIT") else number
            if len(buffer) < 8 + length:
                break
            body, buffer = buffer[8 : 8 + length], buffer[8 + length :]
            if request == b"STAT":
                self._write(ours, theirs, struct.pack("<4s3I", b"STAT", 0, 0, 0))  # not there
            elif request == b"SEND":
                self._file[ours] = Path(body.decode().rsplit(",", 1)[0]), b""
            elif request == b"DATA":
                path, so_far = self._file[ours]
                self._file[ours] = path, so_far + body
            elif request == b"DONE":
                path, content = self._file.pop(ours)
                if self.phone.full:
                    why = b"No space left on device"
                    self._write(ours, theirs, struct.pack("<4sI", b"FAIL", len(why)) + why)
                else:
                    path.write_bytes(content)
                    self.phone.pushed.append(path.name)
                    self._write(ours, theirs, struct.pack("<4sI", b"OKAY", 0))
            elif request == b"QUIT":
                self._send(b"CLSE", ours, theirs)
        self._sync[ours] = buffer

    def _write(self, ours: int, theirs: int, data: bytes) -> None:
        """A WRTE a piece; the next only after the last was acknowledged, unless it is this thread that would hear."""
        for start in range(0, len(data), _MAXDATA):
            self._send(b"WRTE", ours, theirs, data[start : start + _MAXDATA])
            if ours not in self._sync:
                self._acknowledged[ours].acquire()

    def _send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        magic = struct.unpack("<I", command)[0] ^ 0xFFFFFFFF
        header = struct.pack("<4s5I", command, first, second, len(data), sum(data) & 0xFFFFFFFF, magic)
        with self._lock:
            self._socket.sendall(header + data)

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            piece = self._socket.recv(length - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data
