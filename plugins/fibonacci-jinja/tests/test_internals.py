"""What the engine overrides inside Jinja, on the installed version."""

from jinja2 import Environment, nodes
from jinja2.compiler import CodeGenerator
from jinja2.lexer import Lexer
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fibonacci_jinja.analysis import TemplateAnalyzer
from fibonacci_jinja.generator import LookupCodeGenerator
from fibonacci_jinja.lexing import PositionedLine, PositionLexer
from fibonacci_jinja.sandbox import Sandbox

SOURCE = "{{ input.a }}{{ input['b'] ~ 1 }}"


def test_overridden_methods_exist():
    """Each method and property that our subclasses override is one of Jinja's."""
    own = {"generate", "_write_lookup", "_lookup"}
    names = {name for name in vars(LookupCodeGenerator) if not name.startswith("__")} - own
    assert names >= {"visit_Name", "visit_Getattr", "visit_Getitem", "visit_Concat", "newline"}
    assert [name for name in names if not hasattr(CodeGenerator, name)] == []
    own = {"concatenate", "look_up", "undefined_name", "_child", "_undefined"}
    names = {name for name in vars(Sandbox) if not name.startswith("__")} - own
    assert names >= {"concat", "intercepted_binops", "getattr", "getitem"}
    assert names >= {"is_safe_callable", "call_binop"}
    assert [name for name in names if not hasattr(ImmutableSandboxedEnvironment, name)] == []
    assert "tokeniter" in vars(Lexer)
    assert isinstance(vars(Environment)["lexer"], property)


def test_generated_code_has_our_lookups():
    """The code that Jinja generates calls ours for each name, attribute, item and ``~``."""
    sandbox = Sandbox("\n")
    tree = sandbox.parse(SOURCE)
    analyzer = TemplateAnalyzer(sandbox, SOURCE)
    analyzer.visit(tree)
    generator = LookupCodeGenerator(sandbox, analyzer.lookups)
    code = generator.generate(tree)
    assert code.count("environment.undefined_name(") == 2
    assert code.count("environment.look_up(") == 2
    assert code.count("environment.concatenate(") == 1
    assert generator.debug_info


def test_line_numbers_of_nodes_keep_their_columns():
    """Jinja passes the line numbers of our lexer on, from tokens to nodes."""
    sandbox = Sandbox("\n")
    assert isinstance(sandbox.lexer, PositionLexer)
    attributes = sandbox.parse(SOURCE).find_all(nodes.Getattr)
    assert [type(node.lineno) for node in attributes] == [PositionedLine]
