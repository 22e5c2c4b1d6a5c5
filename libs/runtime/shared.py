"""A port that several processes of one service share, by SO_REUSEPORT."""

import socket

from libs.runtime.config import DoorSettings


def listening(door: DoorSettings, *, shared: bool = True) -> socket.socket:
    """A socket that listens at ``door``, beside others if it is ``shared``.

    Raises:
        OSError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in door.host else socket.AF_INET
    try:
        return socket.create_server((door.host, door.port), family=family, reuse_port=shared)
    except OSError as error:
        raise OSError(f"cannot listen on {door.host}:{door.port}: {error.strerror}") from error


def insist_on(door: DoorSettings) -> None:
    """Nobody listens at ``door`` yet: another program that shares its ports would take
    connections of ours unnoticed.

    Raises:
        OSError: somebody does.
    """
    listening(door, shared=False).close()
