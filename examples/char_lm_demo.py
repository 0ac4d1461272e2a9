"""`make demo`: trains char_lm.py without a limit and at 50, 25 and 15 % of its own peak.

Each run is a process of its own, started by `plimsoll run`. The limit of the command line is a
process limit, so each run is given a share of the bytes that the engine had in use at once without
a limit, the baseline (what the process had resident besides them: interpreter, libraries, script)
and the margin that the engine keeps free for it. A table compares the runs, their memory over time
is drawn to plimsoll-demo.png, and what has to hold is checked.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPT = Path(__file__).with_name("char_lm.py")
SHARES = (0.5, 0.25, 0.15)
SETTINGS = ["--steps", "24", "--batch", "16", "--seq", "256", "--dim", "256", "--layers", "6"]
PICTURE = Path("plimsoll-demo.png")
MARGIN = 16 * 2**20  # of process limits up to 1.6 GB; a hundredth of larger ones
MB = 1e6


class Run:
    """What one run reported."""

    def __init__(self, name, measured, process_limit=None):
        self.name, self.process_limit = name, process_limit
        self.seconds, self.loss = measured["seconds"], measured["loss"]
        self.digest = measured["digest"]
        self.resident_peak = measured["resident_peak"]
        self.steps, self.timeline = measured["steps"], measured["timeline"]

    def most(self, what):
        """The largest value of a step."""
        return max(step[what] for step in self.steps)

    def each(self, what):
        """The mean of all steps."""
        return sum(step[what] for step in self.steps) / len(self.steps)


def train(title, settings, folder, process_limit=None):
    """Trains in a process of its own; returns what it reports. Its progress bar goes through."""
    print(f"\n{title}", flush=True)
    report = Path(folder) / "report.json"
    limit = [] if process_limit is None else ["--memory-limit", str(process_limit)]
    command = [sys.executable, "-m", "plimsoll", "run", *limit, str(SCRIPT), *settings]
    result = subprocess.run(
        [*command, "--report", str(report)], stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode != 0:
        sys.exit(f"error: {title}: exit status {result.returncode} of {' '.join(command)}")
    if process_limit is None:
        print(result.stdout, end="", flush=True)
    return json.loads(report.read_text(encoding="utf-8"))


def train_all(settings):
    """All four runs, the unlimited one first, and the baseline that it measured."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [Run("no limit", train("Without a limit", settings, folder))]
        peak, baseline = runs[0].most("planned_peak"), runs[0].most("besides")
        for share in SHARES:
            limit = int(share * peak)
            process_limit = baseline + limit + MARGIN
            process_limit = max(process_limit, (baseline + limit) * 100 // 99)
            title = (
                f"{share:.0%} of the peak of {peak / MB:,.0f} MB: "
                f"plimsoll run --memory-limit {process_limit / MB:.0f}MB"
            )
            measured = train(title, settings, folder, process_limit)
            runs.append(Run(f"{share:.0%}", measured, process_limit))
    return runs, baseline


def row(run, free, baseline):
    """A line of the table; sizes in MB."""
    limit = run.process_limit
    return [
        run.name,
        "none" if limit is None else f"{(limit - baseline) / MB:,.0f}",
        f"{run.most('peak') / MB:,.0f}",
        f"{(run.resident_peak - baseline) / MB:,.0f}",
        *(f"{run.each(what) / MB:,.0f}" for what in ("spilled", "reloaded", "recomputed")),
        f"{run.seconds:.2f}",
        f"{run.seconds / free.seconds:.2f}",
        f"{run.loss:.4f}",
        run.digest[:16],
    ]


def show(runs, baseline):
    """Prints the table."""
    heads = [
        ["run", "limit", "peak", "OS peak", "spilled", "reloaded", "recomputed", "s", "ratio",
         "loss", "digest of"],
        ["", "MB", "MB", "MB", "MB/step", "MB/step", "MB/step", "/step", "", "", "the weights"],
    ]  # fmt: skip
    lines = [*heads, *(row(run, runs[0], baseline) for run in runs)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads[0]))]
    print()
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(cells))
    print(f"""
limit    the process limit less the baseline, the {baseline / MB:,.0f} MB that the process has besides the
         engine: a share of the {runs[0].most("planned_peak") / MB:,.0f} MB of live bytes that a step needs at once, and the
         {MARGIN / MB:,.0f} MB that a process limit keeps free for the interpreter
peak     most bytes of the engine by its own count, blocks kept for reuse included
OS peak  most bytes resident by Linux's count, less the baseline""")  # noqa: E501


def check(runs):
    """What has to hold; returns complaints."""
    wrong = []
    digests = {run.digest for run in runs}
    if len(digests) != 1:
        wrong.append(f"the weights of the runs differ: {', '.join(run.digest for run in runs)}")
    for run in runs[1:]:
        if run.resident_peak > run.process_limit:
            wrong.append(
                f"{run.name}: {run.resident_peak:,} bytes were resident, more than the process "
                f"limit of {run.process_limit:,}"
            )
        if any(step["peak"] > step["limit"] for step in run.steps):
            wrong.append(f"{run.name}: the engine counted more bytes than its limit")
    return wrong


def describe(run, free):
    """A panel's title."""
    text = f"{run.name}: {run.seconds:.2f} s a step"
    if run is not free:
        text += f" ({run.seconds / free.seconds:.2f} times)"
        for what in ("spilled", "reloaded", "recomputed"):
            text += f", {run.each(what) / MB:,.0f} MB {what}"
    return text


def draw(runs):
    """Bytes in use over the last step, a panel a run."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        len(runs), 1, figsize=(9, 2.1 * len(runs) + 0.8), sharex=True, layout="constrained"
    )
    longest = max(run.timeline[-1][0] for run in runs)
    top = max(used for run in runs for _, used in run.timeline) / MB
    for panel, run in zip(panels, runs, strict=True):
        times = [t for t, _ in run.timeline]
        used = [b / MB for _, b in run.timeline]
        panel.fill_between(times, used, step="post", color="#4878a8", alpha=0.35, linewidth=0)
        panel.step(times, used, where="post", color="#2b5c8a", linewidth=1)
        if run.process_limit is not None:
            limit = run.steps[-1]["limit"] / MB
            panel.axhline(limit, color="#c03028", linewidth=1.2)
            panel.text(
                longest, limit + top * 0.03, f"limit {limit:,.0f} MB", color="#c03028",
                ha="right", va="bottom",
            )  # fmt: skip
        panel.set_title(describe(run, runs[0]), loc="left", fontsize=10)
        panel.set_ylabel("MB in use")
        panel.set_ylim(0, top * 1.12)
        panel.set_xlim(0, longest)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("seconds since the start of the step")
    figure.suptitle("The last training step of char_lm.py: same steps, same weights, less memory")
    figure.savefig(PICTURE, dpi=130)


def main():
    """Runs everything; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", action="store_true", help="this; other options are char_lm.py's")
    _, others = parser.parse_known_args()
    runs, baseline = train_all([*SETTINGS, *others])
    show(runs, baseline)
    draw(runs)
    print(f"\nmemory over time: {PICTURE}")
    wrong = check(runs)
    for text in wrong:
        print(f"error: {text}", file=sys.stderr)
    if not wrong:
        print("checked: the same weights in all runs; the process limit kept in all limited ones")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
