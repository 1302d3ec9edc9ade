# SPDX-License-Identifier: Apache-2.0
"""Writes the C text of the tables: a header with the args structs, a source with tables and one thunk per command."""
import special
from venus_ops import KINDS
from venus_registry import Refused

NOTE = '/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by gen/venus.py; do not edit. */\n'


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def own_structs(model):
    """Structs that no Vulkan header declares."""
    return [i for i in model.compiler.structs if i.struct.name.endswith('MESA')]


def header(model):
    out = [NOTE, '#ifndef ORIEL_VENUS_ARGS_H\n#define ORIEL_VENUS_ARGS_H\n\n#include <stddef.h>\n#include <stdint.h>\n'
        '#include <vulkan/vulkan_core.h>\n\nstruct venus_object;\n\n/* Wire numbers. */\nenum {\n']
    for row in model.command_rows:
        out.append(f'\tVENUS_{row["command"]} = {row["number"]},\n')
    highest = max(int(r['number']) for r in model.command_rows)
    out.append(f'\tVENUS_COMMANDS = {highest + 1},\n}};\n\n')
    for info in own_structs(model):
        if info.struct.stype:
            value = 1000384000 + int(info.struct.stype_offset)
            out.append(f'#define {info.struct.stype} ((VkStructureType){value})\n')
    out.append('\n')
    for info in own_structs(model):
        members = ''.join(f'\t{m.declaration};\n' for m in info.struct.members)
        out.append(f'typedef struct {info.struct.name} {{\n{members}}} {info.struct.name};\n\n')
    for command in model.commands:
        fields = ''.join(f'\t{declaration};\n' for declaration, _ in command.fields)
        out.append(f'struct {command.name}_args {{\n{fields}}};\n\n')
    out.append('#endif\n')
    return ''.join(out)


STEP = ('#define STEP(...)\\\n'
    '\tif (!decode_step(reader, &cur, &(const struct venus_op){__VA_ARGS__}, base)) {\\\n\t\treturn;\\\n\t}\n\n')


def row(op):
    return f'OP_{op.kind}, {op.flags}, {op.off}, {op.a}, {op.b}, {op.len}, {op.c}'


def hot_structs(model):
    """Indices of the structs that hot commands are made of."""
    found, waiting = set(), [op for c in model.commands if special.is_hot(c.name) for op in c.ops]
    while waiting:
        op = waiting.pop()
        if op.kind in ('ARRAY_STRUCT', 'STRUCT', 'FIXED_STRUCT') and op.a not in found:
            found.add(op.a)
            waiting += model.compiler.structs[op.a].full
    return found


class Lists:
    """All operation lists in one array, equal lists shared."""

    def __init__(self):
        self.rows, self.known = ['\t{0},\n'], {(): 0}  # list 0 is empty
        self.code = {}  # number of a list: its C function

    def add(self, ops):
        key = tuple(op.key() for op in ops)
        if key not in self.known:
            self.known[key] = len(self.rows)
            for op in ops:
                if op.kind not in KINDS:
                    raise Refused(f'no such operation: {op.kind}')
                self.rows.append(f'\t{{{row(op)}}},\n')
            self.rows.append('\t{0},\n')
        return self.known[key]

    def unroll(self, ops):
        """Name of a function that does the list's operations in a row."""
        number = self.add(ops)
        if number not in self.code:
            steps = ''.join(f'\tSTEP({row(op)});\n' for op in ops)
            self.code[number] = (f'static void decode_{number}(struct venus_reader *reader, uint8_t *base)\n{{\n'
                f'\tconst uint8_t *cur = reader->cur;\n{steps}\treader->cur = cur;\n}}\n\n')
        return f'decode_{number}'


def struct_rows(model, lists):
    rows, children, hot = [], [], hot_structs(model)
    for number, info in enumerate(model.compiler.structs):
        first = len(children)
        ordered = sorted(info.children)
        for index, gate in ordered:
            child = model.compiler.structs[index]
            children.append(f'\t{{{child.struct.stype}, {index}, {gate}}},\n')
        core, extensions = model.registry.known_by(info.struct.name)
        if info.struct.name.endswith('MESA'):
            core, extensions = (1, 0), []
        if len(extensions) > 3:
            raise Refused(f'{info.struct.name}: more than three extensions have it')
        extensions = (extensions + [0, 0, 0])[:3]
        version = f'VK_MAKE_API_VERSION(0, {core[0]}, {core[1]}, 0)' if core else 'UINT32_MAX'
        stype = info.struct.stype or 'VK_STRUCTURE_TYPE_MAX_ENUM'
        smallest = smallest_wire(model.compiler, info)
        decode = lists.unroll(info.full) if number in hot else 'NULL'
        rows.append(f'\t{{{decode}, {stype}, {info.layout.size}, {lists.add(info.full)}, {lists.add(info.partial)}, {first}, '
            f'{len(ordered)}, {smallest}, {version}, {{{extensions[0]}, {extensions[1]}, {extensions[2]}}}}}, '
            f'/* {info.struct.name} */\n')
    return rows, children


def smallest_wire(compiler, info):
    """Fewest bytes that the full form can take: bounds what a count may ask for."""
    if info.struct.union:
        return 8
    total = 0
    for op in info.full:
        if op.kind == 'COPY':
            total += op.a
        elif op.kind == 'CHAIN':
            total += 12
        elif op.kind in ('U8', 'U16'):
            total += 4
        else:
            total += 8 if op.kind != 'STRUCT' else 12
    return total


