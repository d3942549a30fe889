"""Learning, as pure functions: data, study, fit, calibration, evaluation, fairness, gates, card."""

import fradect as fradect
