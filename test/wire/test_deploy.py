# SPDX-License-Identifier: Apache-2.0
"""deploy/: the manifests have the fields that Kubernetes knows, fit together, and name paths, options and figures
that weir has; the Dockerfile names the packages of tools/packages.txt. `make image-check` runs its steps."""
import os
import re
import subprocess
import urllib.error
import urllib.request

import pytest
import yaml

from weirtest import ROOT, WEIR, free_port, wait_for
from test_package import VERSION, group_of_packages

KUBERNETES = ROOT / "deploy" / "kubernetes"
DOCUMENTS = [one for path in sorted(KUBERNETES.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text())]
LABELS = {"app.kubernetes.io/name": "weir"}
# Of each kind: its version, and the fields of its spec (of its own, where it has none) that must and may be there.
KINDS = {
    "Secret": ("v1", {"type", "stringData"}, set()),
    "ConfigMap": ("v1", {"data"}, set()),
    "Service": ("v1", {"selector", "ports"}, {"clusterIP"}),
    "Deployment": ("apps/v1", {"replicas", "selector", "template", "strategy"}, set()),
    "PodDisruptionBudget": ("policy/v1", {"selector", "maxUnavailable"}, set()),
    "HorizontalPodAutoscaler": ("autoscaling/v2", {"scaleTargetRef", "minReplicas", "maxReplicas", "metrics", "behavior"}, set()),
    "ServiceMonitor": ("monitoring.coreos.com/v1", {"selector", "endpoints"}, set()),
}
CONTAINER = {"name", "image", "args", "env", "ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "resources",
             "securityContext", "volumeMounts"}
POD = {"automountServiceAccountToken", "terminationGracePeriodSeconds", "securityContext", "topologySpreadConstraints",
       "containers", "volumes"}


def of_kind(kind, name="weir"):
    return next(one for one in DOCUMENTS if one["kind"] == kind and one["metadata"]["name"] == name)


TEMPLATE = of_kind("Deployment")["spec"]["template"]
WEIR_CONTAINER = TEMPLATE["spec"]["containers"][0]
PORTS = {port["name"]: port["containerPort"] for port in WEIR_CONTAINER["ports"]}


@pytest.mark.parametrize("one", DOCUMENTS, ids=lambda one: f"{one['kind']}-{one['metadata']['name']}")
def test_fields_of_a_manifest(one):
    version, must, may = KINDS[one["kind"]]
    fields = set(one["spec"]) if "spec" in one else set(one) - {"apiVersion", "kind", "metadata"}
    assert one["apiVersion"] == version and must <= fields <= must | may
    assert set(one["metadata"]) == {"name", "labels"} and LABELS.items() <= one["metadata"]["labels"].items()


def test_every_kind_is_there():
    assert {one["kind"] for one in DOCUMENTS} == set(KINDS)


