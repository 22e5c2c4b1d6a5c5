"""`perennial drift score`: what it prints, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from libs.faults import Poison
from services.cli.commands import app
from tests.unit.services.monitor.history import CHANGE, history


def test_the_last_line_is_the_alarms_as_json(tmp_path: Path) -> None:
    np.savez(tmp_path / "h.npz", **history(1, "latency_ms"))  # type: ignore[arg-type]  # arrays by name

    result = CliRunner().invoke(app, ["drift", "score", str(tmp_path / "h.npz"), "--json"])

    assert result.exit_code == 0
    first, *_ = json.loads(result.output.splitlines()[-1])
    assert set(first) == {"t", "signal", "statistic", "threshold", "cause"}
    assert (first["signal"], first["cause"]) == ("latency", "system")
    assert first["t"] >= CHANGE


def test_without_json_the_report_says_what_grew(tmp_path: Path) -> None:
    np.savez(tmp_path / "h.npz", **history(2, "guard_block"))  # type: ignore[arg-type]  # arrays by name

    result = CliRunner().invoke(app, ["drift", "score", str(tmp_path / "h.npz")])

    assert "guard_verdict (guard): More answers were blocked by a guard (" in result.output


def test_a_stream_is_not_called_like_its_reference_while_an_array_is_not_watched(
    tmp_path: Path,
) -> None:
    arrays = history(3)
    arrays["ref_feedback"][:] = np.nan
    np.savez(tmp_path / "h.npz", **arrays)  # type: ignore[arg-type]  # arrays by name

    result = CliRunner().invoke(app, ["drift", "score", str(tmp_path / "h.npz")])

    assert "looks like" not in result.output
    assert "no alarm in what is watched; not watched: feedback" in result.output


def test_a_misspelt_array_is_told_beside_the_report(tmp_path: Path) -> None:
    arrays = history(3)
    del arrays["emb"], arrays["ref_emb"]
    arrays["latencyms"] = arrays["ref_latencyms"] = arrays.pop("latency_ms")
    del arrays["ref_latency_ms"]
    np.savez(tmp_path / "h.npz", **arrays)  # type: ignore[arg-type]  # arrays by name

    result = CliRunner().invoke(app, ["drift", "score", str(tmp_path / "h.npz"), "--json"])

    told = "note 'latencyms' is not watched; did you mean 'latency_ms'?"
    assert told in result.stderr.replace("\n", " ")
    assert told not in result.stdout
    json.loads(result.stdout.splitlines()[-1])


def test_a_wrong_array_ends_the_command_with_its_name(tmp_path: Path) -> None:
    arrays = history(3)
    del arrays["ref_emb"]
    np.savez(tmp_path / "h.npz", **arrays)  # type: ignore[arg-type]  # arrays by name

    with pytest.raises(Poison, match="no twin 'ref_emb'"):
        CliRunner().invoke(app, ["drift", "score", str(tmp_path / "h.npz")], catch_exceptions=False)
