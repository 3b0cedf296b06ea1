"""The model `category`: which category of failure a text speaks of, by the project's own rules of words.

Enters: a job whose prompt is a title, a log line or a report. Leaves: the category, its probabilities and why;
`unknown` when the words do not speak clearly. Needs no training and no extra; max_tokens and temperature do not bear
on it. Cost: one search of the prompt a term of the vocabulary.
"""

from __future__ import annotations

from watchkeeper.diagnose.category.rules import classify_text
from watchkeeper.infer.contract import Answer, Job
from watchkeeper.infer.models.base import Model
from watchkeeper.infer.models.catalogue import plain
from watchkeeper.settings import Settings


class CategoryModel(Model):
    """Names the category of a text."""

    def answer(self, job: Job) -> Answer:
        """Give the likeliest category; `details.abstains` tells that the evidence is thin."""
        told = classify_text([job.prompt])
        chances = sorted(told.probabilities.items(), key=lambda item: (-item[1], item[0].value))
        return Answer(
            told.category.value,
            {
                "probabilities": {category.value: round(chance, 6) for category, chance in chances},
                "why": list(told.why),
                "abstains": told.abstains,
            },
        )


def open_category(rest: str, _settings: Settings) -> Model:
    """Make the model."""
    plain("category", rest)
    return CategoryModel()
