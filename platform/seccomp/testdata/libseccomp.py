"""Has libseccomp compile profiles: lines of JSON in, lines of JSON out.

In: {"arches": [...], "default": ACTION, "rules": [{"name", "action", "args"}]} with ACTION as [KIND, NUMBER].
Out: the program in hexadecimal and the names that libseccomp does not know on some of the arches; with "resolve", the numbers of names.
"""
import json
import sys
import tempfile

import seccomp

OPS = {"EQ": seccomp.EQ, "NE": seccomp.NE, "LT": seccomp.LT, "LE": seccomp.LE, "GT": seccomp.GT, "GE": seccomp.GE}
ARCHES = {"amd64": seccomp.Arch.X86_64, "386": seccomp.Arch.X86, "arm64": seccomp.Arch.AARCH64, "arm": seccomp.Arch.ARM,
          "riscv64": seccomp.Arch.RISCV64, "ppc64le": seccomp.Arch.PPC64LE, "s390x": seccomp.Arch.S390X,
          "mips64le": seccomp.Arch.MIPSEL64}


def action(kind, number):
    if kind == "ERRNO":
        return seccomp.ERRNO(number)
    if kind == "TRACE":
        return seccomp.TRACE(number)
    return getattr(seccomp, kind)


def arg(a):
    if a["op"] == "MASKED_EQ":
        return seccomp.Arg(a["index"], seccomp.MASKED_EQ, a["value"], a["valueTwo"])
    return seccomp.Arg(a["index"], OPS[a["op"]], a["value"])


def compile(p):
    f = seccomp.SyscallFilter(action(*p["default"]))
    for a in p["arches"]:
        if not f.exist_arch(ARCHES[a]):
            f.add_arch(ARCHES[a])
    for r in p["rules"]:
        try:
            f.add_rule(action(*r["action"]), r["name"], *[arg(a) for a in r["args"]])
        except RuntimeError as e:
            raise RuntimeError(f"{e}: {r}")
    with tempfile.TemporaryFile() as out:
        f.export_bpf(out)
        out.seek(0)
        return out.read().hex()


for line in sys.stdin:
    p = json.loads(line)
    if "resolve" in p:
        out = {a: [seccomp.resolve_syscall(ARCHES[a], n) for n in p["resolve"]] for a in p["arches"] if a in ARCHES}
    else:
        out = compile(p)
    print(json.dumps(out), flush=True)
