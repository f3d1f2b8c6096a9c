"""Numbers with their uncertainty: IQM, intervals, paired comparisons, bands, slopes, verdicts, ranks, profiles. NumPy float64.

Arrays in; intervals, claims and verdicts out; no file here knows records. Letters in shapes: S seeds (runs), T tasks, N
episodes, K horizons. Seeds are the units of resampling and of every standard error; randomness is an explicit `rng`
(Generator or seed). Non-finite input raises ValueError: `score_diverged` says what a diverged seed scores.
"""

from __future__ import annotations

from ilbench.stats.aggregates import Profile as Profile
from ilbench.stats.aggregates import improvement as improvement
from ilbench.stats.aggregates import optimality_gap as optimality_gap
from ilbench.stats.aggregates import performance_profile as performance_profile
from ilbench.stats.gap import GapBound as GapBound
from ilbench.stats.gap import gap_bound as gap_bound
from ilbench.stats.gap import holm as holm
from ilbench.stats.gap import verdicts as verdicts
from ilbench.stats.intervals import Interval as Interval
from ilbench.stats.intervals import bootstrap_ci as bootstrap_ci
from ilbench.stats.intervals import bootstrap_difference as bootstrap_difference
from ilbench.stats.intervals import clopper_pearson as clopper_pearson
from ilbench.stats.intervals import iqm as iqm
from ilbench.stats.intervals import mean_ci as mean_ci
from ilbench.stats.intervals import normal_ci as normal_ci
from ilbench.stats.intervals import paired_difference as paired_difference
from ilbench.stats.intervals import score_diverged as score_diverged
from ilbench.stats.intervals import score_range as score_range
from ilbench.stats.intervals import seed_difference as seed_difference
from ilbench.stats.intervals import seed_mean as seed_mean
from ilbench.stats.intervals import seed_p as seed_p
from ilbench.stats.intervals import simultaneous_band as simultaneous_band
from ilbench.stats.intervals import t_quantile as t_quantile
from ilbench.stats.power import seeds_needed as seeds_needed
from ilbench.stats.ranks import Rank as Rank
from ilbench.stats.ranks import rank_intervals as rank_intervals
from ilbench.stats.slopes import Slope as Slope
from ilbench.stats.slopes import ratio_equivalent as ratio_equivalent
from ilbench.stats.slopes import slope_ci as slope_ci
from ilbench.stats.slopes import slope_ci_independent as slope_ci_independent
from ilbench.stats.slopes import tost as tost
