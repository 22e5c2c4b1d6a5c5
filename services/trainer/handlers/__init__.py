"""What the trainer does: take requests, and work on one run and one engine at a time."""

from services.trainer.handlers.attempt import Attempt, Workshop
from services.trainer.handlers.build import Build, Workbench, Yard
from services.trainer.handlers.engines import (
    CancelEngine,
    GetEngine,
    ListEngines,
    OnCampaignTransitioned,
    OnEngineRequested,
    SubmitEngine,
)
from services.trainer.handlers.requests import Cancel, Get, OnTrainingRequested, Submit

__all__ = [
    "Attempt",
    "Build",
    "Cancel",
    "CancelEngine",
    "Get",
    "GetEngine",
    "ListEngines",
    "OnCampaignTransitioned",
    "OnEngineRequested",
    "OnTrainingRequested",
    "Submit",
    "SubmitEngine",
    "Workbench",
    "Workshop",
    "Yard",
]
