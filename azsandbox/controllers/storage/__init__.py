"""Volumes, claims and what provisions, protects and attaches them."""
