"""A made-up trade with real habits: shoppers, merchants, five kinds of fraud and what resembles them."""

from fradect.simulate.scenario import Scenario
from fradect.simulate.trade import Summary, simulate, write

__all__ = ["Scenario", "Summary", "simulate", "write"]
