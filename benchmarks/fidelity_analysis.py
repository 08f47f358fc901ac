"""From the record of `bench_fidelity` to its table: every estimator by every readout, ensembles, targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from conditions import conditions, write_results
from fidelity_measurements import Record
from numpy.typing import NDArray

from nas.agreement import Agreement, agreement
from nas.estimators.calibrated import LogRankProcess
from nas.estimators.log_rank import log_rank
from nas.estimators.panel import LABEL_FREE_READOUTS
from nas.ranking import spearman
from nas.search_spaces.base import SearchSpace
from nas.true_accuracies import TrueAccuracy

Array = NDArray[np.float64]
Groups = Mapping[str, Sequence[TrueAccuracy]]

RESAMPLES = 300
FEWEST = 20
"""Architectures below which a rank correlation is not reported: its interval would say nothing."""
LABEL_DRAWS = 10
LABELS = 50
REAL, SYNTHETIC = ("real_data_x1", "real_data_x4"), ("gtn", "gtn_4_passes", "gtn_then_real")
EQUAL_COST = {
    "as many steps as the curriculum": (REAL[:1], SYNTHETIC[:1]),
    "four times as many": (REAL[1:], SYNTHETIC[1:]),
}
PUBLISHED = {
    "synflow": "0.74-0.76",
    "jacobian_covariance": "0.73-0.80",
    "naswot": "0.76-0.78",
    "az_nas": "0.89-0.91",
    "params": "0.82-0.85 (measured here before)",
}

CHOSEN_BEFOREHAND = (
    "The ensemble's seven readouts, and a Gaussian process with the ensemble for its mean instead of ridge "
    "regression or trees, were chosen on 300 other draws from the table, and some networks are in both."
)


def report(space: SearchSpace, groups: Groups, record: Record, *, seed: int) -> None:
    """Print the table and write it to results/bench_fidelity.json."""
    study = Study(space, groups, record, seed)
    tables = {
        "readouts": study.readouts(),
        "ensembles": study.ensembles(),
        "calibrated": study.calibrated(),
    }
    tables["chosen"] = study.chosen()
    for name, rows in tables.items():
        print(f"\n{name}")
        for row in rows:
            print(_line(row))
    targets = study.targets(tables)
    print("\ntargets")
    for name, value in targets.items():
        print(f"  {name}: {value}")
    results = {
        "benchmark": "fidelity",
        **conditions(),
        "seed": seed,
        "setting": "NAS-Bench-201 cells, CIFAR-10 at 16x16; truth: test accuracy after 200 epochs",
        "real_learning_rate": record.notes.get("rate"),
        "groups": {name: len(entries) for name, entries in groups.items()},
        "published": PUBLISHED,
        "chosen_beforehand": CHOSEN_BEFOREHAND,
        "trained_briefly": {
            label: sum(1 for name, _ in record.rows if name == label) for label in (*REAL, *SYNTHETIC)
        },
        **tables,
        "targets": targets,
    }
    print(write_results("bench_fidelity", results))


def compare(
    space: SearchSpace, groups: Groups, real: Record, checkpoints: Mapping[str, Record], *, seed: int
) -> None:
    """Print what data of each checkpoint are worth beside real data, and write it to results/.

    Each checkpoint's readouts are chosen anew. Written to bench_fidelity_checkpoints.json.
    """
    compared: dict[str, Any] = {}
    for name, record in checkpoints.items():
        study = Study(space, groups, _together(real, record), seed)
        chosen = study.chosen()
        readouts = [row for row in study.readouts() if row["estimator"] in SYNTHETIC]
        compared[name] = {
            "chosen": chosen,
            "at equal cost": study.at_equal_cost(chosen),
            "ensembles": study.ensembles(),
            "readouts": {
                f"{row['estimator']}, {row['readout']}": row["spearman"]["value"] for row in readouts
            },
        }
        print(f"\n{name}")
        for row in (*chosen, *compared[name]["ensembles"]):
            print(_line(row))
        for cost, difference in compared[name]["at equal cost"].items():
            print(f"  {cost}: {difference}")
    results = {
        "benchmark": "fidelity of several checkpoints",
        **conditions(),
        "seed": seed,
        "real_learning_rate": real.notes.get("rate"),
        "groups": {name: len(entries) for name, entries in groups.items()},
        "checkpoints": compared,
    }
    print(write_results("bench_fidelity_checkpoints", results))


def _together(real: Record, synthetic: Record) -> Record:
    """What was trained on a checkpoint's data from one record, and all else from another."""
    record = Record(synthetic.path)
    record.rows = {key: row for key, row in record.rows.items() if key[0] in SYNTHETIC}
    record.rows |= {key: row for key, row in real.rows.items() if key[0] not in SYNTHETIC}
    return record


