"""Data quality as code: the only door to Great Expectations."""

import warnings

import fradect as fradect

# Great Expectations imports modules of the standard library that are deprecated; nothing of ours depends on them.
warnings.filterwarnings("ignore", message="module 'sre_", category=DeprecationWarning)
