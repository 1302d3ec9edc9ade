#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the A64 decoder from the encoding tables gen/a64/*.tbl.

A row is one line:

    NAME FEATURE FORMAT : PATTERN [; CONSTRAINT, ...] [@ ATTRIBUTE ...]

PATTERN is 32 bits, highest first: literal bits (0 and 1), `x` for an ignored bit, `name:width` for a field.  A field name
means the same bits in every row.  A row matches if its literal bits and all constraints do.  CONSTRAINT is an expression
over fields and integers with == != < <= > >= in and or not & ( ).  FEATURE is `-` or the name of an extension; FORMAT names
how the pre-decoder reads the operands (`raw`: not at all).  Attributes: `over=OTHER` (this row is more specific than OTHER and wins),
`end` (the instruction ends a block), `hint` (a NOP where the feature is off, not UNDEFINED), `jit=NAME` (the translator's emitter;
without, or with `-`, it calls the interpreter's handler).  Of the emitter: `pure`, `reads`, `sets`, `rsi` (src/engine/soft/jit/priv.h).

A line `feature NAME REGISTER LOW MINIMUM` declares a feature: it exists where the field of ID_AA64<REGISTER>_EL1 that starts at bit
LOW is at least MINIMUM (4-bit, unsigned).

{a,b} and [a,b] anywhere in a line make several rows: all {} lists of a line advance together, so do all [] lists; a line
with both gives each combination.  # starts a comment.  Words that no row matches are unallocated: A64_UNDEFINED.

Usage: a64.py OUTPUT.h OUTPUT.c HANDLERS.h TABLE...
"""

import ast
import itertools
import re
import sys
from dataclasses import dataclass, field

MAX_OVERLAP_BITS = 22
DECODED = {"end": "A64_ENDS", "hint": "A64_HINT"}
EMITTED = {"pure": "JIT_PURE", "reads": "JIT_READS", "sets": "JIT_SETS", "rsi": "JIT_USES_RSI"}
ID_REGISTERS = ("PFR0", "PFR1", "ISAR0", "ISAR1", "ISAR2", "MMFR0", "MMFR1", "MMFR2")


class TableError(Exception):
    """A mistake in a table; the text names file, line and row."""


@dataclass
class Row:
    """One encoding.  `mask` has the literal bits, `fields` maps a name to (lowest bit, width)."""

    name: str
    feature: str
    format: str
    where: str
    mask: int = 0
    value: int = 0
    fields: dict = field(default_factory=dict)
    constraints: list = field(default_factory=list)
    over: set = field(default_factory=set)
    flags: set = field(default_factory=set)
    emitter: str = "-"

    def fail(self, text):
        raise TableError(f"{self.where}: {self.name}: {text}")


def expand(line, where):
    """The lines which the {} and [] lists of one line stand for."""
    out = [line]
    for pattern in (r"\{([^{}]*)\}", r"\[([^\[\]]*)\]"):
        lists = [m.group(1).split(",") for m in re.finditer(pattern, line)]
        if not lists:
            continue
        if len({len(entries) for entries in lists}) != 1:
            raise TableError(f"{where}: the lists of this line have different lengths")
        done = []
        for text in out:
            for index in range(len(lists[0])):
                picks = iter(lists)
                done.append(re.sub(pattern, lambda _: next(picks)[index].strip(), text))
        out = done
    return out


def parse_pattern(row, text):
    """Fill mask, value and fields of `row` from the pattern."""
    position = 32
    for token in text.split():
        match = re.fullmatch(r"([A-Za-z]\w*):(\d+)", token)
        if match:
            name, width = match.group(1), int(match.group(2))
            position -= width
            if width == 0 or position < 0:
                row.fail("pattern is wider than 32 bits" if width else f"field {name} is empty")
            if name in row.fields:
                row.fail(f"field {name} appears twice")
            row.fields[name] = (position, width)
            continue
        if not re.fullmatch(r"[01x]+", token):
            row.fail(f"cannot read '{token}'")
        for bit in token:
            position -= 1
            if position < 0:
                row.fail("pattern is wider than 32 bits")
            if bit != "x":
                row.mask |= 1 << position
                row.value |= int(bit) << position
    if position:
        row.fail(f"pattern has {32 - position} bits, not 32")


ALLOWED = (ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Compare, ast.Eq, ast.NotEq, ast.Lt,
           ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Name, ast.Load, ast.Constant, ast.Tuple, ast.BinOp, ast.BitAnd)


def parse_constraint(row, text):
    """Check that an expression uses only what the C side can say, and return its tree."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        row.fail(f"cannot read the constraint '{text.strip()}'")
    for node in ast.walk(tree):
        if not isinstance(node, ALLOWED):
            row.fail(f"constraint '{text.strip()}' uses something not allowed")
        if isinstance(node, ast.Name) and node.id not in row.fields:
            row.fail(f"constraint names '{node.id}', which is no field of the row")
        if isinstance(node, ast.Compare) and len(node.ops) != 1:
            row.fail(f"constraint '{text.strip()}' chains comparisons")
    return tree.body


def split_constraints(text):
    """Split at commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


def parse_row(text, where):
    """One expanded line."""
    head, colon, rest = text.partition(" : ")
    words = head.split()
    if not colon or len(words) != 3:
        raise TableError(f"{where}: expected 'NAME FEATURE FORMAT : PATTERN'")
    rest, _, attributes = rest.partition("@")
    pattern, _, constraints = rest.partition(";")
    row = Row(words[0], words[1], words[2], where)
    if not all(re.fullmatch(r"[A-Za-z]\w*", word) for word in (row.name, row.format)):
        row.fail("name and format must be identifiers")
    if row.feature != "-" and not re.fullmatch(r"[A-Z]\w*", row.feature):
        row.fail(f"'{row.feature}' is no feature name")
    parse_pattern(row, pattern)
    row.constraints = [parse_constraint(row, part) for part in split_constraints(constraints)]
    for attribute in attributes.split():
        key, _, value = attribute.partition("=")
        if key == "over" and value:
            row.over.add(value)
        elif key == "jit" and re.fullmatch(r"-|[a-z]\w*", value):
            row.emitter = value
        elif attribute in DECODED or attribute in EMITTED:
            row.flags.add(attribute)
        else:
            row.fail(f"unknown attribute '{attribute}'")
    if row.emitter == "-" and row.flags & EMITTED.keys():
        row.fail("says something of an emitter, but has none")
    return row


@dataclass
class Feature:
    """An extension and the ID register field that shows it."""

    name: str
    register: str
    low: int
    minimum: int


def parse_feature(line, where):
    """A line that declares a feature."""
    words = line.split()
    if len(words) != 5 or not all(word.isdigit() for word in words[3:]) or words[2] not in ID_REGISTERS:
        raise TableError(f"{where}: expected 'feature NAME REGISTER LOW MINIMUM'")
    return Feature(words[1], words[2], int(words[3]), int(words[4]))


def read_features(text, name):
    """All features that one table text declares."""
    lines = ((number, line.partition("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1))
    return [parse_feature(line, f"{name}:{number}") for number, line in lines if line.startswith("feature ")]


def read_table(text, name):
    """All rows of one table text."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        where = f"{name}:{number}"
        if line and not line.startswith("feature "):
            rows += [parse_row(one, where) for one in expand(line, where)]
    return rows


def evaluate(node, values):
    """Value of a constraint tree for the given field values."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return values[node.id]
    if isinstance(node, ast.Tuple):
        return [evaluate(entry, values) for entry in node.elts]
    if isinstance(node, ast.BoolOp):
        parts = (evaluate(entry, values) for entry in node.values)
        return all(parts) if isinstance(node.op, ast.And) else any(parts)
    if isinstance(node, ast.UnaryOp):
        return not evaluate(node.operand, values)
    if isinstance(node, ast.BinOp):
        return evaluate(node.left, values) & evaluate(node.right, values)
    left, right = evaluate(node.left, values), evaluate(node.comparators[0], values)
    return {ast.Eq: lambda: left == right, ast.NotEq: lambda: left != right, ast.Lt: lambda: left < right,
            ast.LtE: lambda: left <= right, ast.Gt: lambda: left > right, ast.GtE: lambda: left >= right,
            ast.In: lambda: left in right, ast.NotIn: lambda: left not in right}[type(node.ops[0])]()


def row_matches(row, word):
    """The meaning of a row, and what the generated C must agree with."""
    if word & row.mask != row.value:
        return False
    values = {name: word >> low & (1 << width) - 1 for name, (low, width) in row.fields.items()}
    return all(evaluate(node, values) for node in row.constraints)


def constrained_bits(row):
    """The bits that the row's constraints look at."""
    bits = 0
    for node in row.constraints:
        for name in (entry.id for entry in ast.walk(node) if isinstance(entry, ast.Name)):
            low, width = row.fields[name]
            bits |= ((1 << width) - 1) << low
    return bits


def find_overlap(one, two):
    """A word that both rows match, or None.  Exact: tries all values of the bits that constraints look at."""
    if (one.value ^ two.value) & one.mask & two.mask:
        return None
    fixed = one.mask | two.mask
    base = one.value | two.value
    free = [1 << bit for bit in range(32) if (constrained_bits(one) | constrained_bits(two)) & ~fixed & 1 << bit]
    if len(free) > MAX_OVERLAP_BITS:
        one.fail(f"too many constrained bits to compare with {two.name}")
    for count in range(1 << len(free)):
        word = base
        for index, bit in enumerate(free):
            if count >> index & 1:
                word |= bit
        if row_matches(one, word) and row_matches(two, word):
            return word
    return None


def check_features(rows, features):
    """Each declared once, each used one declared."""
    names = [feature.name for feature in features]
    for name in names:
        if names.count(name) > 1:
            raise TableError(f"feature {name} is declared twice")
    for row in rows:
        if row.feature != "-" and row.feature not in names:
            row.fail(f"feature {row.feature} is not declared")


def check_rows(rows):
    """Names, places of fields, overlaps."""
    by_name, places = {}, {}
    for row in rows:
        if row.name in by_name:
            row.fail(f"name already used at {by_name[row.name].where}")
        by_name[row.name] = row
        for name, place in row.fields.items():
            other = places.setdefault(name, (place, row))
            if other[0] != place:
                row.fail(f"field {name} has another place in {other[1].name} ({other[1].where})")
    for row in rows:
        for name in row.over:
            if name not in by_name:
                row.fail(f"over={name}: no such row")
    for one, two in itertools.combinations(rows, 2):
        stated = (two.name in one.over) + (one.name in two.over)
        if stated == 2:
            one.fail(f"and {two.name} each claim to be over the other")
        word = find_overlap(one, two)
        if word is not None and not stated:
            one.fail(f"overlaps {two.name} ({two.where}) at {word:#010x}; say over=NAME on the more specific row")
        if word is None and stated:
            one.fail(f"and {two.name}: over= given, but they do not overlap")


def order_rows(rows):
    """More specific rows first."""
    by_name = {row.name: row for row in rows}
    done, order = set(), []

    def visit(row, path):
        if row.name in path:
            row.fail("over= goes round in a circle")
        if row.name not in done:
            for other in rows:
                if row.name in other.over:
                    visit(other, path | {row.name})
            done.add(row.name)
            order.append(by_name[row.name])

    for row in rows:
        visit(row, frozenset())
    return order


C_OPS = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


def c_expression(node):
    """A constraint tree as C."""
    if isinstance(node, ast.Constant):
        return f"{node.value}u"
    if isinstance(node, ast.Name):
        return f"A64_{node.id}(w)"
    if isinstance(node, ast.BoolOp):
        joint = " && " if isinstance(node.op, ast.And) else " || "
        return "(" + joint.join(c_expression(entry) for entry in node.values) + ")"
    if isinstance(node, ast.UnaryOp):
        return f"!({c_expression(node.operand)})"
    if isinstance(node, ast.BinOp):
        return f"({c_expression(node.left)} & {c_expression(node.right)})"
    left, right = c_expression(node.left), node.comparators[0]
    if isinstance(node.ops[0], (ast.In, ast.NotIn)):
        entries = " || ".join(f"{left} == {c_expression(entry)}" for entry in right.elts)
        return f"({entries})" if isinstance(node.ops[0], ast.In) else f"!({entries})"
    return f"({left} {C_OPS[type(node.ops[0])]} {c_expression(right)})"


def emit_leaf(rows, known, indent, out):
    """Test the rows one after the other.  Returns True if the last one always matches."""
    for row in rows:
        tests = []
        if row.mask & ~known:
            tests.append(f"(w & {row.mask & ~known:#x}u) == {row.value & ~known:#x}u")
        tests += [c_expression(node) for node in row.constraints]
        if not tests:
            out.append(f"{indent}return A64_{row.name};")
            return True
        out.append(f"{indent}if ({' && '.join(tests)}) {{")
        out.append(f"{indent}\treturn A64_{row.name};")
        out.append(f"{indent}}}")
    return False


def emit_tree(rows, known, indent, out):
    """Code that decodes a word known to agree with all `rows` on the bits `known`."""
    common = ~known & 0xFFFFFFFF
    for row in rows:
        common &= row.mask
    values = sorted({row.value & common for row in rows})
    if len(rows) <= 2 or (not common and not any(row.mask & ~known for row in rows)):
        if not emit_leaf(rows, known, indent, out):
            out.append(f"{indent}return A64_UNDEFINED;")
    elif common and len(values) == 1:
        out.append(f"{indent}if ((w & {common:#x}u) != {values[0]:#x}u) {{")
        out.append(f"{indent}\treturn A64_UNDEFINED;")
        out.append(f"{indent}}}")
        emit_tree(rows, known | common, indent, out)
    else:
        emit_switch(rows, known, common, indent, out)


def emit_switch(rows, known, common, indent, out):
    """Split by the bits all rows have, else by the one bit that most rows have."""
    if not common:
        best = max((bit for bit in range(32) if not known >> bit & 1), key=lambda bit: sum(r.mask >> bit & 1 for r in rows))
        common = 1 << best
    values = sorted({value for row in rows for value in ((row.value & common,) if row.mask & common else (0, common))})
    out.append(f"{indent}switch (w & {common:#x}u) {{")
    for value in values:
        out.append(f"{indent}case {value:#x}u:")
        part = [row for row in rows if (row.mask & common) == 0 or row.value & common == value]
        emit_tree(part, known | common, indent + "\t", out)
    out.append(f"{indent}default:")
    out.append(f"{indent}\treturn A64_UNDEFINED;")
    out.append(f"{indent}}}")


def names_of(rows, key):
    """Distinct values of an attribute in order of appearance, `-` left out."""
    return [name for name in dict.fromkeys(getattr(row, key) for row in rows) if name != "-"]


NOTE = "/* Made by gen/a64.py from gen/a64; do not edit. */"


def make_header(rows, features):
    """Enums and field functions."""
    out = [NOTE, "#ifndef ORIEL_A64_GEN_H", "#define ORIEL_A64_GEN_H", "#include <stdint.h>"]
    out += ["enum a64_op {", "\tA64_UNDEFINED,"] + [f"\tA64_{row.name}," for row in rows] + ["\tA64_OPS", "};"]
    out += ["enum a64_feature {", "\tA64_FEATURE_BASE,"] + [f"\tA64_FEATURE_{feature.name}," for feature in features]
    out += ["\tA64_FEATURES", "};"]
    out += ["enum a64_id {"] + [f"\tA64_ID_{name}," for name in ID_REGISTERS] + ["\tA64_IDS", "};"]
    out += ["enum a64_format {"] + [f"\tA64_FORMAT_{name}," for name in dict.fromkeys(["raw"] + names_of(rows, "format"))]
    out += ["\tA64_FORMATS", "};"]
    places = {name: place for row in rows for name, place in row.fields.items()}
    for name, (low, width) in sorted(places.items()):
        out.append(f"static inline uint32_t A64_{name}(uint32_t w)")
        out += ["{", f"\treturn w >> {low} & {(1 << width) - 1:#x}u;", "}"]
    return "\n".join(out + ["#endif", ""])


def c_flags(row, names):
    """The row's flags among `names` as C."""
    return " | ".join(names[flag] for flag in names if flag in row.flags) or "0"


def make_source(rows, features):
    """Info table and decode function."""
    out = [NOTE, '#include "a64/a64.h"', "const struct a64_info a64_infos[A64_OPS] = {"]
    out.append('\t[A64_UNDEFINED] = { "UNDEFINED", 0, 0, A64_FEATURE_BASE, A64_FORMAT_raw, A64_ENDS },')
    for row in rows:
        feature = "BASE" if row.feature == "-" else row.feature
        flags = c_flags(row, DECODED)
        out.append(f'\t[A64_{row.name}] = {{ "{row.name}", {row.mask:#x}u, {row.value:#x}u, A64_FEATURE_{feature}, '
                   f"A64_FORMAT_{row.format}, {flags} }},")
    out += ["};", "const struct a64_feature_info a64_feature_infos[A64_FEATURES] = {", '\t[A64_FEATURE_BASE] = { "BASE", 0, 0, 0 },']
    out += [f'\t[A64_FEATURE_{f.name}] = {{ "{f.name}", A64_ID_{f.register}, {f.low}, {f.minimum} }},' for f in features] + ["};"]
    out += ["enum a64_op a64_decode(uint32_t w)", "{"]
    emit_tree(order_rows(rows), 0, "\t", out)
    return "\n".join(out + ["}", ""])


def make_handlers(rows):
    """Lists for whoever has one function a row: A64_EACH(X) calls X(NAME) for each row, A64_EMITTERS(X) calls X(EMITTER) once
    for each emitter, A64_EACH_TRANSLATED(X) calls X(NAME, EMITTER, PROPERTIES) for each row that has one."""
    translated = [row for row in rows if row.emitter != "-"]
    lists = {"A64_EACH": [row.name for row in rows],
             "A64_EMITTERS": names_of(rows, "emitter"),
             "A64_EACH_TRANSLATED": [f"{row.name}, {row.emitter}, {c_flags(row, EMITTED)}" for row in translated]}
    out = [NOTE, "#ifndef ORIEL_A64_HANDLERS_GEN_H", "#define ORIEL_A64_HANDLERS_GEN_H"]
    for name, entries in lists.items():
        out += [f"#define {name}(X) \\"] + [f"\tX({entry}) \\" for entry in entries] + [""]
    return "\n".join(out + ["#endif", ""])


def main(args):
    """Command line; 0 or 1."""
    if len(args) < 4:
        print(__doc__.strip().splitlines()[-1], file=sys.stderr)
        return 1
    try:
        rows, features = [], []
        for path in args[3:]:
            with open(path, encoding="utf-8") as table:
                text, name = table.read(), path.rsplit("/", 1)[-1]
                rows += read_table(text, name)
                features += read_features(text, name)
        check_features(rows, features)
        check_rows(rows)
        texts = make_header(rows, features), make_source(rows, features), make_handlers(rows)
    except (TableError, OSError) as error:
        print(f"a64.py: {error}", file=sys.stderr)
        return 1
    for path, text in zip(args[:3], texts):
        with open(path, "w", encoding="utf-8") as output:
            output.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
