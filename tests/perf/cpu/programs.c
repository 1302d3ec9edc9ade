/* SPDX-License-Identifier: Apache-2.0 */
/*
 * programs.c - Debian's programs: compression, interpreters, a data base
 *
 * How it works: each is a shell command whose output is the line's result.  Their input is made
 * here, of words that repeat as text does, before the clock starts. Threads: the main thread.
 */
#include "bench.h"

#include <unistd.h>

#define TEXT "/tmp/bench-text"

/* Text of @len_bytes with words of a Zipf-like frequency. */
static void make_text(size_t len_bytes)
{
	FILE *out = fopen(TEXT, "w");
	NEED(out);
	uint64_t state = 77;
	for (size_t made = 0; made < len_bytes;) {
		uint64_t n = next_random(&state);
		uint64_t word = (n & 1023) * (n >> 10 & 1023) * (n >> 20 & 1023) >> 19;
		made += (size_t)fprintf(out, "%s%llx%s", word % 5 ? "" : "the ",
					(unsigned long long)(word * 2654435761u >> 8),
					n >> 40 & 15 ? " " : "\n");
	}
	NEED(fclose(out) == 0);
}

static void prepare_text(void)
{
	if (access(TEXT, R_OK)) {
		make_text(2 << 20);
	}
}

static void prepare_by(const char *command)
{
	prepare_text();
	NEED(system(command) == 0);
}

static void prepare_zst(void)
{
	prepare_by("zstd -qf -3 -k " TEXT);
}
static void prepare_xz(void)
{
	prepare_by("xz -qf -0 -k " TEXT);
}
static void prepare_gz(void)
{
	prepare_by("gzip -nf -3 -k " TEXT);
}

static const struct line compress_lines[] = {
	{"zstd", .prepare = prepare_text, .command = "zstd -c -q --single-thread -3 " TEXT},
	{"zstd-d", .prepare = prepare_zst,
	 .command = "for i in 1 2 3 4 5 6; do zstd -d -c -q " TEXT ".zst; done | tail -c 100000"},
	{"xz", .prepare = prepare_text, .command = "head -c 300000 " TEXT " | xz -c -T1 -1"},
	{"xz-d", .prepare = prepare_xz, .command = "xz -d -c -T1 " TEXT ".xz | tail -c 100000"},
	{"gzip", .prepare = prepare_text, .command = "head -c 1000000 " TEXT " | gzip -n -c -4"},
	{"gzip-d", .prepare = prepare_gz,
	 .command = "for i in 1 2 3; do gzip -d -c " TEXT ".gz; done | tail -c 100000"},
};

static const struct line interpreter_lines[] = {
	{"python3-start", .command = "for i in 1 2 3; do python3 -S -c 'print(6*7)'; done"},
	{"python3-int", .command = "python3 -S -c '\n"
				   "def f(n):\n"
				   "  a, b = 0, 1\n"
				   "  for i in range(n):\n"
				   "    a, b = b, (a + b * i) & 0xffffffff\n"
				   "    if a % 3 == 0: b ^= i\n"
				   "  return a\n"
				   "print(f(150000))'"},
	{"python3-objects", .command =
				    "python3 -S -c '\n"
				    "class P:\n"
				    "  def __init__(s, x): s.x = x\n"
				    "  def step(s, d): s.x = (s.x * 3 + d) % 1009; return s.x\n"
				    "ps = [P(i) for i in range(200)]\n"
				    "d = {}\n"
				    "for r in range(150):\n"
				    "  for p in ps:\n"
				    "    v = p.step(r); d[v] = d.get(v, 0) + 1\n"
				    "print(sorted(d.items(), key=lambda t: (-t[1], t[0]))[:20])'"},
	{"python3-text", .prepare = prepare_text,
	 .command = "python3 -S -c '\n"
		    "w = open(\"" TEXT "\").read(400000).split()\n"
		    "c = {}\n"
		    "for x in w: c[x] = c.get(x, 0) + 1\n"
		    "print(len(c), max(c.values()), "
		    "\"\".join(sorted(c))[:99].upper().replace(\"A\", \"-\"))'"},
	{"perl",
	 .command =
		 "perl -e 'my ($s, %h) = 0; for my $i (1..80000) { $s = ($s * 31 + $i) % 65521; "
		 "$h{$s & 511} .= \"x\"; }"
		 " print join(\",\", map { length $h{$_} } sort { $a <=> $b } keys %h), \"\\n\"'"},
	{"perl-regex", .prepare = prepare_text,
	 .command = "perl -ne '$n++ while /([a-f]+\\d)\\w*\\s(the)?/g; END { print \"$n\\n\" "
		    "}' " TEXT},
	{"lua", .command = "lua5.4 -e 'local t, s = {}, 0 for i = 1, 300000 do t[i % 1000 + 1] = "
			   "(t[(i * 7) % 1000 + 1] or i) + i % 13"
			   " s = s + t[i % 1000 + 1] % 7 end print(s)'"},
	{"lua-fp", .command = "lua5.4 -e 'local x, y = 0.5, 0.25 for i = 1, 800000 do x = x * "
			      "0.999 + y / (i + 1.5)"
			      " y = (x - y) * 0.5 end print(string.format(\"%.12f\", x + y))'"},
	{"shell",
	 .command = "dash -c 'i=0; s=0; while [ $i -lt 15000 ]; do i=$((i+1)); s=$(((s*3+i)%1009));"
		    " case $s in 1*) t=$t$i; t=${t#??};; esac; done; echo $s $t'"},
	{"awk", .prepare = prepare_text,
	 .command =
		 "head -c 400000 " TEXT " | busybox awk '{ for (i = 1; i <= NF; i++) c[$i]++ } END "
		 "{ for (w in c) s += c[w] * length(w); print NR, s }'"},
	{"sqlite-insert",
	 .command = "sqlite3 :memory: 'create table t(a integer primary key, b text, c int); "
		    "create index ti on t(c);"
		    " with recursive n(i) as (select 1 union all select i+1 from n where i < 15000)"
		    " insert into t select i, hex(i*7919), i*31 % 1009 from n; select count(*), "
		    "sum(length(b)), max(c) from t;'"},
	{"sqlite-query",
	 .command = "sqlite3 :memory: 'with recursive n(i) as (select 1 union all select i+1 from "
		    "n where i < 20000)"
		    " select i % 97 as k, count(*), sum(i*i % 1013), avg(i) from n group by k "
		    "having k < 20 order by 3;"
		    " with recursive n(i) as (select 1 union all select i+1 from n where i < 300)"
		    " select count(*) from n a, n b where a.i * b.i % 101 = 7;'"},
};

const struct group compress_group = GROUP("compress", compress_lines);
const struct group interpreter_group = GROUP("interpreter", interpreter_lines);
