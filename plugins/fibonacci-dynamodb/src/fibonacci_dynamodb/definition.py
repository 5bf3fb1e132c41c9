"""The table's definition: for the API, and printed for those who make it themselves."""

import json
from typing import Any, Final

from fibonacci_dynamodb.layout import SWEPT

_TERRAFORM: Final = """\
resource "aws_dynamodb_table" "fibonacci" {{
  name         = {name}
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"

  attribute {{
    name = "pk"
    type = "S"
  }}

  attribute {{
    name = "sk"
    type = "S"
  }}

  ttl {{
    attribute_name = "{swept}"
    enabled        = true
  }}
}}
"""


def creation(table: str) -> dict[str, Any]:
    """Return the request for CreateTable."""
    return {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    }


def sweep(table: str) -> dict[str, Any]:
    """Return the request for UpdateTimeToLive: DynamoDB drops expired records, in its own time."""
    return {
        "TableName": table,
        "TimeToLiveSpecification": {"AttributeName": SWEPT, "Enabled": True},
    }


def cloudformation(table: str) -> str:
    """Return a CloudFormation template with the table in it, as JSON."""
    properties = creation(table) | sweep(table)
    resource = {"Type": "AWS::DynamoDB::Table", "Properties": properties}
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {"FibonacciTable": resource},
    }
    return json.dumps(template, indent=2) + "\n"


def terraform(table: str) -> str:
    """Return a Terraform resource that is the table."""
    return _TERRAFORM.format(name=json.dumps(table), swept=SWEPT)


FORMS: Final = {"cloudformation": cloudformation, "terraform": terraform}
"""How the definition can be printed."""
