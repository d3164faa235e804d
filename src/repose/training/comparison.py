"""Comparison of training runs: what differs in their settings and their scores, over seeds."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.table import Table

from repose.errors import UserError, expected
from repose.evaluation.report import Report, add_row, make_table
from repose.files.structured import Whole, convert
from repose.training.run_folder import CONFIG, FREE, SCORES, read_config, read_scores


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation; None for the deviation of a single value."""

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(statistics.fmean(values), deviation, len(values))

    def show(self, sign: str = "") -> str:
        text = f"{self.mean:{sign}.2f}"
        return text if self.deviation is None else f"{text} ± {self.deviation:.2f}"


@dataclass(frozen=True)
class Group:
    """Runs whose settings differ only in the seed."""

    label: str
    """The settings that differ between the groups, with this group's values."""
    seeds: tuple[int, ...]
    values: Mapping[str, Spread]
    differences: Mapping[str, Spread]
    """From the first group, over the seeds that both have; empty for the first group and without any."""


@dataclass(frozen=True)
class Comparison(Report):
    """Groups of runs, and how they differ from the first one."""

    digits: ClassVar[int | None] = None
    groups: tuple[Group, ...]
    metrics: tuple[str, ...]
    """Validation scores that all runs have."""
    notes: tuple[str, ...]

    def summary(self) -> str:
        return "\n".join(self.notes)

    def tables(self) -> list[Table]:
        """Return a row for each group."""
        columns = [heading for name in self.metrics for heading in (name, "difference")]
        table = make_table(["runs"], ["seeds", *columns])
        for group in self.groups:
            cells = []
            for name in self.metrics:
                difference = group.differences.get(name)
                cells += [group.values[name].show(), difference.show("+") if difference else "–"]
            add_row(table, group.label, str(len(group.seeds)), *cells)
        return [table]

    def numbers(self) -> Iterator[Sequence[object]]:
        """Yield mean and deviation of each score, and of its difference from the first group."""
        spread = ("mean", "deviation", "count")
        yield "runs", "seeds", "metric", *spread, *(f"difference_{name}" for name in spread)
        for group in self.groups:
            seeds = " ".join(map(str, group.seeds))
            for metric, value in group.values.items():
                both = (value, group.differences.get(metric))
                yield group.label, seeds, metric, *(v for s in both if s for v in vars(s).values())

    def content(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Run:
    folder: Path
    settings: Mapping[str, Any]
    seed: int
    step: int
    scores: Mapping[str, float]


def compare(folders: Sequence[Path], labels: Sequence[str] = ()) -> Comparison:
    """Compare the last validation scores of training runs.

    Args:
        folders: run folders. The other groups are compared with that of the first one.
        labels: names of the groups, in the order of their first runs; the settings that differ unless given.

    Raises:
        UserError: a folder without a run or without scores, two runs with the same settings and seed,
            runs without a common score, and another number of labels than of groups.
    """
    if not folders:
        expected("runs to compare", "at least one folder", "none")
    runs = [_read(folder) for folder in folders]
    metrics = [name for name in runs[0].scores if all(name in run.scores for run in runs)]
    if not metrics:
        raise UserError(
            "the runs have no validation score in common", "Compare runs on the same kind of data."
        )
    names = sorted({name for run in runs for name in run.settings})
    changed = [
        name for name in names if any(r.settings.get(name) != runs[0].settings.get(name) for r in runs)
    ]
    members: dict[str, dict[int, _Run]] = {}
    for run in runs:
        label = ", ".join(f"{name} {run.settings.get(name)}" for name in changed) or "same settings"
        group = members.setdefault(label, {})
        if run.seed in group:
            raise UserError(
                f"{run.folder} and {group[run.seed].folder}: the same settings and the same seed, {run.seed}",
                "Give each run once, or train it with another --seed.",
            )
        group[run.seed] = run
    if labels:
        if len(labels) != len(members) or len(set(labels)) < len(labels):
            expected("labels", f"{len(members)} different ones: {'; '.join(members)}", ", ".join(labels))
        members = dict(zip(labels, members.values(), strict=True))
    first = next(iter(members.values()))
    groups, notes = [], []
    for label, group in members.items():
        common = [seed for seed in group if seed in first]
        if group is not first and len(common) < max(len(group), len(first)):
            notes.append(
                f"{label}: only seeds {common or 'none'} are in both groups; differences are over these"
            )
        groups.append(_group(label, group, first, metrics))
    if len({run.step for run in runs}) > 1:
        steps = ", ".join(f"{run.folder.name} {run.step}" for run in runs)
        notes.append(f"the last validation was at different steps: {steps}")
    return Comparison(tuple(groups), tuple(metrics), tuple(notes))


def _group(label: str, group: Mapping[int, _Run], first: Mapping[int, _Run], metrics: Sequence[str]) -> Group:
    """Average the runs of a group, by seed, and their differences from those of the first group."""
    common = [seed for seed in group if seed in first and group is not first]
    return Group(
        label,
        tuple(group),
        {name: Spread.of([run.scores[name] for run in group.values()]) for name in metrics},
        {
            name: Spread.of([group[seed].scores[name] - first[seed].scores[name] for seed in common])
            for name in metrics
            if common
        },
    )


def _read(folder: Path) -> _Run:
    settings = read_config(folder)
    validations = read_scores(folder)
    if not validations:
        hint = "Let the run go on to its first validation."
        expected(str(folder), f"validation scores in {SCORES}", "none", hint)
    last = validations[-1]
    seed: int = convert(f"{folder / CONFIG}: seed", settings.get("seed"), Whole)
    compared = {name: value for name, value in settings.items() if name not in FREE | {"seed"}}
    return _Run(folder, compared, seed, last.step, last.values)
