"""How many requests each verb makes, and what is in them."""

from math import ceil

import pytest
from conftest import Ledger, Open
from services.dynamodb import DynamoDB

from fibonacci import MemoryManager, ValueTooLargeError
