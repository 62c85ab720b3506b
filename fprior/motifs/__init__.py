"""Motifs from attributions: TF-MoDISco's patterns, what they resemble, where they lie, and what a plain scan finds."""
