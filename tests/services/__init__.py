"""The service farm."""
