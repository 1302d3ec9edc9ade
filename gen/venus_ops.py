# SPDX-License-Identifier: Apache-2.0
"""Turns structs and commands into short lists of operations: the tables that decoder and encoder walk.

A list describes the wire form of one C struct in order.  Commands are described the same way: their parameters are
members of a generated struct NAME_args.  C layouts are computed here (LP64) and asserted by the C compiler.
"""
from venus_registry import Refused, Var

KINDS = ('END', 'COPY', 'U8', 'U16', 'FIXED_COPY', 'FIXED_SKIP', 'FIXED_STRUCT', 'FIXED_HANDLE', 'HANDLE', 'STRUCT', 'UNION',
    'CHAIN', 'ARRAY_COPY', 'ARRAY_STRUCT', 'ARRAY_UNION', 'ARRAY_HANDLE', 'STRING', 'ARRAY_STRING', 'NULL', 'OUT_COPY',
    'OUT_STRUCT', 'OUT_HANDLE')
PARTIAL, OUT, WRITABLE, REQUIRED = 1, 2, 4, 8  # op flags; alignment is kept in bits 4..7 as a power of two


class Op:
    """kind, flags, C offset, and what the kind needs: a = bytes or index, b = count, c = a second offset."""

    def __init__(self, kind, off, a=0, b=0, length=0, c=0, flags=0, align=1):
        self.kind, self.off, self.a, self.b, self.len, self.c = kind, off, a, b, length, c
        self.flags = flags | (align.bit_length() - 1) << 4

    def key(self):
        return (self.kind, self.flags, self.off, self.a, self.b, self.len, self.c)


def round_up(value, align):
    return (value + align - 1) // align * align


class Layout:
    """Offsets of a C struct being laid out member by member."""

    def __init__(self, union=False):
        self.offsets, self.size, self.align, self.union = {}, 0, 1, union

    def add(self, name, size, align):
        offset = 0 if self.union else round_up(self.size, align)
        self.offsets[name] = offset
        self.size = max(self.size, offset + size)
        self.align = max(self.align, align)
        return offset

    def finish(self):
        self.size = round_up(self.size, self.align)
        return self


