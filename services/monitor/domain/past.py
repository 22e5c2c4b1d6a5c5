"""How far back the rows of an alarm reach: an alarm comes some answers after its change."""

from dataclasses import dataclass, field
from typing import Final

LOOK_BACK: Final = 500
STEP: Final = 50


@dataclass(slots=True)
class Past:
    """When the last 500 watched answers of a champion began, to the next 50.

    Fields:
        marks: when every 50th was served, seconds since 1970; the last 11.
        answers: since the last mark.
    """

    marks: list[float] = field(default_factory=list)
    answers: int = 0

    @property
    def since(self) -> float:
        """When the oldest of them was served; 0 before the first."""
        return self.marks[0] if self.marks else 0.0

    def serve(self, at: float) -> bool:
        """Count an answer served at ``at``; whether ``since`` can have moved."""
        mark = self.answers == 0
        if mark:
            self.marks = [*self.marks, at][-(LOOK_BACK // STEP + 1) :]
        self.answers = (self.answers + 1) % STEP
        return mark
