"""Data quality as code: the only door to Great Expectations."""

import fradect as fradect