@dataclass(frozen=True)
class Scores:
    """One number for each of some architectures, more is better."""

    entries: tuple[TrueAccuracy, ...]
    values: Array

    @property
    def truth(self) -> Array:
        return np.array([entry.accuracy for entry in self.entries])

    def of(self, entries: Sequence[TrueAccuracy]) -> "Scores":
        """Those of some of the architectures, in their order."""
        index = {entry: place for place, entry in enumerate(self.entries)}
        return Scores(tuple(entries), self.values[[index[entry] for entry in entries]])


@dataclass(frozen=True)
class Study:
    """The record, read by group of architectures."""

    space: SearchSpace
    groups: Groups
    record: Record
    seed: int

    def readouts(self) -> list[dict[str, Any]]:
        """Every readout of every estimator on the reported architectures."""
        rows = []
        for estimator in sorted({label for label, _ in self.record.rows}):
            for readout in self.readout_names(estimator):
                scores = self.scores(estimator, readout, "reported")
                if len(scores.entries) >= FEWEST:
                    rows.append(self.row(estimator, readout, scores))
            if estimator.startswith("zero_cost"):
                terms = ("expressivity", "progressivity", "trainability", "flops")
                scores = self.log_ranks([(estimator, term) for term in terms], "reported")
                rows.append(self.row(estimator, "az_nas", scores))
        return rows

    def chosen(self) -> list[dict[str, Any]]:
        """Each training-based estimator by the readout that was best on the selection's architectures."""
        return [
            self.row(estimator, readout, self.scores(estimator, readout, "reported"))
            for estimator in (*REAL, *SYNTHETIC)
            if (readout := self.best_readout(estimator)) is not None
        ]

    def ensembles(self) -> list[dict[str, Any]]:
        """Log-rank aggregates: of proxies alone, and with a brief training's chosen readout beside them."""
        rows = []
        for proxies in ("zero_cost", "zero_cost_full"):
            if not self.readout_names(proxies):
                continue
            panel = [(proxies, readout) for readout in LABEL_FREE_READOUTS]
            alone = self.log_ranks(panel, "reported")
            rows.append(self.row("ensemble", proxies, alone))
            for estimator in (*REAL, *SYNTHETIC):
                if (readout := self.best_readout(estimator)) is not None:
                    scores = self.log_ranks([*panel, (estimator, readout)], "reported")
                    row = self.row("ensemble", f"{proxies} + {estimator}", scores)
                    rows.append(row | {"member": readout, **self.gain_over(alone, scores)})
        return rows

    def gain_over(self, alone: Scores, together: Scores) -> dict[str, Any]:
        """What the rank correlation gains over proxies alone, on all architectures and on the better half."""
        order = sorted(together.entries, key=lambda entry: -entry.accuracy)
        best = order[: -(-len(order) // 2)]
        return {
            "gain": self.paired_difference(together, alone),
            "gain_top_50_percent": self.paired_difference(together.of(best), alone.of(best)),
        }

    def calibrated(self) -> list[dict[str, Any]]:
        """The calibrated estimator by several draws of labels from the other two groups."""
        rows = []
        for proxies in ("zero_cost", "zero_cost_full"):
            panel = [(proxies, readout) for readout in LABEL_FREE_READOUTS]
            reference = self.matrix(panel, "labels")[1]
            pool = [self.matrix(panel, group) for group in ("labels", "selection")]
            entries = [entry for part, _ in pool for entry in part]
            readouts, features = np.vstack([part for _, part in pool]), self.features(entries)
            truth = np.array([entry.accuracy for entry in entries])
            reported, asked = self.matrix(panel, "reported")
            values, rhos = [], []
            for draw in range(LABEL_DRAWS):
                index = np.random.default_rng([self.seed, draw]).permutation(len(entries))[:LABELS]
                if draw == 0:
                    index = np.arange(min(LABELS, len(pool[0][0])))  # the group that is there for it
                process = LogRankProcess(reference, readouts[index], features[index], truth[index])
                predicted, _ = process.predict(asked, self.features(reported))
                values.append(predicted)
                rhos.append(spearman(predicted, [entry.accuracy for entry in reported]))
            row = self.row("calibrated", f"{proxies}, {LABELS} labels", Scores(tuple(reported), values[0]))
            rows.append(
                row | {"spearman_over_label_draws": rhos, "mean_over_label_draws": float(np.mean(rhos))}
            )
        return rows

    def targets(self, tables: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
        """What was asked for, and what was reached."""
        ensemble = [row for row in tables["ensembles"] if row["readout"] in ("zero_cost", "zero_cost_full")]
        reached: dict[str, Any] = {
            "ensemble >= 0.90": {row["readout"]: _value(row) for row in ensemble},
            "calibrated, 50 labels >= 0.93": {
                row["readout"]: {"first draw": _value(row), "mean of 10": row["mean_over_label_draws"]}
                for row in tables["calibrated"]
            },
        }
        for cost, compared in self.at_equal_cost(tables["chosen"]).items():
            reached[f"best GTN-based above best real by >= 0.10, {cost}"] = compared
        return reached

    def at_equal_cost(self, chosen: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The best GTN-based estimator against the best on real data, by cost."""
        compared = {}
        for cost, (real, gtn) in EQUAL_COST.items():
            best_real, best_gtn = (
                max((row for row in chosen if row["estimator"] in names), key=_value, default=None)
                for names in (real, gtn)
            )
            if best_real and best_gtn:
                compared[cost] = {
                    "real": [best_real["estimator"], best_real["readout"], _value(best_real)],
                    "gtn": [best_gtn["estimator"], best_gtn["readout"], _value(best_gtn)],
                    **self.paired_difference(
                        *(
                            self.scores(row["estimator"], row["readout"], "reported")
                            for row in (best_gtn, best_real)
                        )
                    ),
                }
        return compared

    def paired_difference(self, one: Scores, other: Scores) -> dict[str, float]:
        """Difference of the two rank correlations with a bootstrap interval over the same architectures."""
        measured = set(other.entries)
        common = [entry for entry in one.entries if entry in measured]
        first, second = one.of(common).values, other.of(common).values
        truth = one.of(common).truth
        rng = np.random.default_rng(self.seed)
        draws = [rng.integers(len(common), size=len(common)) for _ in range(RESAMPLES)]
        differences = [spearman(first[d], truth[d]) - spearman(second[d], truth[d]) for d in draws]
        low, high = np.quantile(differences, [0.025, 0.975])
        difference = spearman(first, truth) - spearman(second, truth)
        return {"difference": difference, "low": float(low), "high": float(high), "n": len(common)}

    def row(self, estimator: str, readout: str, scores: Scores) -> dict[str, Any]:
        """One line of a table."""
        measured: Agreement = agreement(scores.values, scores.truth, seed=self.seed, resamples=RESAMPLES)
        best = np.argsort(-scores.truth)[: -(-len(scores.truth) // 2)]
        upper = agreement(scores.values[best], scores.truth[best], seed=self.seed, resamples=RESAMPLES)
        return {
            "estimator": estimator,
            "readout": readout,
            **measured.to_json(),
            "top_50_percent": upper.to_json(),
            **self.seconds(estimator, readout),
        }

    def seconds(self, estimator: str, readout: str) -> dict[str, float]:
        """Mean CPU and wall-clock seconds of a candidate; of an ensemble, those of all its members."""
        members = [estimator]
        if estimator in ("ensemble", "calibrated"):
            members = readout.partition(",")[0].split(" + ")
        rows = [
            [row for (label, _), row in self.record.rows.items() if label == member and "readouts" in row]
            for member in members
        ]
        return {
            name: float(sum(np.mean([row[name] for row in part]) for part in rows if part))
            for name in ("cpu_seconds", "seconds")
        }

    def readout_names(self, estimator: str) -> list[str]:
        """The readouts that were recorded: those that a search can be asked for."""
        rows = (
            row for (label, _), row in self.record.rows.items() if label == estimator and "readouts" in row
        )
        first = next(rows, None)
        return [name for name in first["readouts"] if not _is_left_out(name, estimator)] if first else []

    def best_readout(self, estimator: str) -> str | None:
        """The readout that ranks the selection best; None while there is too little to judge by."""
        rhos: dict[str, float] = {}
        for readout in self.readout_names(estimator):
            scores = self.scores(estimator, readout, "selection")
            if len(scores.entries) >= FEWEST // 2:
                rhos[readout] = spearman(scores.values, scores.truth)
        return max(rhos, key=rhos.__getitem__) if rhos else None

    def scores(self, estimator: str, readout: str, group: str) -> Scores:
        """One readout of one estimator, where it was measured."""
        entries, matrix = self.matrix([(estimator, readout)], group)
        return Scores(tuple(entries), matrix[:, 0])

    def log_ranks(self, panel: Sequence[tuple[str, str]], group: str) -> Scores:
        """The aggregate of several, among a reference that is not reported: labels, else the selection."""
        entries, matrix = self.matrix(panel, group)
        reference = self.matrix(panel, "labels")[1]
        if len(reference) < 8:  # brief trainings are not measured there
            reference = self.matrix(panel, "selection")[1]
        return Scores(tuple(entries), log_rank(reference, matrix))

    def matrix(self, panel: Sequence[tuple[str, str]], group: str) -> tuple[list[TrueAccuracy], Array]:
        """The architectures that all of a panel have measured, and the readouts, [N, F]."""
        found = []
        for entry in self.groups[group]:
            rows = [self.record.rows.get((label, entry.architecture.encoding)) for label, _ in panel]
            if all(row is not None and "readouts" in row for row in rows):
                pairs = zip(rows, panel, strict=True)
                found.append((entry, [float(row["readouts"][name]) for row, (_, name) in pairs if row]))
        values = np.array([row for _, row in found]).reshape(len(found), len(panel))
        return [entry for entry, _ in found], values

    def features(self, entries: Sequence[TrueAccuracy]) -> Array:
        """Of the architectures, [N, D]."""
        return np.array([self.space.features(entry.architecture) for entry in entries])


def _is_left_out(name: str, estimator: str) -> bool:
    """Size is listed where it is a proxy, accuracy where something was trained."""
    proxies = estimator.startswith("zero_cost")
    return (name in ("params", "flops") and not proxies) or (
        name in ("accuracy", "validation_loss") and proxies
    )


def _value(row: Mapping[str, Any]) -> float:
    return float(row["spearman"]["value"])


def _line(row: Mapping[str, Any]) -> str:
    rho, tau, upper = row["spearman"], row["kendall"], row["top_50_percent"]["spearman"]
    return (
        f"  {row['estimator']:15} {row['readout']:32} "
        f"rho {rho['value']:6.3f} [{rho['low']:6.3f}, {rho['high']:6.3f}]"
        f"  tau {tau['value']:6.3f}  better half {upper['value']:6.3f}  n {row['n']:3d}"
        f"  {row['cpu_seconds']:5.2f} s CPU"
    )
