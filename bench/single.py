"""Single records: each server alone while it is measured, with several numbers of connections, in rounds."""

import subprocess
from collections.abc import Sequence
from typing import Any

from bench import data
from bench.contenders import Contender, Record, contenders
from bench.environments import CannotInstall
from bench.load import body_file, find_wrk, load
from bench.options import Options
from bench.plain import probabilities_of
from bench.progress import say
from bench.servers import CannotServe, Server
from bench.spreads import Numbers, ratios, spread

_WARM_UP_CONNECTIONS = 8
_CHECKED = 20
_TOLERANCE = 1.000001e-6
_MEASURED = ("p50", "p99", "longest", "per_second")


class WrongAnswer(Exception):
    """Raised when a server's probability is not the plain script's."""


def run(options: Options) -> Numbers:
    """Measure all that can be installed; what cannot is named with the reason."""
    find_wrk()
    found, failures = _prepared()
    records = data.records()
    expected = probabilities_of(records[:_CHECKED])
    measured: dict[str, dict[int, list[Numbers]]] = {
        contender.name: {connections: [] for connections in options.connections} for contender in found
    }
    for turn in range(options.rounds):
        for contender in [one for one in found if one.name not in failures]:
            try:
                answers = _measure(contender, options, records, expected)
            except (CannotServe, WrongAnswer, OSError, subprocess.SubprocessError) as error:
                say(f"{contender.title}: {error}")
                failures[contender.name] = str(error)
                continue
            for connections, numbers in answers.items():
                measured[contender.name][connections].append(numbers)
            say(f"single records, round {turn + 1}: {contender.title}: {_line(answers)}")
    return {
        "seconds": options.seconds,
        "connections": list(options.connections),
        "contenders": {
            one.name: {"title": one.title, "how": one.how, "loads": _summary(measured[one.name])}
            for one in found
            if one.name not in failures
        },
        "ratios": _ratios(measured, failures),
        "failures": failures,
    }


def _prepared() -> tuple[list[Contender], dict[str, str]]:
    """The contenders, and why some of them cannot take part."""
    found, failures = contenders(), {}
    for contender in found:
        try:
            contender.prepare()
        except CannotInstall as error:
            say(f"{contender.title} cannot be installed: {error}")
            failures[contender.name] = f"cannot be installed: {error}"
    return found, failures


def _measure(
    contender: Contender, options: Options, records: Sequence[Record], expected: Sequence[float]
) -> dict[int, Numbers]:
    bodies = body_file(contender, records)
    with contender.start() as server:
        _check(contender, server, records, expected)
        load(server.port, contender.path, bodies, _WARM_UP_CONNECTIONS, max(1, options.seconds // 2))
        return {
            connections: load(server.port, contender.path, bodies, connections, options.seconds)
            for connections in options.connections
        }


def _check(contender: Contender, server: Server, records: Sequence[Record], expected: Sequence[float]) -> None:
    for record, wanted in zip(records, expected, strict=False):
        found = contender.probability(server.post(contender.path, contender.body(record)))
        if abs(found - wanted) > _TOLERANCE:
            raise WrongAnswer(f"{contender.title} answers {found}, the pipeline {wanted}")


def _summary(loads: dict[int, list[Numbers]]) -> dict[str, Any]:
    return {
        str(connections): {name: spread([one[name] for one in rounds]) for name in _MEASURED}
        | {name: sum(one[name] for one in rounds) for name in ("requests", "bad_status", "errors")}
        for connections, rounds in loads.items()
        if rounds
    }


def _ratios(measured: dict[str, dict[int, list[Numbers]]], failures: dict[str, str]) -> dict[str, Any]:
    """Per contender and number of connections: how many times its throughput Scoreline has, round by round."""
    mine = measured["scoreline"]
    return {
        name: {
            str(connections): ratios(_throughputs(mine[connections]), _throughputs(rounds))
            for connections, rounds in loads.items()
            if rounds and mine[connections]
        }
        for name, loads in measured.items()
        if name != "scoreline" and name not in failures
    }


def _throughputs(rounds: Sequence[Numbers]) -> list[float]:
    return [max(one["per_second"], 1e-9) for one in rounds]


def _line(answers: dict[int, Numbers]) -> str:
    return ", ".join(
        f"{connections}: p50 {one['p50']:.1f} ms, p99 {one['p99']:.1f} ms, {one['per_second']:,.0f}/s"
        for connections, one in answers.items()
    )
