#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gen/venus.py: what it makes of the installed registry, and what it refuses."""

import os
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
GEN = pathlib.Path(__file__).resolve().parents[2] / "gen"
sys.path[:0] = [str(GEN), str(GEN / "venus")]
import venus  # noqa: E402
import venus_emit  # noqa: E402
from venus_registry import Refused, Registry  # noqa: E402

INSTALLED = os.environ.get("VULKAN_REGISTRY", "/usr/share/vulkan/registry/vk.xml")

SMALL = """<registry><types>
<type category="define">#define <name>VK_HEADER_VERSION</name> 300</type>
<type category="basetype">typedef <type>uint32_t</type> <name>VkFlags</name>;</type>
<type category="enum" name="VkStructureType"/>
<type category="handle" objtypeenum="VK_OBJECT_TYPE_THING"><type>VK_DEFINE_HANDLE</type>(<name>VkThing</name>)</type>
<type category="struct" name="VkPair">
    <member><type>uint32_t</type> <name>a</name></member><member><type>uint64_t</type> <name>b</name></member></type>
<type category="struct" name="VkFlat">
    <member><type>uint32_t</type> <name>a</name></member><member><type>VkFlags</type> <name>b</name>[3]</member></type>
<type category="struct" name="VkSix">
    <member><type>VkFlags</type> <name>a</name></member><member><type>uint32_t</type> <name>b</name></member>
    <member><type>float</type> <name>c</name></member></type>
{types}
</types>
<commands><command><proto><type>void</type> <name>vkDo</name></proto>
<param><type>VkThing</type> <name>thing</name></param>{params}</command></commands></registry>"""

STRUCT_COLUMNS = ("struct", "kind", "guest_to_host_full", "guest_to_host_skeleton", "host_to_guest", "stype", venus.CHILDREN)


def small_model(params="", types="", structs=(), extensions=()):
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(SMALL.format(params=params, types=types))
        file.flush()
        registry = Registry([file.name])
    names = [("VkPair", ""), ("VkFlat", ""), ("VkSix", "")] + list(structs)
    rows = [dict(zip(STRUCT_COLUMNS, (name, "", "1", "1", "1", "", children))) for name, children in names]
    command = {"number": "0", "command": "vkDo", "aliases": "", "sent_by_mesa_25_0_7": "yes", "return_type": "void"}
    return venus.Model(registry, rows, [command], list(extensions))


def kinds(model):
    return [(op.kind, op.off, op.a) for op in model.commands[0].ops]


