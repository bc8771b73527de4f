# SPDX-License-Identifier: Apache-2.0
"""The packages' papers agree with the program and with each other. What the packages do on a clean Debian 12
is `make deb-check`'s, which takes minutes."""
import json
import re
import subprocess
import sys

import pytest

from weirtest import ROOT, WEIR

sys.path.insert(0, str(ROOT / "tools"))
import supervise  # noqa: E402

DEBIAN = ROOT / "debian"
CMAKE = (ROOT / "CMakeLists.txt").read_text()
LIBRARY = (ROOT / "cmake" / "library.cmake").read_text()
VERSION = re.search(r"project\(weir VERSION (\S+)", CMAKE).group(1)


def paragraphs(path):
    """Of a file of Debian's fields, one dictionary for each paragraph."""
    for text in re.split(r"\n\n+", path.read_text().strip()):
        fields = re.findall(r"^([\w-]+):((?:.*\n?(?:[ \t].*\n?)*))", text, re.M)
        yield {name: " ".join(value.split()) for name, value in fields}


def names_of(field):
    return {re.sub(r"\s*\(.*\)", "", part).strip() for part in field.split(",")}


SOURCE, *PACKAGES = paragraphs(DEBIAN / "control")
BY_NAME = {package["Package"]: package for package in PACKAGES}


def group_of_packages(group):
    text = re.search(rf"^\[{group}\][^\n]*\n(.*?)(?=^\[|\Z)", (ROOT / "tools" / "packages.txt").read_text(), re.M | re.S).group(1)
    return {line.split()[0] for line in text.splitlines() if line.strip()}


def test_the_version_is_one():
    changes = (DEBIAN / "changelog").read_text()
    assert re.match(r"weir \((\S+)\) ", changes).group(1) == VERSION
    assert f"weir {VERSION}" in subprocess.run([WEIR, "version"], capture_output=True, text=True, check=True).stdout


def test_it_is_built_with_what_the_build_needs():
    needed = group_of_packages("run") - {"gcc", "libc6-dev"}  # build-essential has those
    assert names_of(SOURCE["Build-Depends"]) - {"debhelper-compat", "dh-sequence-installsysusers"} == needed


def test_the_packages_and_their_fields():
    assert set(BY_NAME) == {"weir", "libweir1", "libweir-dev", "weir-doc"}
    for name, package in BY_NAME.items():
        assert "${misc:Depends}" in names_of(package["Depends"]), name
        assert len(package["Description"]) > 80, name
    assert BY_NAME["weir-doc"]["Architecture"] == "all"
    assert "libweir1 (= ${binary:Version})" in BY_NAME["libweir-dev"]["Depends"]


def test_the_name_of_the_library_is_that_of_its_package():
    number = re.search(r"set\(WEIR_INTERFACE (\d+)\)", LIBRARY).group(1)
    assert f"libweir{number}" in BY_NAME
    assert f"soname='libweir.so.{number}'" in (ROOT / "abi" / "weir.abi").read_text().splitlines()[0]


def test_a_static_program_finds_the_libraries_it_needs():
    dev = {"libuv": "libuv1-dev", "libcares": "libc-ares-dev", "openssl": "libssl-dev", "libxxhash": "libxxhash-dev",
           "libnghttp2": "libnghttp2-dev", "zlib": "zlib1g-dev"}
    private = re.search(r'set\(weir_requires_private "([^"]*)"', LIBRARY).group(1).split()
    assert {dev[name] for name in private} <= names_of(BY_NAME["libweir-dev"]["Depends"])


def test_whatever_is_installed_is_in_a_package():
    """dh_missing says so of the files, when packages are built; here it is their folders."""
    where = {"BINDIR": "usr/bin", "LIBDIR": "usr/lib/*", "INCLUDEDIR": "usr/include", "MANDIR": "usr/share/man", "DATADIR": "usr/share",
             "DOCDIR": "usr/share/doc/weir-doc"}
    packed = " ".join(path.read_text() for path in [*DEBIAN.glob("*.install"), *DEBIAN.glob("*.manpages")])
    found = re.findall(r"DESTINATION \$\{(?:CMAKE_INSTALL_)?(\w+)\}(/\S+?)?\)", LIBRARY)
    assert len(found) >= 9
    for folder, rest in found:
        if folder == "weir_cmake_dir":
            folder, rest = "LIBDIR", "/cmake/weir"
        assert where[folder] + rest in packed, f"{folder}{rest} is in no package"
    for path in packed.split():  # what is not made by the build is in the tree
        assert path.startswith(("usr/", "debian/tmp/usr/", "etc/")) or (ROOT / path).exists(), path


