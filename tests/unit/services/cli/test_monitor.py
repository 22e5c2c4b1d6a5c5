"""What the monitor's lists say in a table."""

import pytest
import typer

from protos.common.v1.common_pb2 import Interval
from protos.monitor.v1 import monitor_service_pb2 as pb
from protos.monitor.v1.monitor_events_pb2 import (
    VERDICT_WAIT_FOR_LABELS,
    BurnRate,
    CauseAttributed,
    DecisionMade,
    DriftDetected,
)
from services.cli.commands import app
from services.cli.monitor import alarm_row, decision_row, objective_row, signal_row


def test_a_signal_is_shown_against_its_threshold() -> None:
    signal = pb.Signal(
        name="length", statistic=3.25, threshold=10.82, duplicates=2, copies=1, skipped=7
    )

    row = signal_row(signal)

    assert (row["statistic"], row["left out"], row["skipped"]) == ("3.2 of 10.8", 3, 7)


def test_an_alarm_shows_the_cause_of_its_case_once_there_is_one() -> None:
    detected = DriftDetected(signal="mean_logprob", cause="behaviour", confidence=0.6)
    told = CauseAttributed(cause="provider", confidence=0.95, evidence=["Probes differ."])

    early = alarm_row(pb.Alarm(detected=detected))
    late = alarm_row(pb.Alarm(detected=detected, attributed=told))

    assert early["cause"] == "behaviour (60%)"
    assert (late["cause"], late["evidence"]) == ("provider (95%)", "Probes differ.")


def test_an_objective_shows_its_budget_and_its_burn() -> None:
    burns = [BurnRate(long_rate=15.2, short_rate=20.0), BurnRate(long_rate=6, short_rate=7)]
    standing = pb.ObjectiveStanding(
        name="latency", threshold=2, asked="99 % take 2 s", budget_left=-0.5, burn_rates=burns
    )

    row = objective_row(standing)

    assert (row["objective"], row["budget left"]) == ("latency 2", "-50.0%")
    assert row["asked"] == "99 % take 2 s"
    assert (row["burn (long/short)"], row["state"]) == ("15.2/20.0  6.0/7.0", "kept")


def test_a_decision_shows_its_verdict_reasons_and_price() -> None:
    made = DecisionMade(
        verdict=VERDICT_WAIT_FOR_LABELS,
        reasons=["1 new corrections of 3 wanted."],
        loss_gain=Interval(estimate=0.5, lower=0.25, upper=0.75),
        expected_seconds=90,
        expected_cost=0.05,
    )

    row = decision_row(made)

    assert (row["verdict"], row["why"]) == ("wait_for_labels", "1 new corrections of 3 wanted.")
    assert (row["loss gain"], row["price"]) == ("0.50 [0.25, 0.75]", "90 s, 0.05")


@pytest.mark.parametrize("command", ["signals", "alarms", "slo", "decisions"])
def test_the_application_is_an_option_as_everywhere(command: str) -> None:
    [option, *_] = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]  # a group

    assert (option.opts, option.required) == (["--application", "-a"], False)
