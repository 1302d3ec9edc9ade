#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gen/a64.py: what it accepts and what it refuses."""

import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "gen"))
import a64  # noqa: E402

ZEROS = "0" * 16


def rows(text):
    """Read and check a table."""
    table = a64.read_table(text, "t.tbl")
    a64.check_rows(table)
    return table


class Generator(unittest.TestCase):
    def refuse(self, text, message):
        with self.assertRaisesRegex(a64.TableError, message):
            rows(text)

    def test_one_row(self):
        row = rows(f"ADD - raw : 1111 x000 Rn:4 Rd:4 {ZEROS} ; Rn!=3 @ end")[0]
        self.assertEqual((row.mask, row.value), (0xF700FFFF, 0xF0000000))
        self.assertEqual(row.fields, {"Rn": (20, 4), "Rd": (16, 4)})
        self.assertEqual(row.flags, {"end"})
        self.assertTrue(a64.row_matches(row, 0xF8200000))
        self.assertFalse(a64.row_matches(row, 0xF8300000))

    def test_lists(self):
        names = [row.name for row in rows(f"A{{1,2}}_[w,x] - raw : 0{{00,11}}[0,1] a:12 {ZEROS}")]
        self.assertEqual(sorted(names), ["A1_w", "A1_x", "A2_w", "A2_x"])
        self.refuse(f"A{{1,2}} - raw : 0{{00,11,01}}0 a:12 {ZEROS}", "t.tbl:1: the lists of this line have different lengths")

    def test_emitters(self):
        table = rows(f"A_[w,x] - raw : 000[0,1] a:12 {ZEROS} @ jit=[add,-] [pure,] [sets,]\nB - raw : 0010 a:12 {ZEROS} @ end jit=add")
        text = a64.make_handlers(table)
        self.assertIn("A64_EACH(X) \\\n\tX(A_w) \\\n\tX(A_x) \\\n\tX(B) \\\n\n", text)
        self.assertIn("A64_EMITTERS(X) \\\n\tX(add) \\\n\n", text)
        self.assertIn("A64_EACH_TRANSLATED(X) \\\n\tX(A_w, add, JIT_PURE | JIT_SETS) \\\n\tX(B, add, 0) \\\n\n", text)
        self.refuse(f"A - raw : {ZEROS} a:16 @ pure", "has none")
        self.refuse(f"A - raw : {ZEROS} a:16 @ jit=", "unknown attribute")

    def test_wrong_rows(self):
        self.refuse("A - raw : 0101", "t.tbl:1: A: pattern has 4 bits, not 32")
        self.refuse(f"A - raw : 0101 {ZEROS} a:13", "wider than 32")
        self.refuse(f"A - raw : {ZEROS} a:8 a:8", "field a appears twice")
        self.refuse(f"A - raw : {ZEROS} 2 a:15", "cannot read '2'")
        self.refuse(f"A - raw : {ZEROS} a:16 ; b==1", "no field of the row")
        self.refuse(f"A - raw : {ZEROS} a:16 ; a+1==1", "something not allowed")
        self.refuse(f"A - raw : {ZEROS} a:16 ; a==", "cannot read the constraint")
        self.refuse(f"A - raw : {ZEROS} a:16 @ fast", "unknown attribute")
        self.refuse(f"A raw : {ZEROS} a:16", "expected 'NAME")
        self.refuse(f"A lse raw : {ZEROS} a:16", "no feature name")

    def test_between_rows(self):
        self.refuse(f"A - raw : {ZEROS} a:16\nA - raw : 1111 a:16 000000000000", "t.tbl:2: A: name already used")
        self.refuse(f"A - raw : {ZEROS} a:16\nB - raw : 1111 a:16 000000000000", "field a has another place")

    def test_overlap(self):
        self.refuse(f"A - raw : {ZEROS} a:16\nB - raw : {ZEROS} 0 b:15", "A: overlaps B")
        table = rows(f"A - raw : {ZEROS} a:16\nB - raw : {ZEROS} 0 b:15 @ over=A")
        self.assertEqual([row.name for row in a64.order_rows(table)], ["B", "A"])
        self.refuse(f"A - raw : {ZEROS} a:16 @ over=B", "no such row")
        self.refuse(f"A - raw : 1 a:15 {ZEROS}\nB - raw : 0 b:15 {ZEROS} @ over=A", "do not overlap")

    def test_constraints_can_keep_rows_apart(self):
        rows(f"A - raw : {ZEROS} a:2 b:14 ; a==3\nB - raw : {ZEROS} a:2 b:14 ; a in (0,1,2)")
        self.refuse(f"A - raw : {ZEROS} a:2 b:14 ; a==3\nB - raw : {ZEROS} a:2 b:14 ; a>1", "overlaps B .* at 0x0000c000")

    def test_features(self):
        table = rows(f"A LSE rr : {ZEROS} a:16")
        with self.assertRaisesRegex(a64.TableError, "A: feature LSE is not declared"):
            a64.check_features(table, [])
        with self.assertRaisesRegex(a64.TableError, "t.tbl:1: expected 'feature"):
            a64.read_features("feature LSE ISAR9 20 2", "t.tbl")

    def test_output(self):
        table = rows(f"A LSE rr : {ZEROS} a:2 b:14 ; a in (1,2)\nB - raw : {ZEROS} 11 b:14")
        features = a64.read_features("feature LSE ISAR0 20 2", "t.tbl")
        a64.check_features(table, features)
        self.assertIn("A64_FEATURE_LSE", a64.make_header(table, features))
        self.assertIn("A64_FORMAT_rr", a64.make_header(table, features))
        self.assertIn("return A64_A;", a64.make_source(table, features))
        self.assertIn('"LSE", A64_ID_ISAR0, 20, 2', a64.make_source(table, features))
        self.assertIn("X(B)", a64.make_handlers(table))


if __name__ == "__main__":
    unittest.main()
