#!/usr/bin/env python3
"""What each OpenCL implementation passes, from the logs of tests/run.sh. Usage: matrix.py LOGS OUT README

groups.txt has the unit tests that use a device, exceptions.txt which are left out on which implementation,
unoptimised.txt which run there with kernels compiled without optimisation, and why. OUT gets the table of groups, which README has to have too, and one of programs with their counts and
seconds. Status 1 if a test is in no group, README has another table, or a log that is there lacks a test that
is not left out, or has one that failed.
"""
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
UNIT = HERE.parent / "unit"
# Name in exceptions.txt: title, logs.
IMPLEMENTATIONS = {"pocl": ("PoCL", ["unit.log", "cli.log"]), "basic": ("PoCL `basic`", ["basic.log"]),
                   "rusticl": ("rusticl", ["rusticl.log"]), "intel": ("Intel CPU", ["intel.log"]),
                   "oclgrind": ("Oclgrind", ["oclgrind.log"])}


def lines(name):
    text = (HERE / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def read_groups():
    groups = {}
    for line in lines("groups.txt"):
        group, *programs = line.split()
        groups.setdefault(group, []).extend(programs)
    return groups


def read_causes(name):
    """{(implementation, program or group): cause}, causes in the order of their first use."""
    found = {}
    for line in lines(name):
        implementation, what, cause = line.split(None, 2)
        found.update({(implementation, one): cause for one in what.split(",")})
    return found


def misgrouped(groups):
    """Programs of tests/unit that use a device and are not in exactly one group, or are no such programs."""
    uses = {path.stem for path in UNIT.glob("test_*.c")
            if re.search(r"\b(devices_open|irn_context_create)\(", path.read_text(encoding="utf-8"))}
    listed = [program for programs in groups.values() for program in programs if program != "iresnet"]
    return sorted(uses ^ set(listed)) + sorted({p for p in listed if listed.count(p) > 1})


def read_logs(folder, logs):
    """{program: [passed, checks, seconds]}, or None where not all of the stages have run."""
    paths = [folder / log for log in logs]
    if not all(path.exists() for path in paths):
        return None
    results, name = {}, None
    for line in "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in paths).splitlines():
        if line.startswith("SKIPPED"):
            return None
        if match := re.fullmatch(r"== (\w+)", line):
            name = match[1]
            results.setdefault(name, [0, 0, 0])
        elif name and (match := re.fullmatch(r"\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", line)):
            checks, failures, errors = map(int, match.groups())
            results[name][0] += checks - failures - errors
            results[name][1] += checks
        elif name and (match := re.fullmatch(r"(\d+) passed, (\d+) failed", line)):
            results[name][0] += int(match[1])
            results[name][1] += int(match[1]) + int(match[2])
        elif name and (match := re.fullmatch(r"took (\d+) s", line)):
            results[name][2] += int(match[1])
        elif name and line.startswith("FAILED"):
            results[name][1] = max(results[name][1], results[name][0] + 1)
    return results


class Matrix:
    def __init__(self, logs):
        self.groups = read_groups()
        self.exceptions = read_causes("exceptions.txt")
        self.unoptimised = read_causes("unoptimised.txt")
        self.results = {name: read_logs(logs, files) for name, (_, files) in IMPLEMENTATIONS.items()}
        self.causes = list(dict.fromkeys([*self.exceptions.values(), *self.unoptimised.values()]))

    def cause(self, implementation, program, causes=None):
        causes = self.exceptions if causes is None else causes
        group = next(g for g, programs in self.groups.items() if program in programs)
        return causes.get((implementation, program)) or causes.get((implementation, group))

    def note(self, cause):
        return f"({self.causes.index(cause) + 1})"

    def notes(self, implementation, programs, causes=None):
        found = [self.cause(implementation, p, causes) for p in programs]
        return " ".join(self.note(c) for c in dict.fromkeys(found) if c)

    def group_cell(self, implementation, programs):
        slow = [p for p in programs if self.cause(implementation, p, self.unoptimised)]
        cell = self.run_cell(implementation, programs)
        if not slow:
            return cell
        which = "" if len(slow) == len(programs) else f"{', '.join(slow)} "
        return f"{cell}; {which}unoptimised {self.notes(implementation, slow, self.unoptimised)}"

    def run_cell(self, implementation, programs):
        left_out = [p for p in programs if self.cause(implementation, p)]
        if not left_out:
            return "all"
        notes = self.notes(implementation, programs)
        if len(left_out) == len(programs):
            return f"– {notes}"
        if 2 * len(left_out) > len(programs):
            kept = [p for p in programs if p not in left_out]
            return f"{', '.join(kept)} {notes}"
        return f"all but {', '.join(left_out)} {notes}"

    def program_cell(self, implementation, program):
        cause = self.cause(implementation, program)
        if cause:
            return f"– {self.note(cause)}"
        results = self.results[implementation]
        if results is None:
            return "not run"
        passed, checks, seconds = results.get(program, (0, 0, 0))
        return f"{passed} of {checks}, {seconds} s" if checks else "MISSING"

    def table(self, first, rows, cell):
        head = [first] + [title for title, _ in IMPLEMENTATIONS.values()]
        out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for name, what in rows:
            out.append("| " + " | ".join([name] + [cell(i, what) for i in IMPLEMENTATIONS]) + " |")
        return "\n".join(out) + "\n"

    def group_table(self):
        notes = "\n".join(f"{i + 1}. {cause}" for i, cause in enumerate(self.causes))
        return self.table("tests of", self.groups.items(), self.group_cell) + "\n" + notes + "\n"

    def program_table(self):
        programs = [(p, p) for programs in self.groups.values() for p in programs]
        return self.table("program", programs, self.program_cell)

    def unknown(self):
        """Exceptions of implementations, groups or programs that there are not."""
        known = set(self.groups).union(*self.groups.values())
        return [f"{i} {what}" for i, what in [*self.exceptions, *self.unoptimised]
                if i not in IMPLEMENTATIONS or what not in known]

    def wrong(self):
        for name, results in self.results.items():
            for program in (p for programs in self.groups.values() for p in programs):
                if results is None or self.cause(name, program):
                    continue
                passed, checks, _ = results.get(program, (0, 0, 0))
                if checks == 0 or passed < checks:
                    yield f"{program} on {name}: {passed} of {checks} checks passed"


def main(logs, out, readme):
    matrix = Matrix(pathlib.Path(logs))
    table = matrix.group_table()
    pathlib.Path(out).write_text(table + "\n" + matrix.program_table(), encoding="utf-8")
    problems = [f"{name}: not in exactly one group of groups.txt" for name in misgrouped(matrix.groups)]
    problems.extend(f"{what}: of exceptions.txt or unoptimised.txt is unknown" for what in matrix.unknown())
    if table not in pathlib.Path(readme).read_text(encoding="utf-8"):
        problems.append(f"{readme} has not the table of groups in {out}")
    problems.extend(matrix.wrong())
    for problem in problems:
        print("FAILED", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
