#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the tables of the Venus decoder and encoder from the installed registry and gen/venus/.

  venus.py --registry /usr/share/vulkan/registry/vk.xml --header OUT.h --source OUT.c
  venus.py --registry ... --coverage

What the registry does not know (it may be older than the guest's) is left out, and the capability mask says so to the
guest; what it says in a way that this program has no rule for is refused with one line.
"""
import argparse
import csv
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'venus'))

import special  # noqa: E402
import venus_emit  # noqa: E402
from venus_ops import CommandInfo, Compiler  # noqa: E402
from venus_registry import Refused, Registry  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CHILDREN = 'pnext_children_accepted(:N = only if capset extension bit N)'


def read_csv(name):
    with open(os.path.join(HERE, 'venus', name), newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


class Model:
    """Everything that is emitted: structs, commands, extensions, and what was left out and why."""

    def __init__(self, registry, struct_rows=None, command_rows=None, extension_rows=None):
        self.registry = registry
        self.struct_rows = struct_rows if struct_rows is not None else read_csv('structs.csv')
        self.command_rows = command_rows if command_rows is not None else read_csv('commands.csv')
        self.extension_rows = extension_rows if extension_rows is not None else read_csv('extensions.csv')
        self.missing_structs = [r['struct'] for r in self.struct_rows if registry.resolve(r['struct']) is None]
        self.broken_gates = set()
        rows = {registry.resolve(r['struct']): r for r in self.struct_rows if registry.resolve(r['struct'])}
        self.compiler = Compiler(registry, rows, special)
        self.commands, self.left_out = [], []
        for row in self.command_rows:
            self.add_command(row)
        self.add_children(rows)
        self.extensions = [self.extension(r) for r in self.extension_rows]

    def add_command(self, row):
        name = row['command']
        if row['sent_by_mesa_25_0_7'] == 'no' and name not in special.ALSO_DECODED:
            self.left_out.append((name, 'not sent by guests'))
            return
        command = self.registry.command(name)
        if command is None:
            self.left_out.append((name, 'not in this registry'))
            return
        if (command.ret if command.ret != 'VkDeviceAddress' else 'uint64_t') != (
                row['return_type'] if row['return_type'] != 'VkDeviceAddress' else 'uint64_t'):
            raise Refused(f'{name}: returns {command.ret}, commands.csv says {row["return_type"]}')
        self.commands.append(CommandInfo(self.compiler, row, command))

    def add_children(self, rows):
        """Which structs may follow which; compiles those that only occur in chains."""
        compiler, done = self.compiler, 0
        while done < len(compiler.structs):
            info = compiler.structs[done]
            for text in info.row[CHILDREN].split():
                name, _, gate = text.partition(':')
                resolved = self.registry.resolve(name)
                if resolved is None:
                    self.broken_gates.add(int(gate or 0))
                    continue
                info.children.append((compiler.struct_index(resolved, info.struct.name), int(gate or 0)))
            done += 1
        if 0 in self.broken_gates:
            raise Refused('the registry is too old: it lacks a struct that guests send without asking')

    def extension(self, row):
        """(number, name, specVersion, decodable)"""
        number, name = int(row['number']), row['name']
        known = name in special.OWN_EXTENSIONS or name in self.registry.extensions
        if known and name not in special.OWN_EXTENSIONS and self.registry.extensions[name] != number:
            raise Refused(f'{name}: number {self.registry.extensions[name]} in the registry, {number} in extensions.csv')
        return number, name, int(row['spec_version']), known and number not in self.broken_gates

    def mask(self):
        words = [0] * 32
        words[0] = 1
        for number, _, _, decodable in self.extensions:
            if decodable:
                words[number // 32] |= 1 << number % 32
        return words

    def xml_version(self):
        major, minor, patch = special.XML_VERSION_MAX
        return major, minor, min(patch, self.registry.header_version)

    def coverage(self):
        sent = [r for r in self.command_rows if r['sent_by_mesa_25_0_7'] != 'no']
        done = {c.name for c in self.commands}
        off = [name for _, name, _, decodable in self.extensions if not decodable]
        lines = [
            f'registry: header version {self.registry.header_version}, claimed {".".join(map(str, self.xml_version()))}',
            f'commands: {len(done)} decoded; of {len(sent)} that guests send, '
            f'{sum(r["command"] in done for r in sent)} are',
            *(f'  left out: {name}: {why}' for name, why in self.left_out if why != 'not sent by guests'),
            f'structs: {len(self.compiler.structs)} described of {len(self.struct_rows)}',
            *(f'  unknown to the registry: {name}' for name in self.missing_structs),
            f'extensions: {len(self.extensions) - len(off)} of {len(self.extensions)} decodable',
            *(f'  off: {name}' for name in off),
        ]
        return '\n'.join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--registry', default='/usr/share/vulkan/registry/vk.xml')
    parser.add_argument('--header')
    parser.add_argument('--source')
    parser.add_argument('--coverage', action='store_true')
    options = parser.parse_args()
    try:
        model = Model(Registry([options.registry, os.path.join(HERE, 'venus', 'mesa.xml')]))
        if options.header:
            venus_emit.write(options.header, venus_emit.header(model))
        if options.source:
            venus_emit.write(options.source, venus_emit.source(model))
    except (Refused, OSError) as error:
        print(f'venus.py: {error}', file=sys.stderr)
        return 1
    if options.coverage:
        print(model.coverage())
    return 0


if __name__ == '__main__':
    sys.exit(main())
