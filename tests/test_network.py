"""Tests cannot reach the network through the event loop of the polls, whatever its kind."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from veo.engine.dispatcher import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

HOST = "192.0.2.1"  # RFC 5737: an address of documentation, which nobody has
DISABLED = f"Network is disabled for host '{HOST}'"


async def get_with_aiohttp() -> None:
    async with aiohttp.ClientSession() as session, session.get(f"http://{HOST}/"):
        pass


async def connect_by_address() -> None:
    """Let the loop make the connection, which uvloop does below Python's sockets."""
    await asyncio.get_running_loop().create_connection(asyncio.Protocol, HOST, 80)


async def connect_a_socket() -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (HOST, 80))


@pytest.mark.parametrize("connect", [get_with_aiohttp, connect_by_address, connect_a_socket])
def test_the_loop_of_the_polls_is_cut_off(
    connect: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Whichever way a library connects, no packet leaves."""
    with closing(new_event_loop()) as loop, pytest.raises(RuntimeError, match=DISABLED):
        loop.run_until_complete(asyncio.wait_for(connect(), 2))
