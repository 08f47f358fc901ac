"""Metrics in words: with their units, and never an accuracy that is only a proxy."""

from services.dashboard.metrics import difference, metric, metric_name


def test_values_have_units() -> None:
    assert metric(0.8711, "accuracy") == "87.11 %"
    assert metric(1.25, "loss") == "1.250 nats"
    assert metric(18594, "params") == "18.6 k"
    assert metric(239_232, "flops") == "239 kFLOPs"
    assert metric(0.26, "seconds") == "260 ms"
    assert metric(9.738, "latency_ms") == "9.74 ms"
    assert metric(None, "accuracy") == "–"


def test_values_of_any_size_are_short_and_not_all_zeros() -> None:
    assert metric(1e9, "loss") == "1.00e+09 nats"
    assert metric(1e-12, "loss") == "1.00e-12 nats"
    assert metric(0.0, "loss") == "0.000 nats"
    assert metric(-2e-7, "score") == "-2.00e-07"
    assert metric(9e15, "flops") == "9 PFLOPs"
    assert metric(1e-9, "seconds") == "0 ms"


def test_differences_have_signs() -> None:
    assert difference(0.021, "accuracy") == "+2.1 pp"
    assert difference(-0.021, "accuracy") == "−2.1 pp"
    assert difference(-1500, "params") == "−1.5 k"
    assert difference(None, "loss") == "–"


def test_an_accuracy_of_scoring_is_called_a_proxy() -> None:
    assert metric_name("accuracy") == "proxy accuracy"
    assert metric_name("something_new") == "something_new"
