"""A home keeps credentials to their owner and ports to one stack."""

import json
import os
import socket
from pathlib import Path

import psutil
import pytest

from infra.local.home import DEFAULT_NAME, REPO, Home, Unusable, credentials
from infra.local.ports import BLOCK, GRPC_OFFSET, GUARD_OF_USUAL, Ports, is_free


class Usual(Home):
    """One that may have the usual ports, whatever stacks run beside the test."""

    is_default = True


def ports_of_usual(home: Home) -> Ports:
    block = range(GUARD_OF_USUAL + 1, GUARD_OF_USUAL + BLOCK)
    return Ports(home, block, guards=[], has_usual=True)


def me() -> str:
    return f"{psutil.Process().name()} (pid {os.getpid()})"


def test_a_home_that_was_there_keeps_its_mode_and_hides_what_is_made_in_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    Home(tmp_path).make()
    Home(tmp_path / "made").make()

    modes = [path.stat().st_mode & 0o777 for path in (tmp_path, tmp_path / "logs")]
    assert modes == [0o755, 0o700]
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for impossible in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/perennial")):
        with pytest.raises(Unusable, match=rf"{impossible}: .*PERENNIAL_HOME must name"):
            Home(impossible).make()


def test_credentials_are_made_once_and_are_long_enough(tmp_path: Path) -> None:
    first = credentials(Home(tmp_path))

    again = credentials(Home(tmp_path))

    assert again == first
    assert min(map(len, (first.s3_secret_key, first.operator_token))) >= 32


def test_credentials_can_be_read_by_their_owner_only(tmp_path: Path) -> None:
    credentials(Home(tmp_path))

    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_a_broken_credentials_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{")

    assert credentials(Home(tmp_path)).operator_token


def test_a_part_keeps_its_port_from_start_to_start(tmp_path: Path) -> None:
    with Ports.of(Home(tmp_path)) as first:
        chosen = first("kafka", 9092)
        first.save()

    with Ports.of(Home(tmp_path)) as second:
        assert second("s3", 8333) != chosen
        assert second("kafka", 9092) == chosen


def test_a_port_that_somebody_took_meanwhile_is_replaced(tmp_path: Path) -> None:
    with Ports.of(Home(tmp_path)) as ports:
        chosen = ports("kafka", 9092)
        ports.save()

    with socket.create_server(("127.0.0.1", chosen)), Ports.of(Home(tmp_path)) as ports:
        assert ports("kafka", 9092) != chosen


def test_two_stacks_never_share_a_port_though_nobody_listens_yet(tmp_path: Path) -> None:
    """Both have the same home, so that both would begin at the same block."""
    with Ports.of(Home(tmp_path)) as one, Ports.of(Home(tmp_path)) as other:
        first = {one(f"part-{number}", 0) for number in range(31)}
        second = {other(f"part-{number}", 0) for number in range(31)}

    assert not first & second


def test_two_default_homes_share_no_usual_port(tmp_path: Path) -> None:
    home = Home.of(REPO / DEFAULT_NAME)
    with Ports.of(home) as one, Ports.of(home) as other:
        assert not other.has_usual
        assert one("some-part", 9092) != other("some-part", 9092)


def test_a_usual_port_that_is_taken_is_told_with_its_holder_and_kept_when_free_again(
    tmp_path: Path,
) -> None:
    home = Usual(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        usual = server.getsockname()[1]
        with ports_of_usual(home) as ports:
            away = ports("kafka", usual)
            ports.save()
        assert away != usual
        assert ports.moved == {"kafka": [f"port {away}, for {me()} has {usual}"]}

    with ports_of_usual(home) as ports:
        assert (ports("kafka", usual), ports.moved) == (usual, {})


def test_a_home_that_is_not_the_default_one_remarks_nothing(tmp_path: Path) -> None:
    with Ports.of(Home(tmp_path)) as ports:
        ports("kafka", 9092)

    assert ports.moved == {}


def test_no_port_is_given_twice_nor_the_one_that_a_server_derives(tmp_path: Path) -> None:
    with Ports.of(Home(tmp_path)) as ports:
        given = [ports("s3", 8333, with_grpc=True), ports("filer", 8888, with_grpc=True)]

    everything = [*given, *(port + GRPC_OFFSET for port in given)]
    assert len(set(everything)) == 4
    assert all(map(is_free, everything))


def test_the_ports_file_is_plain_json(tmp_path: Path) -> None:
    with Ports.of(Home(tmp_path)) as ports:
        ports("kafka", 9092)
        ports.save()

    assert set(json.loads((tmp_path / "ports.json").read_text())) == {"kafka"}
