"""Decide: from a probability, rules and lists to an action (approve, review, decline) and its reasons."""

from shroff.decide.policy import Action, Judge, Policy, Rule, Verdict

__all__ = ["Action", "Judge", "Policy", "Rule", "Verdict"]
