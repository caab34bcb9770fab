"""``make fuzz``: fuzz targets with as many inputs as asked for, then the property tests and schemathesis, at length.

``--inputs`` are shared out among the targets (or go to one, with ``--target``). What the fuzzer keeps for the next time
is in ``var/fuzz``, and so is an input on which it fails.
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

from model.census.train import ensure_trained
from tests.stack import ROOT

# Of a hundred inputs, how many each target gets: those that run through more of the product take longer.
SHARES = {"record": 60, "body": 20, "cutting": 10, "values": 3, "scoring": 3, "dialects": 2, "encoding": 2}
LONGEST = {"cutting": 400, "scoring": 500, "dialects": 300, "values": 200, "record": 600, "body": 600, "encoding": 40}
API = "tests/fuzz/test_api.py"
PROPERTIES = "from tests.properties import"
WITHOUT_ATHERIS = (
    "scoreline: the fuzz targets need atheris, which has no wheel for some systems: .venv/bin/python -m pip install "
    "atheris==3.0.0; ARGS='--inputs 0' runs the property tests and schemathesis alone"
)


def main() -> int:
    """Run all that is asked for; 0 if nothing was found."""
    options = _options()
    shares = {options.target: 100} if options.target else SHARES
    if options.inputs and importlib.util.find_spec("atheris") is None:
        print(WITHOUT_ATHERIS, file=sys.stderr)
        return 1
    if options.inputs:
        ensure_trained(options.folder / "models")
    failed = [name for name, share in shares.items() if not fuzz(name, options.inputs * share // 100, options)]
    if options.examples and not explore(options):
        failed.append("properties")
    print(f"failed: {', '.join(failed)}" if failed else "nothing found")
    return len(failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__, add_help=True)
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs for the fuzz targets in all")
    parser.add_argument("--target", choices=SHARES, help="fuzz this one only")
    parser.add_argument(
        "--examples", type=int, default=1000, help="examples of each property, and 1/20 of each operation"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=ROOT / "var" / "fuzz")
    return parser.parse_args()


def fuzz(target: str, inputs: int, options: argparse.Namespace) -> bool:
    """Fuzz one target; whether nothing was found: no exception, and no input that takes 20 seconds."""
    if not inputs:
        return True
    kept = options.folder / target
    kept.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "tests.fuzz.fuzzer", target, str(options.folder / "models")),
        *(f"-runs={inputs}", f"-seed={options.seed}", f"-max_len={LONGEST[target]}", "-timeout=20", "-verbosity=0"),
        *(f"-artifact_prefix={options.folder}/{target}-", str(kept), str(Path(__file__).parent / "corpus" / target)),
    ]
    began = time.monotonic()
    sound = subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    print(f"{target}: {inputs} inputs, {time.monotonic() - began:.0f} s, {'nothing found' if sound else 'FAILED'}")
    return sound


def explore(options: argparse.Namespace) -> bool:
    """The property tests with more examples, and schemathesis; whether all passed."""
    passed = []
    files = [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if PROPERTIES in path.read_text()]
    properties = [*files, f"--hypothesis-seed={options.seed}"]
    for words, examples in ((properties, options.examples), ([API], max(1, options.examples // 20))):
        environment = {**os.environ, "FUZZ_EXAMPLES": str(examples), "FUZZ_SEED": str(options.seed)}
        command = [sys.executable, "-m", "pytest", *words]
        passed.append(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0)
    return all(passed)


if __name__ == "__main__":
    sys.exit(main())
