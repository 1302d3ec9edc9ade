#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random words: what our decoder calls unallocated against what binutils' disassembler does.

usage: check_decoder.py DECODE_WORDS [SEED] [COUNT]

Exit status 77: no disassembler for AArch64 here.
"""

import collections
import random
import shutil
import struct
import subprocess
import sys
import tempfile

OBJDUMP = "aarch64-linux-gnu-objdump"
SKIP = 77

# Instructions of extensions we do not have, by mnemonic or its beginning.
ABSENT = {
    "FEAT_MTE": ("addg", "subg", "irg", "gmi", "subp", "ldg", "stg", "st2g", "stz2g", "stzg", "stz", "setg"),
    "FEAT_CSSC": ("smax", "smin", "umax", "umin", "ctz", "cnt", "abs"),
    "FEAT_HBC": ("bc.",),
    "FEAT_TME": ("tcancel", "tstart", "ttest", "tcommit"),
    "FEAT_LS64": ("st64b", "ld64b"),
    "FEAT_LRCPC3, FEAT_THE, FEAT_LSE128": ("ldapp", "stlp", "ldap1", "stl1", "ldiapp", "stilp", "swpp", "ldclrp", "ldsetp", "rcw"),
    "FEAT_WFxT": ("wfet", "wfit"),
    "Debug state (UNDEFINED outside, Arm ARM C6.2.98)": ("dcps", "drps"),
    "FEAT_SM3, FEAT_SM4": ("sm3", "sm4"),
    "FEAT_BF16": ("bf",),
    "FEAT_I8MM": ("smmla", "ummla", "usmmla", "usdot", "sudot"),
    "FEAT_FlagM2": ("xaflag", "axflag"),
    "FEAT_GCS": ("gcs",),
    "FEAT_CPA": ("addpt", "subpt", "maddpt", "msubpt"),
    "FEAT_FP8, FEAT_FP8DOT2, FEAT_FP8FMA": ("f1cvtl", "f2cvtl", "bf1cvtl", "bf2cvtl", "fdot", "fscale", "fmlall", "fmmla"),
    "FEAT_FAMINMAX": ("famax", "famin"),
    "FEAT_LUT": ("luti",),
    "FEAT_D128, FEAT_SYSREG128": ("mrrs", "msrr", "sysp", "tlbip"),
    "unallocated, printed as a generic form": ("msr", "mrs", "sys"),
}
# The same where an instruction that we have gained forms: (mask, value) of the encodings.
ABSENT_FORMS = {
    "FEAT_LRCPC3, LDAPR and STLR with writeback": (0x3fbffc00, 0x19800800),
    "FEAT_LRCPC3, LDAPUR and STLUR of SIMD&FP registers": (0x3f200c00, 0x1d000800),
    "FEAT_FP8, FCVTN of vectors": (0xbfa0fc00, 0x0e00f400),
}
# Words that binutils decodes and should not.
WRONG_THERE = {
    "FMLAL, FMLSL (vector) with size<0> = 1: unallocated (DDI 0487 C7.2.132), binutils 2.40 ignores the bit": ("fmlal", "fmlsl"),
}
# Rows that match words which binutils rejects, with the reason.
LENIENT = {
    "LDAR_": "should-be-one bits (Rs, Rt2) are ignored, as DDI 0487 C6.2.155 allows",
    "LDPSW_": "Rt = Rt2 is CONSTRAINED UNPREDICTABLE (K1.2), executed here",
    "LDP_": "as LDPSW",
}


def is_vector_extension(word):
    """SVE and SME have encoding groups of their own (C4.1: op0 of 0000 and 0010)."""
    return word >> 25 & 15 in (0, 2)


def is_absent_form(word):
    """One of ABSENT_FORMS."""
    return any(word & mask == value for mask, value in ABSENT_FORMS.values())


def disassemble(raw):
    """(mnemonic, operands) of each word; None for an undefined one."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(raw)
        file.flush()
        out = subprocess.run([OBJDUMP, "-D", "-z", "-b", "binary", "-m", "aarch64", "--no-show-raw-insn", "-M", "no-aliases",
                              file.name], capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t")[1:] for line in out.splitlines() if line.startswith(" ")]
    return [None if row[0].startswith(".inst") else row for row in rows]


def compare(words, decoder):
    """Two maps from names to words: ours alone, binutils alone."""
    raw = struct.pack(f"<{len(words)}I", *words)
    ours = subprocess.run([decoder], input=raw, capture_output=True, check=True).stdout.decode().splitlines()
    excused = sum(ABSENT.values(), ()) + sum(WRONG_THERE.values(), ())
    only_ours, only_theirs = collections.defaultdict(list), collections.defaultdict(list)
    for word, mine, theirs in zip(words, ours, disassemble(raw), strict=True):
        name = mine.split()[0]
        if theirs is None and name != "UNDEFINED" and not name.startswith(tuple(LENIENT)):
            only_ours[name].append(f"{word:08x}")
        if theirs is not None and name == "UNDEFINED" and not theirs[0].startswith(excused) and not is_absent_form(word):
            only_theirs[theirs[0]].append(f"{word:08x} {' '.join(theirs)}")
    return only_ours, only_theirs


def main(args):
    """Command line; 0, 1 or 77."""
    if not shutil.which(OBJDUMP):
        print(f"skipped: {OBJDUMP} is not installed")
        return SKIP
    seed = int(args[2]) if len(args) > 2 else random.SystemRandom().getrandbits(32)
    count = int(args[3]) if len(args) > 3 else 200000
    print(f"seed {seed}")
    source = random.Random(seed)
    words = [word for word in (source.getrandbits(32) for _ in range(count)) if not is_vector_extension(word)]
    only_ours, only_theirs = compare(words, args[1])
    for title, found in (("decoded here, undefined there", only_ours), ("undefined here, decoded there", only_theirs)):
        for name, examples in sorted(found.items()):
            print(f"{title}: {name}, {len(examples)} words, as {examples[0]}")
    print(f"{len(words)} words, {len(only_ours) + len(only_theirs)} disagreements")
    return 1 if only_ours or only_theirs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
