"""Decide: from a probability, rules, lists and costs to an action (approve, challenge, review,
decline) and its reasons.

Reads the probability of fraud in [0, 1] of a payment, its values and features, and a `Policy`;
amounts and costs are in major units of the project's currency. Promises that the first rule that
holds decides, that a payment without a probability is decided too, and that the same payment gets
the same decision under the same policy.
"""

from shroff.decide.judge import Judge, Verdict
from shroff.decide.lane import ControlLane, LaneDecision
from shroff.decide.policy import Policy, Rule
from shroff.evaluate.cost import Action

__all__ = ["Action", "ControlLane", "Judge", "LaneDecision", "Policy", "Rule", "Verdict"]
