"""Listening sockets that are looked at, never waited for: one thread serves all ports of a controller."""

import contextlib
import selectors
import socket
from typing import Protocol


class Client:
    """One connection.

    Attributes:
        received: bytes that nobody has taken yet.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.received = bytearray()
        self.gone = False

    def send(self, data: bytes) -> None:
        """Send, or hang up: a client that does not read is not waited for."""
        try:
            self._socket.sendall(data)
        except OSError:
            self.gone = True

    def close(self) -> None:
        """Hang up."""
        self.gone = True


class Service(Protocol):
    """What answers on a port."""

    def joined(self, client: Client) -> None:
        """A client has connected."""
        ...

    def received(self, client: Client) -> None:
        """There are new bytes in `client.received`."""
        ...

    def left(self, client: Client) -> None:
        """A client has gone."""
        ...


class Ports:
    """The ports of one host address.

    Args:
        host: a loopback address.
        services: what answers on which port.

    Raises:
        OSError: a port there is taken.
    """

    def __init__(self, host: str, services: dict[int, Service]) -> None:
        self._selector = selectors.DefaultSelector()
        self._listeners: list[socket.socket] = []
        self._clients: dict[socket.socket, tuple[Client, Service]] = {}
        try:
            for port, service in services.items():
                listener = socket.create_server((host, port))
                self._listeners.append(listener)
                listener.setblocking(False)
                self._selector.register(listener, selectors.EVENT_READ, service)
        except OSError:
            self.close()
            raise

    def renew(self, services: dict[int, Service]) -> None:
        """Put others in the place of what answers on the ports; nobody may be connected.

        Raises:
            RuntimeError: somebody is.
        """
        if self._clients:
            raise RuntimeError("a client is connected")
        for listener in self._listeners:
            self._selector.modify(listener, selectors.EVENT_READ, services[listener.getsockname()[1]])

    def poll(self, timeout_s: float) -> None:
        """Serve whoever wants something now, waiting at most so long for the first."""
        for key, _ in self._selector.select(max(0.0, timeout_s)):
            assert isinstance(key.fileobj, socket.socket)
            if key.data is not None:
                self._accept(key.fileobj, key.data)
            else:
                self._receive(key.fileobj)
        for connection, (client, _) in list(self._clients.items()):
            if client.gone:
                self._drop(connection)

    def close(self) -> None:
        """Hang up on everybody."""
        for connection in list(self._clients):
            self._drop(connection)
        for listener in self._listeners:
            listener.close()
        self._selector.close()

    def _accept(self, listener: socket.socket, service: Service) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = Client(connection)
            self._clients[connection] = client, service
            self._selector.register(connection, selectors.EVENT_READ, None)
            service.joined(client)

    def _receive(self, connection: socket.socket) -> None:
        client, service = self._clients[connection]
        try:
            data = connection.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            client.received += data
            service.received(client)
        else:
            client.gone = True

    def _drop(self, connection: socket.socket) -> None:
        client, service = self._clients.pop(connection)
        self._selector.unregister(connection)
        connection.close()
        service.left(client)
