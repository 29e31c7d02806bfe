"""The servers of a URL: connections to each, and which of them has a key."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import hiredis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import ConnectionPool, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from service.adapters.redis.failures import Exchange
from service.adapters.redis.scripts import SOURCES, Command, Word
from service.domain.errors import StoreError

_OPTION = re.compile(r"(?<=unexpected keyword argument ')\w+|(?<=Invalid value for ')\w+")

MAX_CONNECTIONS = 32
"""Connections to one server; whoever comes when all are in use waits."""


class Node:
    """One primary server and the connections to it; `address` is for messages."""

    def __init__(self, options: dict[str, Any], address: str) -> None:
        self.address = address
        self._pool = ConnectionPool(**options)
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._closed = False

    async def exchange(self, commands: Sequence[Command], exchange: Exchange) -> list[Any]:
        """Send commands together and return their answers, errors among them as exceptions."""
        async with self._places:
            _check_open(closed=self._closed)
            # Untyped for its deprecated arguments.
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
            try:
                exchange.sent = True
                replies = await _spoken(connection, commands)
                unknown = [at for at, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
                if unknown:
                    # The server does not know the script yet, or forgot it in a restart: nothing was done.
                    again = await _spoken(connection, [_in_full(commands[at]) for at in unknown])
                    for at, reply in zip(unknown, again, strict=True):
                        replies[at] = reply
                return replies
            finally:
                await self._pool.release(connection)
                if self._closed:  # the pool has closed those that were there then
                    await connection.disconnect()

    async def aclose(self) -> None:
        """Close all connections; none is made any more."""
        self._closed = True
        await self._pool.aclose()


def _check_open(*, closed: bool) -> None:
    if closed:
        raise ConnectionError("it is being left")


async def _spoken(connection: Any, commands: Iterable[Command]) -> list[Any]:
    packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]  # its stub names a tuple of one
    await connection.send_packed_command(b"".join(packed))
    return [await _reply(connection) for _ in packed]


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error  # one command's; the answers to the others still stand in the connection


def _in_full(command: Command) -> Command:
    _, digest, *rest = command
    return ("EVAL", SOURCES[str(digest)], *rest)


class Topology(Protocol):
    """Which server has which keys."""

    @property
    def address(self) -> str:
        """Where it was told to look, for messages."""
        ...

    async def node(self, key: Word) -> Node:
        """Return the primary that has the key."""
        ...

    async def primaries(self) -> Sequence[Node]:
        """Return all primaries."""
        ...

    def forget(self) -> bool:
        """Look anew next time; tell whether that can change anything."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class Single:
    """One server has all keys."""

    def __init__(self, options: dict[str, Any], address: str) -> None:
        self._node = Node(options, address)
        self.address = address

    async def node(self, key: Word) -> Node:
        """Return the server."""
        return self._node

    async def primaries(self) -> Sequence[Node]:
        """Return the server."""
        return [self._node]

    def forget(self) -> bool:
        """Do nothing."""
        return False

    async def aclose(self) -> None:
        """Close all connections."""
        await self._node.aclose()


