"""Hashes every regular file under a directory, as jobs; prints what `sha256sum -c` reads there. An ordinary dispy program."""

import argparse
import os
import stat
import sys
import sysconfig

import dispytw as dispy

BATCH_BYTES, BATCH_FILES = 16 << 20, 500  # small files share a job, up to this


def digests(top, names):
    """The job: (name, SHA-256, None) for each file, or (name, None, what was wrong). Holds 1 MiB, however big the file."""
    import hashlib

    found = []
    for name in names:
        digest = hashlib.sha256()
        try:
            with open(os.open(top + name, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
            found.append((name, digest.hexdigest(), None))
        except OSError as error:
            found.append((name, None, f"{name!r}: {error}"))
    return found


def batches(top, skipped, failed):
    """Lists of names (bytes, relative to top) of regular files, each enough work for one job. No symlink is followed."""
    names, size = [], 0
    for directory, directories, files in os.walk(top, onerror=failed):
        directories[:] = [name for name in directories if name not in skipped]
        for path in (os.path.join(directory, name) for name in files):
            try:
                status = os.lstat(path)
            except OSError as error:
                failed(error)
                continue
            if stat.S_ISREG(status.st_mode):
                if names and (size + status.st_size > BATCH_BYTES or len(names) == BATCH_FILES):
                    yield names
                    names, size = [], 0
                names.append(path[len(top) :])
                size += status.st_size
    if names:
        yield names


def line(name, digest):
    """One line of the manifest; sha256sum marks a name in which something is escaped by a leading backslash."""
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    return (b"\\" if escaped != name else b"") + digest.encode() + b"  " + escaped + b"\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("DIR", nargs="?", help="by default the Python standard library, without site-packages")
    given = parser.parse_args().DIR
    top = os.fsencode(os.path.join(os.path.abspath(given or sysconfig.get_path("stdlib")), ""))
    found, errors = {}, []
    with dispy.JobCluster(digests, reentrant=True) as cluster:
        skipped = [] if given else [b"site-packages"]
        jobs = [cluster.submit(top, names) for names in batches(top, skipped, errors.append)]
        for count, job in enumerate(jobs, start=1):
            for name, digest, error in job() or ():
                found[name] = digest
                errors += [error] if error else []
            errors += [f"a job failed: {job.exception}"] if job.status != dispy.DispyJob.Finished else []
            print(f"{count} of {len(jobs)} jobs done, {len(found)} files", file=sys.stderr)
    sys.stdout.buffer.writelines(line(name, found[name]) for name in sorted(found) if found[name])
    sys.stderr.writelines(f"checksums: {error}\n" for error in errors)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
