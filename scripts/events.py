"""The receiving end of a WebSocket (RFC 6455), enough of it to follow a ComfyUI server's events."""

import base64
import hashlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from urllib.parse import urlsplit

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PROGRESS_TEXT = 3  # ComfyUI's kind of binary event that carries text for a node


class EventsError(ConnectionError):
    """The server refused the connection or broke the protocol."""


class Events:
    """A connection to `address`/ws; iterating gives (name, data) events until the server closes.

    Args:
        address: the server's http address.
        client_id: what prompts are queued under; the server sends their events only here.
        timeout: seconds of silence after which reading raises TimeoutError.
    """

    def __init__(self, address: str, client_id: str, timeout: float = 30.0):
        parts = urlsplit(address)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 80), timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        headers = [f"GET /ws?clientId={client_id} HTTP/1.1", f"Host: {parts.netloc}", "Upgrade: websocket"]
        headers += ["Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
        self._socket.sendall("\r\n".join([*headers, "", ""]).encode())
        self._stream = self._socket.makefile("rb")
        status = self._stream.readline().decode("latin-1").strip()
        answer = {}
        while line := self._stream.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            answer[name.lower()] = value.strip()
        accept = base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()
        if " 101 " not in f"{status} " or answer.get("sec-websocket-accept") != accept:
            self.close()
            raise EventsError(f"{address} refused the event stream: {status}")

    def __iter__(self) -> Iterator[tuple[str, dict]]:
        while (message := self._message()) is not None:
            kind, payload = message
            if kind == TEXT:
                event = json.loads(payload)
                yield event["type"], event.get("data") or {}
            elif len(payload) >= 8 and struct.unpack(">I", payload[:4])[0] == PROGRESS_TEXT:
                end = 8 + struct.unpack(">I", payload[4:8])[0]
                yield "progress_text", {"node": payload[8:end].decode(), "text": payload[end:].decode()}

    def close(self) -> None:
        """Closes the connection."""
        self._stream.close()
        self._socket.close()

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _message(self) -> tuple[int, bytes] | None:
        """Return the next whole message as (TEXT or BINARY, payload), or None when the server closes."""
        kind, parts = 0, []
        while True:
            head = self._exactly(2)
            code, size = head[0] & 0x0F, head[1] & 0x7F
            if size > 125:
                size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
            payload = self._exactly(size)
            if code == CLOSE:
                return None
            if code == PING:
                self._send(PONG, payload)
            elif code != PONG:
                kind = code or kind  # a continuation frame has code 0
                parts.append(payload)
                if head[0] & 0x80:
                    return kind, b"".join(parts)

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise EventsError("The server closed the event stream in the middle of a message.")
        return data

    def _send(self, code: int, payload: bytes) -> None:
        """Send one control frame, masked as a client must."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self._socket.sendall(bytes([0x80 | code, 0x80 | len(payload)]) + mask + masked)
