# SPDX-License-Identifier: Apache-2.0
"""Reads vk.xml (and files of the same schema) into plain objects: only what a wire format needs.

Anything that is not understood raises Refused with one clear line, but only when it is asked for: a registry may
be full of things nobody needs.
"""
import re
import xml.etree.ElementTree as ElementTree

# C type -> (size, wire bytes); wire 1 = a byte inside arrays, 4 bytes alone.
BASIC = {
    'uint8_t': (1, 1), 'int8_t': (1, 1), 'char': (1, 1), 'uint16_t': (2, 2), 'int16_t': (2, 2),
    'uint32_t': (4, 4), 'int32_t': (4, 4), 'float': (4, 4),
    'uint64_t': (8, 8), 'int64_t': (8, 8), 'double': (8, 8), 'size_t': (8, 8),
}


class Refused(Exception):
    """The registry says something this generator has no rule for."""


class Var:
    """A struct member or command parameter."""

    def __init__(self, registry, element, owner):
        self.name = element.find('name').text
        self.type = element.find('type').text
        self.owner = owner
        before = (element.text or '').strip()
        between = (element.find('type').tail or '').strip()
        after = (element.find('name').tail or '').strip()
        self.const = before.startswith('const')
        self.pointers = between.count('*')
        self.fixed = 0
        if after:
            self.fixed = self._dimension(registry, element, after)
        length = element.get('altlen') or element.get('len')
        self.len = length
        self.stype = element.get('values')
        self.stype_offset = element.get('stype')
        self.optional = (element.get('optional') or 'false').split(',')[0] == 'true'
        self.required = self.pointers > 0 and not self.optional and element.get('noautovalidity') != 'true'
        pointer = ' '.join(x for x in (before, self.type) if x) + between
        self.declaration = f'{pointer} {self.name}' + (f'[{self.fixed}]' if self.fixed else '')

    def _dimension(self, registry, element, after):
        if after.startswith(':'):
            return -1  # a bit field: refused when used
        enum = element.find('enum')
        text = ''.join(element.itertext())
        found = re.findall(r'\[([^\]]*)\]', text[text.rindex(self.name):] if enum is None else text)
        if len(found) != 1:
            return -1
        if enum is not None:
            return registry.constants.get(enum.text, -1)
        return int(found[0]) if found[0].isdigit() else -1


class Struct:
    def __init__(self, registry, element):
        self.name = element.get('name')
        self.union = element.get('category') == 'union'
        self.members = [Var(registry, m, self.name) for m in element.findall('member') if wanted(m)]
        self.stype = self.members[0].stype if self.members and self.members[0].name == 'sType' else None
        self.stype_offset = self.members[0].stype_offset if self.stype else None


class Command:
    def __init__(self, registry, element):
        self.name = element.find('proto/name').text
        self.ret = element.find('proto/type').text
        self.params = [Var(registry, p, self.name) for p in element.findall('param') if wanted(p)]


def wanted(element):
    """Newer registries describe Vulkan SC in the same file."""
    api = element.get('api')
    return api is None or 'vulkan' in api.split(',')


class Registry:
    def __init__(self, paths):
        self.types, self.aliases, self.commands, self.constants = {}, {}, {}, {}
        self.enum_bits, self.extensions, self.providers, self.handles = {}, {}, {}, {}
        self.header_version = 0
        for path in paths:
            root = ElementTree.parse(path).getroot()
            self._read_constants(root)
            for element in root.findall('types/type'):
                self._read_type(element)
            for element in root.findall('commands/command'):
                self._read_command(element)
            for element in root.findall('feature'):
                self._read_feature(element)
            for element in root.findall('extensions/extension'):
                self._read_extension(element)
        if not self.header_version:
            raise Refused('no VK_HEADER_VERSION: not a Vulkan registry?')

    def _read_constants(self, root):
        for enums in root.findall('enums'):
            if enums.get('bitwidth') == '64':
                self.enum_bits[enums.get('name')] = 64
            for enum in enums.findall('enum'):
                value = enum.get('value') or ''
                if enums.get('name') == 'API Constants' and value.isdigit():
                    self.constants[enum.get('name')] = int(value)

    def _read_type(self, element):
        name = element.get('name')
        if name is None and element.find('name') is not None:
            name = element.find('name').text
        if not wanted(element) or name is None:
            return
        if name == 'VK_HEADER_VERSION':
            self.header_version = int(''.join(element.itertext()).split()[-1])
        elif element.get('alias'):
            self.aliases[name] = element.get('alias')
        elif element.get('category') == 'handle':
            self.handles[name] = element.get('objtypeenum')
            self.types[name] = element
        elif element.get('category') in ('struct', 'union', 'basetype', 'bitmask', 'enum', 'funcpointer'):
            self.types[name] = element

    def _read_command(self, element):
        if not wanted(element):
            return
        if element.get('alias'):
            self.aliases[element.get('name')] = element.get('alias')
        else:
            self.commands[element.find('proto/name').text] = element

    def _read_feature(self, element):
        if 'vulkan' not in element.get('api', '').split(','):
            return
        major, minor = element.get('number').split('.')
        for required in element.findall('require/type'):
            self.providers.setdefault(required.get('name'), []).append(('core', (int(major), int(minor))))

    def _read_extension(self, element):
        if 'vulkan' not in element.get('supported', '').split(','):
            return
        number = int(element.get('number'))
        self.extensions[element.get('name')] = number
        for required in element.findall('require/type'):
            self.providers.setdefault(required.get('name'), []).append(('extension', number))

    def resolve(self, name):
        """The name that the registry defines for @name, or None if it knows none."""
        seen = set()
        while name in self.aliases and name not in seen:
            seen.add(name)
            name = self.aliases[name]
        return name if name in self.types or name in self.commands else None

    def struct(self, name):
        element = self.types.get(self.resolve(name))
        if element is None or element.get('category') not in ('struct', 'union'):
            return None
        return Struct(self, element)

    def command(self, name):
        element = self.commands.get(self.resolve(name))
        return Command(self, element) if element is not None else None

    def is_handle(self, name):
        return self.resolve(name) in self.handles

    def handle_type(self, name):
        return self.handles[self.resolve(name)]

    def known_by(self, name):
        """(lowest core version or None, extension numbers) that make drivers know struct @name."""
        names = {name} | {alias for alias in self.aliases if self.resolve(alias) == name}
        found = [p for n in names for p in self.providers.get(n, [])]
        core = min((v for kind, v in found if kind == 'core'), default=None)
        return core, sorted({v for kind, v in found if kind == 'extension'})

    def scalar(self, name, where):
        """(C size, wire size) of a type that is one number."""
        for _ in range(8):
            if name in BASIC:
                return BASIC[name]
            element = self.types.get(self.resolve(name) or name)
            category = element.get('category') if element is not None else None
            if category == 'enum':
                wide = self.enum_bits.get(self.resolve(name)) == 64
                return (8, 8) if wide else (4, 4)
            if category not in ('basetype', 'bitmask') or element.find('type') is None:
                break
            name = element.find('type').text
        raise Refused(f'{where}: no rule for type {name}')
