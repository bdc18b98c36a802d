"""The model card: what a model is, is for, does, and does not know, in one page of Markdown."""

from kyc_ml.model_card.card import ModelCard, make_model_card
from kyc_ml.model_card.limitations import FEW_POSITIVES, find_limitations, say_one_instant

__all__ = ["FEW_POSITIVES", "ModelCard", "find_limitations", "make_model_card", "say_one_instant"]
