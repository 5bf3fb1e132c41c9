"""Histories: conversations in turns, in records of any store."""
