"""The scoring service: the only door to BentoML."""

import fradect as fradect
