"""What the trainer does: take requests, and work on one run at a time."""

from services.trainer.handlers.attempt import Attempt, Workshop
from services.trainer.handlers.requests import Cancel, Get, OnTrainingRequested, Submit

__all__ = ["Attempt", "Cancel", "Get", "OnTrainingRequested", "Submit", "Workshop"]