class Cluster:
    """The servers of a Redis Cluster; redis-py's client finds out which of them has which slots.

    The exchanges themselves do not go through that client: it repeats commands after a connection has died,
    which could write twice.
    """

    def __init__(self, seeds: Sequence[dict[str, Any]], setting: str) -> None:
        self.address = _address(seeds, setting)
        self._setting = setting
        self._seeds = seeds
        self._client: RedisCluster | None = None
        self._looking = asyncio.Lock()
        self._nodes: dict[str, Node] = {}
        self._closed = False

    async def node(self, key: Word) -> Node:
        """Return the primary that has the key's slot."""
        client = self._client or await self._look()
        node = client.get_node_from_key(str(key))
        if node is None:
            raise RedisClusterException("no node has its slot")
        return self._open(node)

    async def primaries(self) -> Sequence[Node]:
        """Return all primaries."""
        client = self._client or await self._look()
        return [self._open(node) for node in client.get_primaries()]

    def forget(self) -> bool:
        """Look anew next time."""
        self._client = None
        return True

    async def aclose(self) -> None:
        """Close all connections; none is made any more."""
        self._closed = True
        self._client = None
        for node in self._nodes.values():
            await node.aclose()

    async def _look(self) -> RedisCluster:
        async with self._looking:
            _check_open(closed=self._closed)
            if self._client is None:
                client = self._new_client()
                found = client.nodes_manager
                try:
                    # Not the client's own: that asks for all that Redis knows of its commands, too.
                    await found.initialize()
                finally:
                    await found.aclose()
                    await found.aclose("startup_nodes")
                self._client = client
            return self._client

    def _new_client(self) -> RedisCluster:
        nodes = [(seed["host"], seed["port"]) for seed in self._seeds]
        options: dict[str, Any] = {
            name: value for name, value in self._seeds[0].items() if name not in {"host", "port", "db"}
        }
        options["ssl"] = options.pop("connection_class", None) is SSLConnection
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in nodes],
            require_full_coverage=False,  # the slots that are there go on
            **options,
        )

    def _open(self, node: ClusterNode) -> Node:
        _check_open(closed=self._closed)  # it may have been left while it was looked for
        if node.name not in self._nodes:
            options = {**self._seeds[0], "host": node.host, "port": node.port}
            self._nodes[node.name] = Node(options, _address([options], self._setting))
        return self._nodes[node.name]


def _address(options: Sequence[dict[str, Any]], setting: str) -> str:
    """Return where servers are, and how that is known, for messages."""
    hosts = ",".join(f"{each['host']}:{each['port']}" for each in options)
    tls = " with TLS" if options[0].get("connection_class") is SSLConnection else ""
    return f"{hosts}{tls} ({setting})"


def topology(url: str, timeout_s: float, setting: str) -> Topology:
    """Return the servers that the URL of a setting names, none of them called yet.

    `redis://`, `rediss://` (TLS) and either with `+cluster`, where several hosts may stand, with commas.
    Raises `StoreError` where it is no such URL; the message never shows it.
    """
    scheme, mark, rest = url.partition("://")
    kind = scheme.removesuffix("+cluster")
    try:
        servers = _options(kind + mark, rest, timeout_s)
    except (ValueError, TypeError, RedisError) as error:
        # The driver may quote what stands in the URL; the name of an option is all that is shown of it.
        option = _OPTION.search(str(error))
        cause = f" ({option[0]} is no option, or cannot have this value)" if option else ""
        raise StoreError(
            f"{setting} is no URL of Redis: it is redis://[[user]:password@]host[:port][/database],"
            f" or rediss:// with TLS, or redis+cluster://{cause}."
        ) from error
    if kind == scheme:
        if len(servers) > 1:
            raise StoreError(f"{setting} names several hosts, which only redis+cluster:// can have.")
        return Single(servers[0], _address(servers, setting))
    if any(each.get("db") for each in servers):
        raise StoreError(f"{setting} names a database, and a Redis Cluster has only one.")
    return Cluster(servers, setting)


def _options(start: str, rest: str, timeout_s: float) -> list[dict[str, Any]]:
    """Return what the driver takes for each host. Raises `ValueError` or `TypeError` for what it does not."""
    authority, slash, path = rest.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    database = path.partition("?")[0]
    if database and not database.isdecimal():
        raise ValueError("the database is no number")
    own = {
        "socket_timeout": None,  # the exchange as a whole has a limit
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    servers = []
    for host in hosts.split(","):
        options: dict[str, Any] = {
            "host": "localhost",
            "port": 6379,
            **parse_url(f"{start}{credentials}{at}{host}{slash}{path}"),
            **own,
        }
        # It refuses unknown options; nothing is called yet.
        ConnectionPool(**options).make_connection()  # type: ignore[no-untyped-call]  # the driver's
        servers.append(options)
    return servers