def test_the_unit_promises_nothing_that_the_program_does_not_do():
    text = (DEBIAN / "weir.service").read_text()
    unit = supervise.settings_of(text)
    words = unit["ExecStart"].split()
    help_text = subprocess.run([WEIR, words[1], "--help"], capture_output=True, text=True, check=True).stdout
    assert words == ["/usr/bin/weir", "serve", "-c", "/etc/weir/weir.yaml"] and "-c FILE" in help_text
    assert "SIGTERM  drain" in help_text
    for setting, needed in (("ExecReload=", "SIGHUP"), ("WatchdogSec=", "watchdog"), ("Type=notify", "notif")):
        assert setting not in text or needed in help_text, setting
    drain = re.search(r'"listeners.pool.drain_timeout", TIME, [^"]*"(\d+)s"', (ROOT / "src/gateway/option.def").read_text())
    assert int(unit["TimeoutStopSec"]) > int(drain.group(1))
    assert unit["User"] == unit["Group"] == "weir" and unit["NoNewPrivileges"] == "yes" and unit["ProtectSystem"] == "strict"
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"] == "CAP_NET_BIND_SERVICE"


def test_a_setting_that_is_not_known_is_refused():
    with pytest.raises(SystemExit, match="Exec1Start"):
        supervise.settings_of("[Service]\nType=exec\nRestart=on-failure\nExec1Start=/bin/true\n")


def test_folders_are_the_same_with_and_without_the_unit():
    unit = supervise.settings_of((DEBIAN / "weir.service").read_text())
    made = dict(re.findall(r"^d (\S+) (\d+) weir weir$", (DEBIAN / "weir.tmpfiles").read_text(), re.M))
    assert made == {f"/{under}/{unit[name]}": unit[f"{name}Mode"] for name, under in supervise.FOLDERS.items()}
    assert re.search(r"^u weir - \"[^\"]+\" /var/lib/weir$", (DEBIAN / "weir.sysusers").read_text(), re.M)


def test_logs_are_rotated_by_a_signal_that_is_obeyed():
    text = (DEBIAN / "weir.logrotate").read_text()
    help_text = subprocess.run([WEIR, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    assert "--signal=USR1" in text and "SIGUSR1  reopen" in help_text
    assert re.search(r"^log: .*access: /var/log/weir/\S+\.log ", (DEBIAN / "weir.yaml").read_text(), re.M)


def test_the_configuration_that_is_installed_is_valid():
    done = subprocess.run([WEIR, "check", "-c", DEBIAN / "weir.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_make_deb_needs_is_named():
    assert {"debhelper", "lintian", "dpkg-dev", "debootstrap", "systemd"} <= group_of_packages("package")


def test_the_bill_of_materials_names_what_is_linked(tmp_path):
    """tools/sbom.py: the fields that SPDX 2.3 wants, every library of the program, every package of the build."""
    for name in ("one.json", "two.json"):
        subprocess.run([sys.executable, "-B", ROOT / "tools" / "sbom.py", WEIR, tmp_path / name], check=True)
    text = (tmp_path / "one.json").read_text()
    assert text == (tmp_path / "two.json").read_text()
    found = json.loads(text)
    assert found["spdxVersion"] == "SPDX-2.3" and found["dataLicense"] == "CC0-1.0" and found["SPDXID"] == "SPDXRef-DOCUMENT"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["creationInfo"]["created"]) and found["documentNamespace"]
    ids = {package["SPDXID"]: package["name"] for package in found["packages"]}
    assert len(ids) == len(found["packages"])
    for package in found["packages"]:
        assert package["name"] and package["versionInfo"] and package["downloadLocation"]
        assert re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", package["SPDXID"])
    of_type = lambda kind, end: {ids[one[end]] for one in found["relationships"] if one["relationshipType"] == kind}
    assert of_type("DESCRIBES", "relatedSpdxElement") == {"weir"}
    linked = of_type("DYNAMIC_LINK", "relatedSpdxElement")
    assert {"libc6", "libssl3", "libuv1", "libnghttp2-14", "libc-ares2", "libyaml-0-2", "libxxhash0", "zlib1g"} <= linked
    assert of_type("BUILD_TOOL_OF", "spdxElementId") | linked >= group_of_packages("run")