class Compiler:
    def __init__(self, registry, struct_rows, special):
        self.registry, self.rows, self.special = registry, struct_rows, special
        self.structs = []          # StructInfo in index order
        self.index = {}            # registry name -> index
        self.lengths = [None]      # 0: the constant 1
        self.length_index = {}
        self.handle_types = []
        self.layouts = {}

    # --- layouts ---

    def layout(self, name):
        name = self.registry.resolve(name)
        if name not in self.layouts:
            struct = self.registry.struct(name)
            layout = Layout(struct.union)
            for member in struct.members:
                layout.add(member.name, *self.var_size(member))
            self.layouts[name] = layout.finish()
        return self.layouts[name]

    def var_size(self, var):
        where = f'{var.owner}.{var.name}'
        if var.fixed < 0:
            raise Refused(f'{where}: no rule for this array or bit field')
        if var.pointers:
            size, align = 8, 8
        elif self.registry.is_handle(var.type):
            size, align = 8, 8
        elif self.registry.struct(var.type):
            layout = self.layout(var.type)
            size, align = layout.size, layout.align
        else:
            size = align = self.registry.scalar(var.type, where)[0]
        return size * (var.fixed or 1), align

    # --- structs ---

    def struct_index(self, name, where):
        """Index of struct @name, compiled on first use; must be one that the protocol knows."""
        name = self.registry.resolve(name)
        if name is None or self.registry.struct(name) is None:
            raise Refused(f'{where}: the registry has no struct of that name')
        if name not in self.rows:
            raise Refused(f'{where}: {name} is not in structs.csv')
        if name not in self.index:
            self.index[name] = len(self.structs)
            info = StructInfo(self.registry.struct(name), self.rows[name])
            self.structs.append(info)
            info.layout = self.layout(name)
            info.full = self.full(info.struct, info.layout, 0)
            if info.row['guest_to_host_skeleton'] == '1' or info.row['host_to_guest'] == '1':
                info.partial = self.partial(info.struct, info.layout, 0)
        return self.index[name]

    def is_plain(self, name):
        """True if the wire form of the struct is its C form."""
        struct = self.registry.struct(name)
        if struct.union or struct.stype:
            return False
        layout = self.layout(name)
        ops = self.full(struct, layout, 0)
        return len(ops) == 1 and ops[0].kind == 'COPY' and ops[0].a == layout.size

    def full(self, struct, layout, base):
        if struct.union:
            return self.union(struct)
        ops = []
        if struct.stype:
            ops.append(Op('CHAIN', base, self.index[struct.name]))
        for member in struct.members[2 if struct.stype else 0:]:
            self.append(ops, self.member(member, struct.members, layout, base))
        return ops

    def append(self, ops, more):
        for op in more:
            last = ops[-1] if ops else None
            if last and last.kind == op.kind == 'COPY' and last.off + last.a == op.off:
                last.a += op.a
            else:
                ops.append(op)

    def union(self, struct):
        """One operation for each tag."""
        ops = []
        for member in struct.members:
            more = self.member(member, struct.members, self.layout(struct.name), 0)
            if len(more) != 1:
                raise Refused(f'{struct.name}.{member.name}: no rule for this union member')
            ops += more
        return ops

    def member(self, var, siblings, layout, base):
        """Operations of one input member."""
        where, offset = f'{var.owner}.{var.name}', base + layout.offsets[var.name]
        if var.pointers:
            return [self.pointer(var, siblings, layout, base)]
        if self.registry.is_handle(var.type):
            kind = 'FIXED_HANDLE' if var.fixed else 'HANDLE'
            return [Op(kind, offset, self.handle(var.type), var.fixed)]
        nested = self.registry.struct(var.type)
        if nested:
            return self.nested(var, nested, offset)
        size, wire = self.registry.scalar(var.type, where)
        if var.fixed:
            if wire == 2:
                raise Refused(f'{where}: no rule for arrays of 16-bit numbers')
            return [Op('FIXED_COPY', offset, size * var.fixed, var.fixed)]
        return [Op({1: 'U8', 2: 'U16'}.get(wire, 'COPY'), offset, size)]

    def nested(self, var, nested, offset):
        where = f'{var.owner}.{var.name}'
        if nested.union:
            if var.fixed:
                raise Refused(f'{where}: no rule for arrays of unions')
            return [Op('UNION', offset, self.struct_index(var.type, where))]
        size = self.layout(var.type).size
        if var.fixed:
            if self.is_plain(var.type):
                return [Op('FIXED_COPY', offset, size * var.fixed, var.fixed)]
            return [Op('FIXED_STRUCT', offset, self.struct_index(var.type, where), var.fixed)]
        index = self.struct_index(var.type, where)
        if nested.stype:
            return [Op('STRUCT', offset, index)]
        return self.full(nested, self.layout(var.type), offset)

    def pointer(self, var, siblings, layout, base):
        where, offset = f'{var.owner}.{var.name}', base + layout.offsets[var.name]
        parts = var.len.split(',') if var.len else []
        if var.type == 'VkAllocationCallbacks':
            return Op('NULL', offset)
        if var.type == 'char':
            if var.pointers == 1 and parts == ['null-terminated']:
                return Op('STRING', offset)
            if var.pointers == 2 and parts[1:] == ['null-terminated']:
                return Op('ARRAY_STRING', offset, length=self.length(parts[0], siblings, layout, base, where))
        if var.pointers != 1 or var.fixed or len(parts) > 1:
            raise Refused(f'{where}: no rule for this pointer')
        length = self.length(parts[0], siblings, layout, base, where) if parts else 0
        if var.type == 'void':
            if not parts:
                raise Refused(f'{where}: untyped pointer without a length')
            return Op('ARRAY_COPY', offset, 1, length=length)
        if self.registry.is_handle(var.type):
            return Op('ARRAY_HANDLE', offset, self.handle(var.type), length=length)
        nested = self.registry.struct(var.type)
        if nested and not nested.union and self.is_plain(var.type):
            self.struct_index(var.type, where)
            shape = self.layout(var.type)
            return Op('ARRAY_COPY', offset, shape.size, length=length, align=shape.align)
        if nested:
            kind = 'ARRAY_UNION' if nested.union else 'ARRAY_STRUCT'
            return Op(kind, offset, self.struct_index(var.type, where), length=length)
        size, wire = self.registry.scalar(var.type, where)
        if wire == 2:
            raise Refused(f'{where}: no rule for arrays of 16-bit numbers')
        return Op('ARRAY_COPY', offset, size, length=length, align=size)

    # --- partial structs: what a request says about an output ---

    def partial(self, struct, layout, base):
        ops = [Op('CHAIN', base, self.index[struct.name], flags=PARTIAL)] if struct.stype else []
        keep_arrays = struct.name in self.special.PARTIAL_WITH_ARRAY
        for var in struct.members[2 if struct.stype else 0:]:
            ops += self.partial_member(var, struct, layout, base, keep_arrays)
        return ops

    def partial_member(self, var, struct, layout, base, keep_arrays):
        where, offset = f'{var.owner}.{var.name}', base + layout.offsets[var.name]
        nested = self.registry.struct(var.type)
        if var.pointers:
            if not keep_arrays:
                raise Refused(f'{where}: no rule for a pointer in an output')
            op = self.pointer(var, struct.members, layout, base)
            return [Op('OUT_COPY', offset, op.a, length=op.len)]
        if self.registry.is_handle(var.type):
            if not var.fixed:
                raise Refused(f'{where}: no rule for a single handle in an output')
            return [Op('FIXED_HANDLE', offset, self.handle(var.type), var.fixed, flags=PARTIAL)]
        if not nested:
            if keep_arrays and any(m.len == var.name for m in struct.members):
                return self.member(var, struct.members, layout, base)
            return []
        index = self.struct_index(var.type, where)
        if var.fixed:
            if not self.structs[index].partial:
                return [Op('FIXED_SKIP', offset, 0, var.fixed)]
            return [Op('FIXED_STRUCT', offset, index, var.fixed, flags=PARTIAL)]
        if nested.stype:
            return [Op('STRUCT', offset, index, flags=PARTIAL)]
        return self.partial(nested, self.layout(var.type), offset)

    # --- lengths and handles ---

    def length(self, text, siblings, layout, base, where):
        """Index of a length: (offset, width, through pointer?, offset behind it, add, divide)."""
        if text == '1':
            return 0
        name, add, divide = self.special.LENGTHS.get(text, (text, 0, 1))
        name, _, behind = name.partition('->')
        var = next((s for s in siblings if s.name == name), None)
        if var is None or (behind and not var.pointers):
            raise Refused(f'{where}: no rule for length "{text}"')
        offset = base + layout.offsets[name]
        through, second = 0, 0
        if behind:
            struct = self.registry.struct(var.type)
            var = next((s for s in struct.members if s.name == behind), None) if struct else None
            if var is None:
                raise Refused(f'{where}: no rule for length "{text}"')
            through, second = 1, self.layout(struct.name).offsets[behind]
        elif var.pointers:
            through = 1
        width = self.registry.scalar(var.type, where)[0]
        key = (offset, width, through, second, add, divide)
        if key not in self.length_index:
            self.length_index[key] = len(self.lengths)
            self.lengths.append(key)
        return self.length_index[key]

    def handle(self, name):
        """VkObjectType of a handle, as the registry spells it."""
        spelled = self.registry.handle_type(name)
        if spelled not in self.handle_types:
            self.handle_types.append(spelled)
        return spelled


