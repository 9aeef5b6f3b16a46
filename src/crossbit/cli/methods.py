"""crossbit methods: what can be trained and used, read from the sources without importing one of them.

A method's abilities are its methods, so the syntax tree of its file says them; importing it would bring torch (2 s).
A test compares the answer with the classes themselves.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from crossbit.cli.show import json_out, table_out


@dataclass(frozen=True)
class Entry:
    """A line of the table: the key, the first line of the file, what it is used for, its abilities.

    Args:
        bits: of the codes that it gives when nothing else is asked for; None where it gives none.
        nested: whether `nested=true` makes the first bits of a code usable codes as well.
    """

    key: str
    paper: str
    use: str
    abilities: tuple[str, ...]
    bits: int | None = None
    nested: bool = False

    @property
    def codes(self) -> str:
        """Say how long its codes are."""
        return "" if self.bits is None else f"{self.bits}, nested on request" if self.nested else str(self.bits)


def methods(json: bool = typer.Option(False, "--json", help="Print JSON instead of a table.")) -> None:
    """List the methods and strategies: key, paper, what each is used for, bits of its codes by default, what it can do."""
    entries = list_methods()
    if json:
        json_out([asdict(entry) for entry in entries])
    else:
        table_out(
            ("key", "paper", "use", "bits", "abilities"),
            [(e.key, e.paper, e.use, e.codes, " ".join(e.abilities)) for e in entries],
        )


def list_methods() -> list[Entry]:
    """List methods and strategies by name, with their abilities, without importing torch."""
    from crossbit.methods import METHODS
    from crossbit.strategies import STRATEGIES

    protocols = _protocols()
    found = []
    for key, target in METHODS.items():
        tree, name = _source(target)
        members = set(_members(tree, name))
        able = tuple(ability for ability, needed in protocols.items() if needed <= members)
        bits, nested = _bits(tree, name) if "hashes" in able else (None, False)
        found.append(Entry(key, _title(tree), _use(able), able, bits, nested))
    for key, target in STRATEGIES.items():
        tree, _ = _source(target)
        found.append(Entry(key, _title(tree), "training strategy", ()))
    return found


_USES = {"embeds": "index", "hashes": "index (bits)", "scores": "re-rank", "fits": "fit once"}


def _use(able: tuple[str, ...]) -> str:
    return " + ".join(use for ability, use in _USES.items() if ability in able)


def _source(target: str) -> tuple[ast.Module, str]:
    module, _, name = target.partition(":")
    spec = importlib.util.find_spec(module)  # imports the room, which holds only its table, not the file
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{module}: no such module, though the table of methods names it")
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8")), name


def _title(tree: ast.Module) -> str:
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def _members(tree: ast.Module, name: str) -> Iterator[str]:
    """Name the methods of a class, those of its bases in the same file included."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            yield from (part.name for part in node.body if isinstance(part, ast.FunctionDef))
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id != name:
                    yield from _members(tree, base.id)


def _bits(tree: ast.Module, name: str) -> tuple[int | None, bool]:
    """Read from the settings how many bits `small()` gives, else the default; and whether codes can be nested."""
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    settings = next(
        node.value.id
        for node in classes[name].body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Name)
        and ast.unparse(node.targets[0]) == "Config"
    )
    fields = {ast.unparse(n.target): n.value for n in classes[settings].body if isinstance(n, ast.AnnAssign)}
    for call in ast.walk(classes[settings]):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "cls":
            fields |= {word.arg: word.value for word in call.keywords if word.arg}
    bits = fields.get("bits")
    return (int(bits.value) if isinstance(bits, ast.Constant) else None), "nested" in fields  # type: ignore[arg-type]


def _protocols() -> dict[str, set[str]]:
    """Read from methods/base.py which methods make which ability."""
    tree, _ = _source("crossbit.methods.base:Method")
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "ABILITIES":
            assert isinstance(node.value, ast.Dict)
            pairs = zip(node.value.keys, node.value.values, strict=True)
            return {
                str(key.value): set(_members(tree, value.id))
                for key, value in pairs
                if isinstance(key, ast.Constant) and isinstance(value, ast.Name)
            }
    raise LookupError("methods/base.py: no table ABILITIES")
