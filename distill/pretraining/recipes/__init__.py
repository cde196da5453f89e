"""The recipes, one file each: distill/pretraining/recipe.py says what RECIPE has."""

from __future__ import annotations

from distill.pretraining.recipe import Recipe
from edge_runtime.registry import Registry

RECIPES = Registry[Recipe]("distill.pretraining.recipes", "RECIPE", "recipe")