class Rules(unittest.TestCase):
    def refuse(self, message, **arguments):
        with self.assertRaisesRegex(Refused, message) as caught:
            small_model(**arguments)
        self.assertNotIn("\n", str(caught.exception))

    def test_neighbours_become_one_copy(self):
        model = small_model('<param><type>uint32_t</type> <name>x</name></param><param><type>float</type> <name>y</name></param>'
            '<param><type>uint64_t</type> <name>z</name></param>')
        self.assertEqual(kinds(model), [("HANDLE", 0, "VK_OBJECT_TYPE_THING"), ("COPY", 8, 16)])

    def test_padding_splits_a_copy(self):
        model = small_model('<param><type>uint32_t</type> <name>x</name></param>'
            '<param><type>uint64_t</type> <name>z</name></param>')
        self.assertEqual(kinds(model)[1:], [("COPY", 8, 4), ("COPY", 16, 8)])

    def test_array_of_plain_structs_is_copied_whole(self):
        count = '<param><type>uint32_t</type> <name>n</name></param>'
        array = '<param len="n">const <type>{}</type>* <name>p</name></param>'
        self.assertEqual(kinds(small_model(count + array.format("VkSix")))[-1], ("ARRAY_COPY", 16, 12))
        for other in ("VkPair", "VkFlat"):  # padding; a count in front of an inner array
            self.assertEqual(kinds(small_model(count + array.format(other)))[-1][0], "ARRAY_STRUCT")

    def test_outputs(self):
        model = small_model('<param><type>uint32_t</type>* <name>pN</name></param>'
            '<param len="pN"><type>VkSix</type>* <name>p</name></param><param><type>uint64_t</type>* <name>v</name></param>')
        self.assertEqual([k for k, _, _ in kinds(model)[1:]], ["ARRAY_COPY", "OUT_STRUCT", "OUT_COPY"])

    def test_refusals(self):
        self.refuse("no rule for type VkOdd", params='<param><type>VkOdd</type> <name>x</name></param>')
        self.refuse(r'vkDo.p: no rule for length "n \* 2"', params='<param><type>uint32_t</type> <name>n</name></param>'
            '<param len="n * 2">const <type>float</type>* <name>p</name></param>')
        self.refuse("vkDo.p: untyped pointer without a length", params='<param>const <type>void</type>* <name>p</name></param>')
        self.refuse("VkNew is not in structs.csv", params='<param>const <type>VkNew</type>* <name>p</name></param>',
            types='<type category="struct" name="VkNew"><member><type>uint32_t</type> <name>a</name></member></type>')
        self.refuse("VkBits.a: no rule for this array or bit field", params='<param>const <type>VkBits</type>* <name>p</name></param>',
            types='<type category="struct" name="VkBits"><member><type>uint32_t</type> <name>a</name>:24</member></type>',
            structs=[("VkBits", "")])

    def test_unknown_children_close_their_gate(self):
        chained = ('<type category="struct" name="VkInfo"><member values="VK_S"><type>VkStructureType</type> <name>sType</name>'
            '</member><member>const <type>void</type>* <name>pNext</name></member></type>')
        param = '<param>const <type>VkInfo</type>* <name>p</name></param>'
        extension = {"number": "7", "name": "VK_EXT_seven", "spec_version": "2"}
        model = small_model(param, chained, [("VkInfo", "VkMissing:7")], [extension])
        self.assertEqual(model.extensions, [(7, "VK_EXT_seven", 2, False)])
        self.refuse("the registry is too old", params=param, types=chained, structs=[("VkInfo", "VkMissing")])

    def test_not_a_registry(self):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write("<registry/>")
            file.flush()
            with self.assertRaisesRegex(Refused, "not a Vulkan registry"):
                Registry([file.name])


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = venus.Model(Registry([INSTALLED, str(GEN / "venus" / "mesa.xml")]))

    def test_all_core_commands_are_decoded(self):
        done = {c.name for c in self.model.commands}
        for row in self.model.command_rows:
            if row["sent_by_mesa_25_0_7"] == "yes" and not row["command"].endswith(("KHR", "EXT")):
                self.assertIn(row["command"], done)

    def test_version_and_mask(self):
        self.assertLessEqual(self.model.xml_version(), (1, 3, 269))
        mask = self.model.mask()
        self.assertEqual(mask[0] & 1, 1)
        # What the reference host sends: nothing beyond it, and nothing missing but what the registry lacks.
        reference = [int(w, 16) for w in (
            "20008001 30402000 005f6bcb c25660c0 e01a2819 8265060c 41310162 d0c4600c 86201454 08000549 00350842 c4000233 "
            "50020703 00000080 00810140 00108000").split()] + [0] * 16
        off = {number for number, _, _, decodable in self.model.extensions if not decodable}
        for number in range(1024):
            expected = reference[number // 32] >> number % 32 & 1 and number not in off
            self.assertEqual(bool(mask[number // 32] >> number % 32 & 1), bool(expected), number)

    def test_every_command_says_what_it_does_to_objects(self):
        for command in self.model.commands:
            destroys = command.name.startswith(("vkDestroy", "vkFree")) and not command.name.endswith("MESA")
            self.assertEqual(destroys, venus_emit.effect(self.model, command).startswith("EFFECT_DESTROY"), command.name)

    def test_output_is_stable(self):
        again = venus.Model(Registry([INSTALLED, str(GEN / "venus" / "mesa.xml")]))
        self.assertEqual(venus_emit.source(self.model), venus_emit.source(again))


if __name__ == "__main__":
    unittest.main()