def effect(model, command):
    """Row of what the command does to the object table."""
    name = command.name
    if name in special.DESTROYS or name in special.RESETS_POOL:
        var = next(v for v in command.command.params
            if v.name == special.DESTROYS.get(name, special.RESETS_POOL.get(name)))
        index = next(i for i, op in enumerate(command.ops) if op.kind in ('HANDLE', 'ARRAY_HANDLE')
            and op.off == command.layout.offsets[var.name])
        kind = 'RESET' if name in special.RESETS_POOL else 'DESTROY'
        return f'EFFECT_{kind}, {index}, 0, 0'
    if name in special.ALLOCATES_FROM:
        param, struct, member = special.ALLOCATES_FROM[name]
        return (f'EFFECT_CREATE, {command.created}, {command.layout.offsets[param]}, '
            f'{model.compiler.layout(struct).offsets[member]}')
    if command.created is not None:
        return f'EFFECT_CREATE, {command.created}, 0, 0'
    return 'EFFECT_NONE, 0, 0, 0'


def tally(name):
    """What is counted apart: draws and dispatches."""
    return 'DRAWS' if name.startswith('vkCmdDraw') else 'DISPATCHES' if name.startswith('vkCmdDispatch') else 'OTHERS'


def thunk(command):
    name = command.command.name
    arguments = ', '.join(f'args->{p.name}' for p in command.command.params)
    assign = 'args->ret = ' if command.ret_size else ''
    return (f'static void thunk_{command.name}(PFN_vkVoidFunction fn, void *opaque)\n{{\n'
        f'\tstruct {command.name}_args *args = opaque;\n\t{assign}((PFN_{name})fn)({arguments});\n}}\n\n')


def names(command):
    """How drivers may call the function, best first."""
    found = [command.command.name, command.name] + [a for a in command.row['aliases'].split('|') if a]
    return list(dict.fromkeys(found))


def command_rows(model, lists):
    rows, thunks = {}, []
    for command in model.commands:
        own = command.name.endswith('MESA')
        if not own:
            thunks.append(thunk(command))
        spelled = '\\0'.join(names(command))
        decode = lists.unroll(command.ops) if special.is_hot(command.name) else 'NULL'
        rows[command.number] = (f'\t[{command.number}] = {{"{spelled}\\0", {"NULL" if own else "thunk_" + command.name}, '
            f'{decode}, '
            f'{command.layout.size}, {command.layout.offsets.get("ret", 0)}, {command.ret_size}, '
            f'{"true" if command.command.ret == "VkResult" else "false"}, {lists.add(command.ops)}, '
            f'VENUS_TALLY_{tally(command.name)}, {effect(model, command)}}},\n')
    return [rows[n] for n in sorted(rows)], thunks


def asserts(model):
    out = []
    for info in model.compiler.structs:
        name = info.struct.name
        out.append(f'_Static_assert(sizeof({name}) == {info.layout.size}, "{name}");\n')
        for member, offset in info.layout.offsets.items():
            if not info.struct.union:
                out.append(f'_Static_assert(offsetof({name}, {member}) == {offset}, "{name}.{member}");\n')
    for command in model.commands:
        name = f'struct {command.name}_args'
        for _, field in command.fields:
            out.append(f'_Static_assert(offsetof({name}, {field}) == {command.layout.offsets[field]}, "{name}");\n')
    return ''.join(out)


def source(model):
    lists = Lists()
    structs, children = struct_rows(model, lists)
    commands, thunks = command_rows(model, lists)
    lengths = ['\t{0, 0, 0, 0, 1, 1},\n'] + [
        f'\t{{{off}, {second}, {width}, {through}, {add}, {divide}}},\n'
        for off, width, through, second, add, divide in model.compiler.lengths[1:]]
    extensions = [f'\t{{{number}, {spec}, {"true" if on else "false"}, "{name}"}},\n'
        for number, name, spec, on in model.extensions]
    major, minor, patch = model.xml_version()
    mask = ', '.join(f'0x{word:08x}' for word in model.mask())
    return ''.join([
        NOTE, '#include "venus_args.h"\n\n#include "venus/decode_step.h"\n\n', asserts(model), '\n', *thunks, STEP, *lists.code.values(),
        'const struct venus_op venus_ops[] = {\n', *lists.rows, '};\n\n',
        'const struct venus_len venus_lens[] = {\n', *lengths, '};\n\n',
        'const struct venus_child venus_children[] = {\n', *(children or ['\t{0},\n']), '};\n\n',
        'const struct venus_struct venus_structs[] = {\n', *structs, '};\n\n',
        f'const uint32_t venus_struct_count = {len(structs)};\n\n',
        'const struct venus_command venus_commands[VENUS_COMMANDS] = {\n', *commands, '};\n\n',
        'const uint32_t venus_command_count = VENUS_COMMANDS;\n\n',
        'const struct venus_extension venus_extensions[] = {\n', *extensions, '};\n\n',
        f'const uint32_t venus_extension_count = {len(extensions)};\n\n',
        f'const uint32_t venus_xml_version = VK_MAKE_API_VERSION(0, {major}, {minor}, {patch});\n\n',
        f'const uint32_t venus_extension_mask[32] = {{{mask}}};\n',
    ])