class StructInfo:
    def __init__(self, struct, row):
        self.struct, self.row = struct, row
        self.full, self.partial, self.layout = [], [], None
        self.children = []  # (index, gate)


class CommandInfo:
    """A decoded command: the layout of its args and its operations."""

    def __init__(self, compiler, row, command):
        self.row, self.command, self.name = row, command, row['command']
        self.number = int(row['number'])
        self.created = None  # the OUT_HANDLE op's index
        registry = compiler.registry
        self.layout, self.fields = Layout(), []
        if command.ret != 'void':
            size = registry.scalar(command.ret, self.name)[0]
            self.ret_size = size
            self.field(f'{command.ret} ret', 'ret', size, size)
        else:
            self.ret_size = 0
        for var in command.params:
            self.field(var.declaration, var.name, *compiler.var_size(var))
        self.handles = [v for v in command.params if registry.is_handle(v.type)]
        for var in self.handles:
            if not var.pointers:
                self.field(f'struct venus_object *{var.name}_obj', f'{var.name}_obj', 8, 8)
            elif not var.const:
                self.field(f'const uint64_t *{var.name}_ids', f'{var.name}_ids', 8, 8)
        self.layout.finish()
        self.ops = []
        for var in command.params:
            compiler.append(self.ops, [self.param(compiler, var)])

    def field(self, declaration, name, size, align):
        self.fields.append((declaration, name))
        self.layout.add(name, size, align)

    def param(self, compiler, var):
        params, layout = self.command.params, self.layout
        if not var.pointers:
            ops = compiler.member(var, params, layout, 0)
            if len(ops) != 1:
                raise Refused(f'{self.name}.{var.name}: no rule for a struct by value')
            if ops[0].kind == 'HANDLE':
                ops[0].c = layout.offsets[f'{var.name}_obj']
            return ops[0]
        op = compiler.pointer(var, params, layout, 0)
        if var.required and op.kind not in ('NULL', 'STRING'):
            op.flags |= REQUIRED  # drivers may rely on it; members of structs have too many exceptions
        if var.const or op.kind == 'NULL':
            return op
        op.flags |= OUT | WRITABLE
        if op.kind == 'ARRAY_HANDLE':
            op.kind, op.c = 'OUT_HANDLE', layout.offsets[f'{var.name}_ids']
            self.created = len(self.ops)
            self.created_var = var
        elif op.kind == 'ARRAY_STRUCT' or compiler.registry.struct(var.type):
            op.kind, op.a = 'OUT_STRUCT', compiler.struct_index(var.type, self.name)
        elif not any(p.len == var.name for p in params):
            op.kind = 'OUT_COPY'
        return op