def test_the_pod():
    assert set(TEMPLATE["spec"]) == POD and set(WEIR_CONTAINER) == CONTAINER
    assert WEIR_CONTAINER["image"] == f"weir:{VERSION}"
    context = TEMPLATE["spec"]["securityContext"]
    assert context["runAsNonRoot"] and context["runAsUser"] == 65532
    assert WEIR_CONTAINER["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                 "capabilities": {"drop": ["ALL"]}}
    names = {volume["name"]: volume for volume in TEMPLATE["spec"]["volumes"]}
    assert {mount["name"] for mount in WEIR_CONTAINER["volumeMounts"]} == set(names)
    assert of_kind("ConfigMap", names["config"]["configMap"]["name"]) and of_kind("Secret", names["admin"]["secret"]["secretName"])


def test_selectors_and_ports_lead_somewhere():
    labels = TEMPLATE["metadata"]["labels"]
    for one in (of_kind("Deployment"), of_kind("PodDisruptionBudget")):
        assert one["spec"]["selector"]["matchLabels"].items() <= labels.items()
    services = [one for one in DOCUMENTS if one["kind"] == "Service"]
    for service in services:
        assert service["spec"]["selector"].items() <= labels.items()
        assert all(port["targetPort"] in PORTS for port in service["spec"]["ports"])
    monitor = of_kind("ServiceMonitor")["spec"]
    watched = [one for one in services if monitor["selector"]["matchLabels"].items() <= one["metadata"]["labels"].items()]
    assert [one["metadata"]["name"] for one in watched] == ["weir-admin"]
    assert monitor["endpoints"][0]["port"] in [port["name"] for port in watched[0]["spec"]["ports"]]
    credentials = monitor["endpoints"][0]["authorization"]["credentials"]
    assert credentials["key"] in of_kind("Secret", credentials["name"])["stringData"]
    target = of_kind("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "weir"}


def test_a_pod_has_the_time_to_drain():
    config = yaml.safe_load(of_kind("ConfigMap")["data"]["weir.yaml"])
    drain = int(config["listeners"][0]["pool"]["drain_timeout"].removesuffix("s"))
    sleep = int(WEIR_CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    assert TEMPLATE["spec"]["terminationGracePeriodSeconds"] >= drain + sleep + 5


@pytest.fixture(scope="module")
def pod(tmp_path_factory):
    """weir with the ConfigMap's configuration and the Secret's token, at other ports."""
    folder = tmp_path_factory.mktemp("pod")
    token = of_kind("Secret", "weir-admin")["stringData"]["token"]
    (folder / "token").write_text(token)
    text = of_kind("ConfigMap")["data"]["weir.yaml"].replace("/run/secrets/weir/token", str(folder / "token"))
    ports = {PORTS[name]: free_port() for name in PORTS}
    for port, other in ports.items():
        assert f"0.0.0.0:{port}" in text
        text = text.replace(f"0.0.0.0:{port}", f"127.0.0.1:{other}")
    (folder / "weir.yaml").write_text(text)
    env = dict(os.environ, POD_NAME="weir-0")
    checked = subprocess.run([WEIR, "check", "-c", folder / "weir.yaml"], env=env, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([WEIR, *WEIR_CONTAINER["args"][:-1], folder / "weir.yaml"], env=env, stdout=log, stderr=log)
    ask = lambda path, **fields: answer_of(f"http://127.0.0.1:{ports[PORTS['admin']]}{path}", fields, process)
    try:
        wait_for(lambda: ask("/livez")[0] == 200, "the admin interface")
        yield ask, token
    finally:
        process.terminate()
        process.wait()


def answer_of(url, fields, process):
    request = urllib.request.Request(url, headers={"Host": "10.1.2.3:9901", **fields})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        assert process.poll() is None, "weir has ended"
        return 0, ""


def test_probes_need_no_token(pod):
    ask, _ = pod
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        http = WEIR_CONTAINER[probe]["httpGet"]
        assert http["port"] == "admin"
        wait_for(lambda: ask(http["path"])[0] == 200, http["path"])


def test_what_scales_and_watches_is_there(pod):
    ask, token = pod
    endpoint = of_kind("ServiceMonitor")["spec"]["endpoints"][0]
    assert ask(endpoint["path"])[0] == 401
    status, text = ask(endpoint["path"], Authorization=f"{endpoint['authorization']['type']} {token}")
    metric = of_kind("HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert status == 200 and re.search(rf'^{metric}{{pool="app"}} \d', text, re.M)


def test_the_dockerfile_names_the_packages():
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    installs = [set(words.split()) for words in re.findall(r"--no-install-recommends ([^&\n]+)", text)]
    assert installs[0] == group_of_packages("run")
    assert re.search(r"^USER 65532:65532$", text, re.M) and f"weir:{VERSION}" in text
    assert not re.search(r"^(ADD|RUN .*(curl|wget|git clone))", text, re.M), "whatever it fetches is Debian's"
    health = re.search(r'HEALTHCHECK .*CMD \["/usr/bin/weir", "(\w+)", "(\w+)"\]', text)
    said = subprocess.run([WEIR, health[1], "--help"], capture_output=True, text=True, check=True).stdout
    assert health[2] in said and "Exit status: 0 shown" in said


def test_the_configuration_of_the_image_is_valid():
    done = subprocess.run([WEIR, "check", "-c", ROOT / "deploy" / "weir.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
