"""Training sets on disk, read without what it took to build them."""

from fradect.adapters.training_store import read_training_set as read_training_set
