"""Workflows: what users make, and what holds their memory."""
