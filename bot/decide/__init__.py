"""What is due next for an incident: pure choices over its state and its runs."""

from bot.decide.action import LIVE, Action, Tempo
from bot.decide.look import ask_for_newcomers, decide, due
from bot.decide.runs import KEPT, following, spent

__all__ = [
    "KEPT",
    "LIVE",
    "Action",
    "Tempo",
    "ask_for_newcomers",
    "decide",
    "due",
    "following",
    "spent",
]
