"""Carries out sweeps: the only place that imports Ray, and only where it is used."""
