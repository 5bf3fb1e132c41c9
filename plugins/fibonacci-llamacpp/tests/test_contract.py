from fibonacci.plugin import ModelRequest
from fibonacci.testing import ProviderContract

NUMBERS = {"type": "array", "items": {"type": "integer"}, "minItems": 1500}
ENDLESS = ModelRequest(
    prompt="Count from one.", max_tokens=3000, output_format="json", output_schema=NUMBERS
)


class TestLlamacpp(ProviderContract):
    model = "llamacpp:smollm2"
    request = ModelRequest(prompt="Tell me about the sea.", max_tokens=6)
    endless = slow = ENDLESS
    failing = ((ModelRequest(prompt="words and " * 3_000), False),)
    steady = False  # requests that run together change each other's sums
    voices = ("mixed",)  # both of them, by turns
