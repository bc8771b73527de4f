#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What weir is made of, as SPDX 2.3 JSON: the program, the libraries that it is linked to with their packages and
versions on this machine, and the packages of tools/packages.txt that it is built with.

    tools/sbom.py PROGRAM [OUT]     without OUT to stdout

The same program and packages give the same bytes: the date is SOURCE_DATE_EPOCH, else that of debian/changelog.
"""
import datetime
import email.utils
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = "SPDXRef-DOCUMENT"
PROGRAM = "SPDXRef-Package-weir"


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ, LC_ALL="C")).stdout


def version():
    return re.search(r"project\(weir VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)


def date():
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        when = datetime.datetime.fromtimestamp(int(epoch), datetime.timezone.utc)
    else:
        line = re.search(r"^ -- .*>  (.*)$", (ROOT / "debian" / "changelog").read_text(), re.M).group(1)
        when = email.utils.parsedate_to_datetime(line).astimezone(datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def libraries_of(program):
    """Paths of the shared libraries that the program names itself, as this machine finds them."""
    needed = re.findall(r"NEEDED\s+(\S+)", output_of("objdump", "-p", program))
    found = dict(re.findall(r"^\s*(\S+) => (/\S+)", output_of("ldd", program), re.M))
    return [os.path.realpath(found[name]) for name in needed if name in found]


def packages_of_files(paths):
    """The files' Debian packages; /lib may be a link to /usr/lib, and dpkg knows one of the names."""
    names = [*paths, *(path.removeprefix("/usr") if path.startswith("/usr/lib") else "/usr" + path for path in paths)]
    return {line.split(":")[0] for line in output_of("dpkg-query", "-S", *names).splitlines()}


def built_with():
    text = (ROOT / "tools" / "packages.txt").read_text()
    group = re.search(r"^\[run\][^\n]*\n(.*?)(?=^\[|\Z)", text, re.M | re.S).group(1)
    return [line.split()[0] for line in group.splitlines() if line.strip()]


def installed(names):
    """Of each package that is there: its version, its source, its home."""
    shown = output_of("dpkg-query", "-W", "-f", "${Package}\t${Version}\t${source:Package}\t${Homepage}\n", *names)
    return {fields[0]: fields[1:] for fields in (line.split("\t") for line in shown.splitlines())}


def entry_of(name, known):
    version_there, source, home = known.get(name, ("", "", ""))
    entry = {"SPDXID": "SPDXRef-Package-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name,
             "versionInfo": version_there or "not installed", "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION",
             "filesAnalyzed": False, "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
             "copyrightText": "NOASSERTION"}
    if home:
        entry["homepage"] = home
    if version_there:
        entry["externalRefs"] = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                  "referenceLocator": f"pkg:deb/debian/{name}@{version_there.replace('+', '%2B')}?distro=bookworm"}]
        entry["comment"] = f"of the source package {source}"
    return entry


def document(program):
    digest = hashlib.sha256(pathlib.Path(program).read_bytes()).hexdigest()
    linked = sorted(packages_of_files(libraries_of(program)))
    tools = [name for name in built_with() if name not in linked]
    own = {"SPDXID": PROGRAM, "name": "weir", "versionInfo": version(), "supplier": "Organization: weir developers",
           "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "Apache-2.0",
           "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION", "primaryPackagePurpose": "APPLICATION",
           "checksums": [{"algorithm": "SHA256", "checksumValue": digest}]}
    known = installed(linked + tools)
    entries = [entry_of(name, known) for name in linked + tools]
    identity = {entry["name"]: entry["SPDXID"] for entry in entries}
    relations = [{"spdxElementId": DOCUMENT, "relationshipType": "DESCRIBES", "relatedSpdxElement": PROGRAM}]
    relations += [{"spdxElementId": PROGRAM, "relationshipType": "DYNAMIC_LINK", "relatedSpdxElement": identity[name]}
                  for name in linked]
    relations += [{"spdxElementId": identity[name], "relationshipType": "BUILD_TOOL_OF", "relatedSpdxElement": PROGRAM}
                  for name in tools]
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": DOCUMENT, "name": f"weir-{version()}",
            "documentNamespace": f"https://weir.invalid/spdx/weir-{version()}-{digest[:16]}",
            "creationInfo": {"created": date(), "creators": ["Tool: tools/sbom.py"]},
            "packages": [own, *entries], "relationships": relations}


def main():
    text = json.dumps(document(sys.argv[1]), indent=2) + "\n"
    if len(sys.argv) > 2:
        pathlib.Path(sys.argv[2]).write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
