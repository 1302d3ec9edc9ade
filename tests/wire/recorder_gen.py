#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the recording driver's functions: one for each command that guests send, one writer and one filler for each struct.

usage: recorder_gen.py REGISTRY OUT.c

C's own member access is used throughout, so a wrong offset or type in the decoder's tables cannot hide.
"""
import re
import sys

import protocol
from protocol import FIXED, Schema

EXTRA = ["VkPhysicalDeviceExternalMemoryHostPropertiesEXT"]  # asked by the server itself
BY_HAND = {"vkCreateInstance", "vkEnumeratePhysicalDevices", "vkEnumerateDeviceExtensionProperties", "vkEnumerateInstanceVersion",
           "vkGetDeviceQueue2", "vkEnumeratePhysicalDeviceGroups"}


class Writer:
    """C text."""

    def __init__(self, schema):
        self.schema, self.out = schema, []
        self.structs = self.reachable()

    def reachable(self):
        found, todo = [], list(EXTRA)
        for _, command in self.schema.commands.values():
            todo += [p.type for p in command.params if self.schema.struct(p.type) and p.type != "VkAllocationCallbacks"]
        while todo:
            name = self.schema.registry.resolve(todo.pop())
            if name in found or name.endswith("MESA"):
                continue
            found.append(name)
            todo += [m.type for m in self.schema.struct(name).members if self.schema.struct(m.type) and m.type != "VkAllocationCallbacks"]
            if name in self.schema.struct_rows:
                todo += self.schema.children(name, False) + self.schema.children(name, True)
        return sorted(found)

    def length(self, var, prefix):
        """C expression of an array's length."""
        if self.schema.single(var):
            return "1"
        text = var.len.split(",")[0]
        return re.sub(r"^(\(?)(\w+)", lambda m: f"{m.group(1)}{prefix}{m.group(2)}", text)

    def emit(self, text):
        self.out.append(text)

    def write_one(self, var, expr, pad):
        """Statements that write the thing @expr (not a pointer)."""
        if self.schema.registry.is_handle(var.type):
            kind = self.schema.registry.handle_type(var.type)
            return f"{pad}rec_handle({kind}, (uint64_t)(uintptr_t){expr});\n"
        if self.schema.struct(var.type):
            return f"{pad}write_{self.schema.registry.resolve(var.type)}(&{expr});\n"
        return f"{pad}rec_number(&{expr}, sizeof({expr}));\n"

    def write(self, var, prefix):
        """Statements that write a member or parameter."""
        expr, kind = prefix + var.name, self.schema.kind(var)
        if kind == "null":
            return f"\trec_allocator({expr});\n"
        if kind == "string":
            return f"\trec_string({expr});\n"
        count = str(var.fixed) if var.fixed else self.length(var, prefix) if var.pointers else ""
        if not count:
            return self.write_one(var, expr, "\t")
        body = f"\trec_list({expr} != NULL);\n\tfor (size_t i = 0; {expr} && i < (size_t)({count}); i++) {{\n" if not var.fixed else \
            f"\trec_list(true);\n\tfor (size_t i = 0; i < {count}; i++) {{\n"
        if kind == "strings":
            return f"{body}\t\trec_next(i);\n\t\trec_string({expr}[i]);\n\t}}\n\trec_end({expr} != NULL);\n"
        small = kind == "blob" or (kind.endswith("scalars") and self.schema.size(var)[0] == 1)
        if small:
            return f"\trec_bytes({expr}, (size_t)({count}));\n"
        return f"{body}\t\trec_next(i);\n{self.write_one(var, expr + '[i]', chr(9) * 2)}\t}}\n\trec_end({'true' if var.fixed else expr + ' != NULL'});\n"

    def struct(self, name):
        found = self.schema.struct(name)
        self.emit(f"static void write_{name}(const {name} *s)\n{{\n\trec_text(\"{name}{{\");\n")
        if found.union:
            member = "s->uint32" if name == "VkClearColorValue" else "s->color.uint32"
            self.emit(f"\tfor (int i = 0; i < 4; i++) {{\n\t\trec_next((size_t)i);\n\t\trec_number(&{member}[i], 4);\n\t}}\n")
        else:
            if found.stype:
                self.emit("\twrite_chain(s->pNext);\n")
            for number, member in enumerate(self.schema.members(name)):
                self.emit((f"\trec_next({number});\n" if number else "") + self.write(member, "s->"))
        self.emit("\trec_text(\"}\");\n}\n\n")

    def chains(self):
        self.emit("static void write_chain(const void *next)\n{\n\tconst VkBaseInStructure *s = next;\n"
                  "\twhile (s && s->sType == VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO) { /* the loader's own */\n\t\ts = s->pNext;\n\t}\n\tif (!s) {\n\t\treturn;\n\t}\n\trec_text(\"<\");\n"
                  "\tfor (; s; s = s->pNext) {\n\t\tswitch (s->sType) {\n")
        for name in self.structs:
            if self.schema.struct(name).stype:
                self.emit(f"\t\tcase {self.schema.struct(name).stype}: {{\n\t\t\t{name} copy = *(const {name} *)(const void *)s;\n"
                          f"\t\t\tcopy.pNext = NULL;\n\t\t\twrite_{name}(&copy);\n\t\t\tbreak;\n\t\t}}\n")
        self.emit("\t\tcase VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT:\n\t\t\trec_text(\"host pointer\");\n\t\t\tbreak;\n"
                  "\t\tdefault:\n\t\t\trec_unknown(s->sType);\n\t\t}\n\t}\n\trec_text(\">\");\n}\n\n")
        self.emit("static void ask_chain(const void *next)\n{\n\tfor (const VkBaseInStructure *s = next; s; s = s->pNext) {\n\t\tswitch (s->sType) {\n")
        for name in self.structs:
            if self.schema.struct(name).stype:
                self.emit(f"\t\tcase {self.schema.struct(name).stype}:\n\t\t\trec_text(\"{name}{{}}\");\n\t\t\tbreak;\n")
        self.emit("\t\tdefault:\n\t\t\trec_unknown(s->sType);\n\t\t}\n\t}\n}\n\n")
        self.emit("static void fill_chain(void *next)\n{\n\tfor (VkBaseOutStructure *s = next; s; s = s->pNext) {\n\t\tswitch (s->sType) {\n")
        for name in self.filled:
            if self.schema.struct(name).stype:
                self.emit(f"\t\tcase {self.schema.struct(name).stype}:\n\t\t\tfill_members_{name}((void *)s);\n\t\t\tbreak;\n")
        self.emit("\t\tcase VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_LINEAR_COLOR_ATTACHMENT_FEATURES_NV:\n"
                  "\t\t\t((VkPhysicalDeviceLinearColorAttachmentFeaturesNV *)(void *)s)->linearColorAttachment = VK_TRUE;\n\t\t\tbreak;\n")
        self.emit("\t\tdefault:\n\t\t\tbreak;\n\t\t}\n\t}\n}\n\n")

    def fill(self, name):
        """Members in order; counts of arrays stay as asked."""
        self.emit(f"static void fill_members_{name}({name} *s)\n{{\n")
        members = self.schema.members(name)
        for m in members:
            kind = self.schema.kind(m)
            if (name, m.name) in FIXED:
                self.emit(f"\ts->{m.name} = {FIXED[name, m.name]};\n")
            elif kind == "scalar" and not any(o.len == m.name for o in members):
                self.emit(f"\trec_noise(&s->{m.name}, sizeof(s->{m.name}));\n")
            elif kind == "struct":
                self.emit(f"\tfill_{self.schema.registry.resolve(m.type)}(&s->{m.name});\n")
            elif kind == "fixed_structs" or (kind == "structs" and not m.const):
                count = m.fixed or "(s->%s ? s->%s : 0)" % (m.name, m.len)
                self.emit(f"\tfor (size_t i = 0; i < (size_t){count}; i++) {{\n\t\tfill_{self.schema.registry.resolve(m.type)}(&s->{m.name}[i]);\n\t}}\n")
            elif kind == "fixed_scalars" and m.type == "char":
                self.emit(f"\trec_noise_text(s->{m.name}, sizeof(s->{m.name}));\n")
            elif kind == "fixed_scalars":
                self.emit(f"\tfor (size_t i = 0; i < {m.fixed}; i++) {{\n\t\trec_noise(&s->{m.name}[i], sizeof(s->{m.name}[i]));\n\t}}\n")
        chain = "\tfill_chain(s->pNext);\n" if self.schema.struct(name).stype else ""
        self.emit(f"}}\n\nstatic void fill_{name}({name} *s)\n{{\n\tfill_members_{name}(s);\n{chain}}}\n\n")

    def output(self, command, var):
        """(asked, fill) statements of an output parameter."""
        name, kind = var.name, self.schema.kind(var)
        if kind == "handles":
            count = self.length(var, "")
            kind = self.schema.registry.handle_type(var.type)
            made = f"result ? 0 : rec_new({kind})" if command.ret == "VkResult" else f"rec_new({kind})"
            return f"\trec_text({name} ? \"?\" : \"~\");\n", \
                f"\tfor (size_t i = 0; {name} && i < (size_t)({count}); i++) {{\n\t\t{name}[i] = ({var.type})(uintptr_t)({made});\n\t}}\n"
        if any(p.len == name for p in command.params):
            array = next(p for p in command.params if p.len == name)
            return f"\trec_number({name}, sizeof(*{name}));\n", \
                f"\t*{name} = {array.name} && *{name} < {protocol.MANY} ? *{name} : {protocol.MANY};\n"
        count = self.length(var, "*" if var.len and any(p.name == var.len and p.pointers for p in command.params) else "")
        asked = f"\trec_text({name} ? \"?\" : \"~\");\n"
        if self.schema.struct(var.type):
            chain = f"\tif ({name}) {{\n\t\task_chain({name}[0].pNext);\n\t}}\n" if self.schema.struct(var.type).stype else ""
            return asked + chain, f"\tfor (size_t i = 0; {name} && i < (size_t)({count}); i++) {{\n" \
                f"\t\tfill_{self.schema.registry.resolve(var.type)}(&{name}[i]);\n\t}}\n"
        cell = f"((uint8_t *){name})[i]" if var.type == "void" else f"{name}[i]"
        return asked, f"\tfor (size_t i = 0; {name} && i < (size_t)({count}); i++) {{\n\t\trec_noise(&{cell}, sizeof({cell}));\n\t}}\n"

    def command(self, row, command):
        params = ", ".join(p.declaration for p in command.params)
        self.emit(f"static VKAPI_ATTR {command.ret} VKAPI_CALL rec_{command.name}({params})\n{{\n\trec_begin(\"{row['command']}\", {row['number']});\n")
        fills = ""
        for var in command.params:
            self.emit("\trec_text(\" \");\n")
            if self.schema.is_output(var):
                asked, fill = self.output(command, var)
                self.emit(asked)
                fills += fill
            else:
                self.emit(self.write(var, ""))
        if command.ret == "VkResult":
            self.emit(f"\tVkResult result = rec_result(\"{row['command']}\");\n")
        self.emit(fills)
        if command.ret == "void":
            self.emit("\trec_finish();\n}\n\n")
        elif command.ret == "VkResult":
            self.emit("\trec_finish();\n\treturn result;\n}\n\n")
        else:
            self.emit(f"\t{command.ret} ret;\n\trec_noise(&ret, sizeof(ret));\n\trec_finish();\n\treturn ret;\n}}\n\n")

    def source(self):
        self.filled = [n for n in self.structs if n in EXTRA or self.schema.struct_rows[n]["host_to_guest"] == "1"]
        self.emit("/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by recorder_gen.py; do not edit. */\n#include \"recorder.h\"\n\n")
        for name in self.structs:
            self.emit(f"static void write_{name}(const {name} *s);\n")
        for name in self.filled:
            self.emit(f"static void fill_{name}({name} *s);\nstatic void fill_members_{name}({name} *s);\n")
        self.emit("static void write_chain(const void *next);\nstatic void fill_chain(void *next);\n\n")
        for name in self.structs:
            self.struct(name)
        self.chains()
        for name in self.filled:
            self.fill(name)
        table = ""
        for row, command in self.schema.commands.values():
            if row["command"].endswith("MESA"):
                continue
            if row["command"] not in BY_HAND:
                self.command(row, command)
                for name in dict.fromkeys([command.name, row["command"], *filter(None, row["aliases"].split("|"))]):
                    table += f"\t{{\"{name}\", (PFN_vkVoidFunction)rec_{command.name}}},\n"
        self.emit(f"const struct rec_entry rec_generated[] = {{\n{table}\t{{NULL, NULL}},\n}};\n\n")
        self.emit("void rec_write_create_instance(const VkInstanceCreateInfo *info)\n{\n\twrite_VkInstanceCreateInfo(info);\n}\n\n")
        self.emit("void rec_fill_families(VkQueueFamilyProperties *families, uint32_t count)\n{\n\tfor (uint32_t i = 0; i < count; i++) {\n"
                  "\t\tfill_VkQueueFamilyProperties(&families[i]);\n\t}\n}\n\n")
        self.emit("void rec_fill_memory(VkPhysicalDeviceMemoryProperties *memory)\n{\n\tfill_VkPhysicalDeviceMemoryProperties(memory);\n}\n\n")
        names = "".join(f"\t{{\"{r['name']}\", {r['spec_version']}}},\n" for r in protocol.rows("extensions.csv")
                        if r["name"] in self.schema.registry.extensions)
        self.emit(f"const VkExtensionProperties rec_extensions[] = {{\n{names}\t{{VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME, 1}},\n}};\n")
        self.emit("const uint32_t rec_extension_count = sizeof(rec_extensions) / sizeof(rec_extensions[0]);\n")
        return "".join(self.out)


def main():
    """Command line."""
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(Writer(Schema(sys.argv[1])).source())


if __name__ == "__main__":
    main()
