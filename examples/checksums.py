"""Hashes every regular file under a directory, as jobs; prints what `sha256sum -c` reads there. An ordinary dispy program."""

import hashlib
import os
import stat
import sys
import sysconfig

import dispytw as dispy

FEWEST_JOBS, MOST_FILES = 64, 500  # so many jobs if there are as many files, and more where a job would get more files than that


def hashed(top, names):
    """The job: by name, its line of the manifest; and what went wrong. Holds 1 MiB, however big the file."""
    lines, errors = {}, []
    for name in names:
        try:
            if stat.S_ISREG(os.lstat(top + name).st_mode):
                with open(os.open(top + name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                    lines[name] = line(name, file)
        except OSError as error:
            errors.append(f"{name!r}: {error}")
    return lines, errors


def line(name, file):
    """As sha256sum writes it, which marks a name in which something is escaped by a leading backslash."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"\\" if escaped != name else b"") + digest.hexdigest().encode() + b"  " + escaped + b"\n"


def below(top, skipped, failed):
    """Names (bytes, relative to top) of everything that is no directory. No symlink is followed."""
    for directory, directories, files in os.walk(top, onerror=failed):
        directories[:] = [name for name in directories if name not in skipped]
        yield from (os.path.join(directory, name)[len(top) :] for name in files)


if __name__ == "__main__":
    given = sys.argv[1] if sys.argv[1:] else sysconfig.get_path("stdlib")
    top = os.fsencode(os.path.join(os.path.abspath(given), ""))
    manifest, errors = {}, []
    names = list(below(top, [] if sys.argv[1:] else [b"site-packages"], errors.append))
    count = max(min(len(names), FEWEST_JOBS), -(-len(names) // MOST_FILES))
    with dispy.JobCluster(hashed, reentrant=True) as cluster:
        jobs = [cluster.submit(top, names[n::count]) for n in range(count)]
        for done, job in enumerate(jobs, start=1):
            lines, wrong = job() or ({}, [f"a job failed: {job.exception}"])
            manifest.update(lines)
            errors += wrong
            print(f"{done} of {count} jobs done, {len(manifest)} files", file=sys.stderr)
    sys.stdout.buffer.writelines(manifest[name] for name in sorted(manifest))
    sys.stderr.writelines(f"checksums: {error}\n" for error in errors)
    sys.exit(1 if errors else 0)
