"""Log-rank aggregation: several scores as one, by where each stands among those of a reference sample."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log_rank(reference: Array, values: Array) -> Array:
    """The sum of the logarithms of relative ranks, [N], for N rows of F scores and a reference [M, F].

    AZ-NAS (Lee & Ham, CVPR 2024, equation 6) ranks within the population it searches. Here ranks are taken in
    a fixed sample, so that a score does not change with what else was scored.
    """
    scores: Array = np.log(relative_ranks(reference, values)).sum(axis=1)
    return scores


def relative_ranks(reference: Array, values: Array) -> Array:
    """Where values [N, F] stand among a reference [M, F], in (0, 1), column by column.

    The counts below each value are smoothed by a Gaussian kernel (bandwidth after Silverman, 1986, with the
    interquartile range against outliers), so that two values between the same two of the sample, or beyond
    all of them, still differ.
    """
    from scipy.special import ndtr

    below = ndtr((values[:, None, :] - reference) / _bandwidths(reference)).sum(axis=1)
    ranks: Array = (below + 0.5) / (len(reference) + 1)
    return ranks


def normal_scores(ranks: Array) -> Array:
    """Relative ranks as the quantiles of a standard normal distribution."""
    from scipy.special import ndtri

    quantiles: Array = ndtri(ranks)
    return quantiles


def _bandwidths(reference: Array) -> Array:
    """Per column, [F]; 1 where all are equal."""
    deviation = reference.std(axis=0)
    quartiles = np.subtract(*np.percentile(reference, [75, 25], axis=0)) / 1.349
    spread = np.where(quartiles > 0, np.minimum(deviation, quartiles), deviation)
    return np.where(spread > 0, 0.9 * spread * len(reference) ** -0.2, 1.0)
