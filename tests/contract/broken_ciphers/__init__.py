"""Ciphers with one defect each, most of them seen in released software.

Each docstring says what is wrong; ``test`` is the one that has to catch it.
"""

from broken_ciphers import binding, keys, sealing, secrecy, sharing
from broken_ciphers.entry import BROKEN, Sound

__all__ = ["BROKEN", "Sound", "binding", "keys", "sealing", "secrecy", "sharing"]
