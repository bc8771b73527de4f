# SPDX-License-Identifier: Apache-2.0
"""Certificates for the tests, made by openssl: an authority, and what it signs."""
import datetime
import pathlib
import subprocess
import tempfile


def openssl(*arguments, given=None):
    done = subprocess.run(["openssl", *map(str, arguments)], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Authority:
    """Signs; keeps everything in a directory that goes with it."""

    def __init__(self, name="weir test authority"):
        self.directory = tempfile.TemporaryDirectory(prefix="weir-certs-")
        self.home = pathlib.Path(self.directory.name)
        self.home.chmod(0o755)
        self.count = 0
        self.certificate, self.key = self.home / "ca.pem", self.home / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
                "-out", self.certificate, "-days", 30, "-subj", f"/CN={name}")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.directory.cleanup()

    def sign(self, *names, days=(-1, 90), bits=0, self_signed=False):
        """(certificate, key) of these names; days: from and to, counted from today; bits: RSA."""
        self.count += 1
        base = self.home / f"{self.count}"
        key, request, certificate = base.with_suffix(".key"), base.with_suffix(".csr"), base.with_suffix(".pem")
        kind = ["rsa:%d" % bits] if bits else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("req", "-newkey", *kind, "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={names[0]}")
        extensions = base.with_suffix(".ext")
        extensions.write_text("subjectAltName=" + ",".join(
            f"{'IP' if name.replace('.', '').isdigit() else 'DNS'}:{name}" for name in names) + "\n")
        now = datetime.datetime.now(datetime.timezone.utc)
        start, end = ((now + datetime.timedelta(days=d)).strftime("%Y%m%d%H%M%SZ") for d in days)
        # `openssl x509` of Debian 12 takes days alone; `openssl ca` takes dates.
        database = base.with_suffix(".db")
        database.write_text("")
        config = base.with_suffix(".cnf")
        config.write_text(f"""
            [ca]\ndefault_ca = it\n[it]\ndatabase = {database}\nnew_certs_dir = {self.home}\nrand_serial = yes
            default_md = sha256\npolicy = any\nunique_subject = no\nemail_in_dn = no
            [any]\ncommonName = supplied\n""")
        signer = ["-selfsign", "-keyfile", key] if self_signed else ["-cert", self.certificate, "-keyfile", self.key]
        openssl("ca", "-batch", "-notext", "-config", config, *signer, "-in", request, "-out", certificate,
                "-startdate", start, "-enddate", end, "-extfile", extensions)
        return str(certificate), str(key)
