"""One worker process against two, and one job against two at once."""

from contextlib import ExitStack

from bench import transfer
from bench.bulk import job_run, settled, warm
from bench.data import census_file
from bench.mixed import ended_job, start_job
from bench.options import Options
from bench.places import RUN
from bench.progress import say
from bench.servers import Scoreline
from bench.spreads import Numbers, ratios, spread

_REPEATS = 3
_PROCESSES = (1, 2)


def run(options: Options) -> Numbers:
    """Two services, with one and with two bulk processes, take turns; then two jobs at once take turns with one."""
    rows = options.standard
    source = census_file(rows)
    repeats = min(options.repeats, _REPEATS)
    seconds: dict[int, list[float]] = {processes: [] for processes in _PROCESSES}
    alone: list[float] = []
    together: list[list[float]] = []
    with ExitStack() as stack:
        services = {
            processes: stack.enter_context(warm(f"scoreline-{processes}", SCORELINE_BULK_PROCESSES=str(processes)))
            for processes in _PROCESSES
        }
        for turn in range(repeats):
            for processes, service in services.items():
                done = settled(service, job_run(service, "job"))(source, RUN / "scaling.out")
                seconds[processes].append(done["seconds"])
                say(f"scaling, round {turn + 1}: {processes} bulk processes: {done['seconds']:.2f} s")
    with warm() as service:
        for turn in range(repeats):
            alone.extend(_at_once(service, 1, rows))
            together.append(_at_once(service, 2, rows))
            say(f"two jobs, round {turn + 1}: alone {alone[-1]:.2f} s, at once {together[-1]}")
    both = [max(times) for times in together]
    return {
        "rows": rows,
        "seconds": {str(processes): spread(times) for processes, times in seconds.items()},
        "speed_up": ratios(seconds[1], seconds[2]),
        "alone": spread(alone),
        "first_of_two": spread([min(times) for times in together]),
        "second_of_two": spread(both),
        "two_to_one": ratios(both, alone),
    }


def _at_once(service: Scoreline, count: int, rows: int) -> list[float]:
    """Seconds of each of some jobs that begin at the same time, each with a client of its own."""
    service.settle()
    jobs = [start_job(service, "job", census_file(rows), f"job-{number}") for number in range(count)]
    done = [ended_job(job) for job in jobs]
    for one in done:
        transfer.delete(service.port, one["job"])
    return [one["seconds"] for one in done]
