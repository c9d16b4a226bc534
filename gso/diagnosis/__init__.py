"""Packets followed through a log, to the call that is missing."""

from gso.diagnosis.cases import Case, Diagnosis
from gso.diagnosis.causes import SET_INNER_MAC
from gso.diagnosis.event import Event
from gso.diagnosis.survey import Diagnoser, diagnose

__all__ = ["SET_INNER_MAC", "Case", "Diagnoser", "Diagnosis", "Event", "diagnose"]
