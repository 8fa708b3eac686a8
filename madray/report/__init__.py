"""What every figure is drawn with: a style, curves, phase maps, tables, and claims with their evidence."""

from __future__ import annotations
