"""Packets followed through a log, to the call that is missing."""

from gso.diagnosis.survey import SET_INNER_MAC, Case, Diagnosis, Event, Survey, diagnose, drawing

__all__ = ["SET_INNER_MAC", "Case", "Diagnosis", "Event", "Survey", "diagnose", "drawing"]
