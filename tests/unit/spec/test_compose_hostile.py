"""Hostile compose files: every one is refused before the engine hears of it, with a code and the exact place.

`¶` in a fixture is not part of the file: it stands right before the place that the finding must point at.
A service fixture is tried directly and through every way by which one part of a file can come from another.
"""

from __future__ import annotations

import re

import pytest

from flowbuild.core.model import Position
from flowbuild.spec import compose, yamlpos
from flowbuild.spec.findings import Finding, Severity

# (code without its prefix, lines of a service); "s: x" stands for a service with an image
SERVICE = [
    ("refused", "¶privileged: true"),
    ("refused", "¶privileged: 'true'"),
    ("refused", '¶privileged: "${P:-true}"'),
    ("refused", "¶privileged: 1"),
    ("refused", "¶cap_add: [SYS_ADMIN]"),
    ("refused", "¶cap_add:\n- ALL"),
    ("refused", "security_opt: [¶seccomp:unconfined]"),
    ("refused", "security_opt:\n- no-new-privileges:true\n- ¶apparmor=unconfined"),
    ("refused", "security_opt: [¶'no-new-privileges:false']"),
    ("refused", "security_opt: [¶'label:disable']"),
    ("refused", "¶devices: ['/dev/kmsg:/dev/kmsg']"),
    ("refused", "¶devices: [{source: /dev/sda, target: /dev/sda, permissions: rwm}]"),
    ("refused", "¶device_cgroup_rules: ['a *:* rwm']"),
    ("refused", "¶pid: host"),
    ("refused", "¶pid: 'container:abc'"),
    ("refused", "¶pid: service:x"),
    ("refused", "¶ipc: host"),
    ("refused", "¶ipc: shareable"),
    ("refused", "¶ipc: 'container:abc'"),
    ("refused", "¶uts: host"),
    ("refused", "¶userns_mode: host"),
    ("refused", "¶cgroup: host"),
    ("refused", "¶cgroup_parent: /"),
    ("refused", "network_mode: ¶host"),
    ("refused", "network_mode: ¶'container:other'"),
    ("refused", "network_mode: ¶bridge"),
    ("interpolation", "network_mode: ¶${MODE:-host}"),
    ("refused", "volumes: [¶/var/run/docker.sock:/var/run/docker.sock]"),
    ("refused", "volumes: [¶'/var/run/docker.sock:/var/run/docker.sock:ro']"),
    ("refused", "volumes: [¶{type: bind, source: /run/docker.sock, target: /s}]"),
    ("refused", "volumes: [¶./../../run/containerd.sock:/s]"),
    ("path", "volumes: [¶/:/host]"),
    ("path", "volumes: [¶'/etc:/etc:ro']"),
    ("path", "volumes: [¶~/.ssh:/ssh]"),
    ("path", "volumes: [¶'../../../etc:/etc']"),
    ("path", "volumes: [¶./a/../../b/../../etc:/etc]"),
    ("path", "volumes: [¶'..\\..\\etc:/etc']"),
    ("path", "volumes: [¶src/../../etc:/etc]"),
    ("path", "volumes: [¶{type: bind, source: /, target: /host}]"),
    ("path", "volumes: [¶{type: bind, source: ../../.., target: /host}]"),
    ("path", "volumes: [¶{type: bind, source: 'C:\\', target: /host}]"),
    ("interpolation", "volumes: [¶'${D:-/}:/host']"),
    ("interpolation", "volumes: [¶$D]"),
    ("interpolation", "volumes: [{type: bind, source: ¶'${D}', target: /host}]"),
    ("interpolation", "volumes: [¶'${{ variables.D }}:/host']"),
    ("refused", "volumes: [¶'./x:/x:rshared']"),
    ("refused", "volumes: [¶'./x:/x:ro,shared']"),
    ("refused", "volumes: [{type: bind, source: ./x, target: /x, bind: {¶propagation: rshared}}]"),
    ("refused", "volumes: [{type: bind, source: ./x, target: /x, bind: {¶recursive: enabled}}]"),
    ("refused", "volumes: [{type: volume, source: v, target: /x, volume: {¶subpath: ../..}}]"),
    ("value", "volumes: [{type: ¶npipe, source: ./x, target: /x}]"),
    ("value", "volumes: [{type: ¶image, source: x, target: /x}]"),
    ("value", "volumes: [{type: ¶cluster, source: x, target: /x}]"),
    ("value", "volumes: [¶{type: volume, source: /etc, target: /x}]"),
    ("value", "volumes: [¶'./x:/x:ro:z']"),
    ("value", "volumes: [¶':/x']"),
    ("path", "volumes: [¶'./x:relative']"),
    ("path", "volumes: [¶'./x:/a/../..']"),
    ("path", "volumes: [¶'./x:/']"),
    ("refused", "volumes: [¶'./x:/proc']"),
    ("refused", "volumes: [¶'./x:/sys/fs/cgroup']"),
    ("refused", "volumes: [¶'./x:/dev']"),
    ("refused", "volumes: [¶'./x:/variables']"),
    ("refused", "volumes: [¶'./x:/variables/PATH']"),
    ("refused", "volumes: [¶'./x:/workspace']"),
    ("refused", "volumes: [¶'./x://workspace/.']"),
    ("refused", "tmpfs: ¶/workspace"),
    ("refused", "tmpfs: [¶'/proc/sys']"),
    ("refused", "tmpfs: [¶'/x:rw,dev=/y']"),
    ("reference", "volumes: [¶nobody:/x]"),
    ("refused", "¶volumes_from: ['container:other']"),
    ("refused", "¶volumes_from: [x]"),
    ("refused", "¶use_api_socket: true"),
    ("refused", "¶provider: {type: /bin/sh, options: {c: id}}"),
    ("refused", "¶provider:\n  type: ./tool"),
    ("refused", "¶post_start: [{command: id, privileged: true}]"),
    ("refused", "¶pre_stop: [{command: id, user: root}]"),
    ("refused", "¶pre_start: [{command: id}]"),
    ("refused", "¶models: [m]"),
    ("refused", "¶runtime: sysbox-runc"),
    ("refused", "¶isolation: process"),
    ("refused", "¶credential_spec: {file: x.json}"),
    ("refused", "¶sysctls: {kernel.core_pattern: '|/x'}"),
    ("refused", "¶sysctls: [net.ipv4.ip_forward=1]"),
    ("refused", "¶oom_kill_disable: true"),
    ("refused", "¶oom_score_adj: -1000"),
    ("refused", "¶storage_opt: {size: 1T}"),
    ("refused", "¶blkio_config: {weight: 10}"),
    ("refused", "¶cpu_rt_runtime: 950000"),
    ("refused", "¶cpu_rt_period: 1000000"),
    ("refused", "logging: {driver: ¶syslog, options: {syslog-address: 'tcp://h:1'}}"),
    ("refused", "logging:\n  driver: ¶fluentd"),
    ("refused", "labels: ¶{com.docker.compose.project: other}"),
    ("refused", "labels: ¶[com.docker.compose.service=x]"),
    ("refused", "labels: ¶{flow.run: other}"),
    ("refused", "labels: ¶{FLOW.attempt: '1'}"),
    ("refused", "¶label_file: x"),
    ("refused", "¶annotations: {run.oci.hooks.stdout: /x}"),
    ("refused", "¶container_name: flow-server"),
    ("refused", "¶mac_address: 02:42:ac:11:65:43"),
    ("refused", "¶external_links: [other]"),
    ("refused", "networks: {default: {¶ipv4_address: 172.16.0.1}}"),
    ("refused", "networks: {default: {¶driver_opts: {com.docker.network.endpoint.exposed: 'x'}}}"),
    ("reference", "networks: [¶bridge]"),
    ("reference", "networks: {host: ¶{}}"),
    ("value", "image: ¶sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    ("value", "image: ¶4e5021d210f6"),
    ("value", "image: ¶flow-built/run-1:web"),
    ("value", "image: ¶'-v/etc:/x'"),
    ("value", "image: ¶'a b'"),
    ("value", "image: ¶http://host/name"),
    ("value", "image: ¶a//b"),
    ("value", "image: ¶a/B"),
    ("value", "image: ¶a:b:c"),
    ("value", "image: ¶'a:-b'"),
    ("value", "image: ¶'a@sha256:123'"),
    ("value", "image: ¶'localhost:123456/a'"),
    ("value", "image: ¶../a"),
    ("value", "image: ¶a/../b"),
    ("value", "image: ¶'${I:-flow-built/run-1:web}'"),
    ("path", "build: ¶/"),
    ("path", "build: ¶../../.."),
    ("path", "build: ¶https://example.org/x.git"),
    ("path", "build: ¶git@example.org:x.git"),
    ("path", "build: {context: ¶'git://example.org/x'}"),
    ("path", "build: {context: ¶/root}"),
    ("interpolation", "build: ¶${CTX:-/}"),
    ("interpolation", "build: {context: ., dockerfile: ¶'${F}'}"),
    ("path", "build: {context: ., dockerfile: ¶/etc/passwd}"),
    ("path", "build: {context: ., dockerfile: ¶../Dockerfile}"),
    ("path", "build: {context: ., additional_contexts: ¶{host: /}}"),
    ("path", "build: {context: ., additional_contexts: ¶['x=docker-image://alpine']}"),
    ("path", "build: {context: ., additional_contexts: ¶{x: 'oci-layout://x'}}"),
    ("refused", "build: {context: ., ¶privileged: true}"),
    ("refused", "build: {context: ., ¶entitlements: [security.insecure]}"),
    ("refused", "build: {context: ., ¶ssh: [default]}"),
    ("refused", "build: {context: ., ¶secrets: [s]}"),
    ("refused", "build: {context: ., ¶tags: ['python:3.12']}"),
    ("refused", "build: {context: ., ¶cache_to: ['type=local,dest=/x']}"),
    ("value", "build: {context: ., network: ¶host}"),
    ("value", "build: {context: ., network: ¶'container:x'}"),
    ("refused", "build: {context: ., ¶isolation: hyperv}"),
    ("refused", "build: {context: ., ¶extra_hosts: ['x=1.2.3.4']}"),
    ("refused", "build: {context: ., ¶ulimits: {nofile: 1}}"),
    ("refused", 'build: {context: ., dockerfile_inline: ¶"# syntax=evil/frontend\\nFROM x"}'),
    ("refused", 'build: {context: ., dockerfile_inline: ¶" #SYNTAX = evil/x:1\\nFROM x"}'),
    ("refused", 'build: {context: ., dockerfile_inline: ¶"// syntax=evil/x\\nFROM x"}'),
    ("refused", 'build: {context: ., dockerfile_inline: ¶\'{"syntax": "evil/x"}\'}'),
    ("refused", "build: {context: ., args: ¶{BUILDKIT_SYNTAX: evil/x}}"),
    ("value", "build: ¶{context: ., dockerfile: D, dockerfile_inline: FROM x}"),
    ("refused", "build: {context: ., labels: ¶{flow.run: x}}"),
    ("path", "env_file: ¶/etc/environment"),
    ("path", "env_file: [¶../../../.env]"),
    ("path", "env_file: [{path: ¶/proc/self/environ}]"),
    ("interpolation", "env_file: ¶${HOME}/.env"),
    ("file", "env_file: ¶./no-such.env"),
    ("refused", "env_file: [{path: x.env, ¶format: raw}]"),
    ("path", "extends: {service: x, file: ¶/etc/compose.yml}"),
    ("path", "extends: {service: x, file: ¶'https://example.org/c.yml'}"),
    ("path", "extends: {service: x, file: ¶'oci://example.org/c'}"),
    ("path", "extends: {service: x, file: ¶../../../c.yml}"),
    ("interpolation", "extends: {service: x, file: ¶'${F}'}"),
    ("file", "extends: ¶{service: x, file: none.yml}"),
    ("extends", "extends: ¶nobody"),
    ("extends", "extends: ¶{}"),
    ("expression", "command: ¶echo ${{ inputs.x }}"),
    ("expression", "command: [sh, -c, ¶'${{ branch }}']"),
    ("expression", "entrypoint: ¶'${{ inputs.x }}'"),
    ("expression", "healthcheck: {test: ¶'curl ${{ inputs.x }}'}"),
    ("expression", "healthcheck: {test: [CMD-SHELL, ¶'${{ inputs.x }}']}"),
    ("interpolation", "command: ¶echo ${"),
    ("interpolation", "command: ¶echo $(id)"),
    ("interpolation", "environment: {A: ¶'${B!x}'}"),
    ("interpolation", "environment: [¶'A=$']"),
    ("interpolation", "environment: {A: ¶'${A:-${B:-${'}"),
    ("value", 'command: ¶"echo \'open"'),
    ("name", "environment: [¶=x]"),
    ("name", 'environment: {¶"A=B": x}'),
    ("name", 'environment: {¶"A\\nB": x}'),
    ("value", "restart: ¶sometimes"),
    ("value", "pids_limit: ¶-1"),
    ("value", "pids_limit: ¶1000000"),
    ("value", "scale: ¶1000"),
    ("value", "deploy: {replicas: ¶50}"),
    ("value", "deploy: {mode: ¶global}"),
    ("value", "deploy: {resources: {limits: {pids: ¶-1}}}"),
    ("refused", "deploy: {resources: {reservations: {devices: [{capabilities: ¶[tpu]}]}}}"),
    ("value", "mem_limit: ¶lots"),
    ("value", "mem_limit: ¶'${M:-lots}'"),
    ("value", "cpus: ¶.inf"),
    ("value", "cpus: ¶-1"),
    ("value", "stop_grace_period: ¶10 years"),
    ("value", "stop_grace_period: ¶10000h"),
    ("value", "healthcheck: {interval: ¶1e9s}"),
    ("value", "healthcheck: {test: ¶[rm, -rf]}"),
    ("value", "ports: [¶'80:80:80:80']"),
    ("value", "ports: [¶99999]"),
    ("value", "ports: [¶'1-65535:1-65535']"),
    ("value", "ports: [{target: ¶0}]"),
    ("value", "ports: [¶'80-82:80-81']"),
    ("unknown_key", "ulimits: {¶nofil: 1}"),
    ("value", "hostname: ¶'a b'"),
    ("value", "hostname: ¶'-x'"),
    ("unknown_key", "¶priviliged: true"),
    ("unknown_key", "¶Privileged: true"),
    ("unknown_key", "¶'privileged ': true"),
    ("unknown_key", "¶_env_file: {A: b}"),
    ("unknown_key", "healthcheck: {¶tests: x}"),
    ("unknown_key", "depends_on: {x: {¶cond: service_started}}"),
    ("value", "depends_on: {x: {condition: ¶service_exploded}}"),
    ("reference", "depends_on: [¶nobody]"),
    ("reference", "links: [¶nobody:db]"),
    ("reference", "network_mode: ¶service:nobody"),
    ("reference", "configs: [¶nobody]"),
    ("reference", "secrets: [¶{source: nobody}]"),
    ("refused", "configs: [¶{source: c, target: /proc/self/mem}]"),
    ("path", "secrets: [¶{source: t, target: ../../etc/passwd}]"),
    ("type", "command: ¶{a: b}"),
    ("type", "environment: ¶text"),
    ("type", "volumes: ¶text"),
    ("type", "ports: ¶80"),
    ("type", "depends_on: ¶x"),
    ("type", "build: {args: ¶3}"),
]
# (code, whole file)
FILES = [
    ("refused", "services: {s: {image: i}}\nvolumes:\n  v:\n    ¶driver_opts: {type: none, o: bind, device: /}\n"),
    ("refused", "services: {s: {image: i}}\nvolumes: {v: {¶driver_opts: {type: nfs, o: addr=h, device: ':/'}}}\n"),
    ("value", "services: {s: {image: i}}\nvolumes: {v: {driver: ¶rexray}}\n"),
    ("refused", "services: {s: {image: i}}\nvolumes: {v: {¶external: true}}\n"),
    ("refused", "services: {s: {image: i}}\nvolumes: {v: {¶external: {name: other}}}\n"),
    ("refused", "services: {s: {image: i}}\nvolumes: {v: {¶name: other_data}}\n"),
    ("name", "services: {s: {image: i}}\nvolumes: {¶../x: {}}\n"),
    ("name", "services: {s: {image: i}}\nvolumes: {¶flow.x: {}}\n"),
    ("refused", "services: {s: {image: i}}\nnetworks: {n: {¶external: true}}\n"),
    ("refused", "services: {s: {image: i}}\nnetworks: {n: {¶name: bridge}}\n"),
    ("refused", "services: {s: {image: i}}\nnetworks: {default: {¶name: host}}\n"),
    ("value", "services: {s: {image: i}}\nnetworks: {n: {driver: ¶macvlan}}\n"),
    ("value", "services: {s: {image: i}}\nnetworks: {n: {driver: ¶ipvlan}}\n"),
    ("value", "services: {s: {image: i}}\nnetworks: {n: {driver: ¶host}}\n"),
    ("value", "services: {s: {image: i}}\nnetworks: {n: {driver: ¶'${D:-overlay}'}}\n"),
    ("refused", "services: {s: {image: i}}\nnetworks: {n: {¶driver_opts: {parent: eth0}}}\n"),
    ("refused", "services: {s: {image: i}}\nnetworks: {n: {¶ipam: {config: [{subnet: 10.0.0.0/8}]}}}\n"),
    ("name", "services: {s: {image: i}}\nnetworks: {¶flow.run: {}}\n"),
    ("path", "services: {s: {image: i}}\nsecrets: {t: {file: ¶/etc/shadow}}\n"),
    ("path", "services: {s: {image: i}}\nsecrets: {t: {file: ¶../../key}}\n"),
    ("interpolation", "services: {s: {image: i}}\nsecrets: {t: {file: ¶'${HOME}/.netrc'}}\n"),
    ("refused", "services: {s: {image: i}}\nsecrets: {t: {¶environment: RUNNER_TOKEN}}\n"),
    ("refused", "services: {s: {image: i}}\nsecrets: {t: {¶external: true}}\n"),
    ("unknown_key", "services: {s: {image: i}}\nsecrets: {t: {¶content: x}}\n"),
    ("path", "services: {s: {image: i}}\nconfigs: {c: {file: ¶/etc/shadow}}\n"),
    ("refused", "services: {s: {image: i}}\nconfigs: {c: {¶environment: RUNNER_TOKEN}}\n"),
    ("refused", "services: {s: {image: i}}\nconfigs: {c: {¶template_driver: golang, file: ./x}}\n"),
    ("value", "services: {s: {image: i}}\nconfigs: {¶c: {}}\n"),
    ("value", "services: {s: {image: i}}\nconfigs: {¶c: {file: ./x, content: y}}\n"),
    ("path", "include: [¶oci://example.org/x]\nservices: {s: {image: i}}\n"),
    ("path", "include: [¶'https://example.org/c.yml']\nservices: {s: {image: i}}\n"),
    ("path", "include: [¶'git@example.org:x.git']\nservices: {s: {image: i}}\n"),
    ("path", "include: [{path: ¶/etc/compose.yml}]\nservices: {s: {image: i}}\n"),
    ("path", "include: [{path: [¶../../../c.yml]}]\nservices: {s: {image: i}}\n"),
    ("type", "include: [{path: ¶[a.yml, b.yml]}]\nservices: {s: {image: i}}\n"),
    ("interpolation", "include: [¶'${F}']\nservices: {s: {image: i}}\n"),
    ("file", "include: [¶none.yml]\nservices: {s: {image: i}}\n"),
    ("refused", "include: [{path: none.yml, ¶env_file: /etc/environment}]\nservices: {s: {image: i}}\n"),
    ("refused", "include: [{path: none.yml, ¶project_directory: /}]\nservices: {s: {image: i}}\n"),
    ("cycle", "include: [¶case.yml]\nservices: {s: {image: i}}\n"),
    ("type", "include: ¶x.yml\nservices: {s: {image: i}}\n"),
    ("refused", "services: {s: {image: i}}\n¶models: {m: {model: ai/x}}\n"),
    ("unknown_key", "services: {s: {image: i}}\n¶service: {}\n"),
    ("unknown_key", "services: {s: {image: i}}\n¶plugins: {}\n"),
    ("name", "services: {¶'../s': {image: i}}\n"),
    ("name", "services: {¶'s;id': {image: i}}\n"),
    ("name", "services: {¶-s: {image: i}}\n"),
    ("type", "services: ¶[{image: i}]\n"),
    ("type", "services: {s: ¶text}\n"),
    ("type", "¶- services\n"),
    ("value", "¶volumes: {}\n"),
    ("value", "services: {¶s: {command: x}}\n"),
    ("value", "services: {¶s: {image: i, network_mode: none, networks: [default]}}\n"),
    ("value", "services: {¶s: {image: i, network_mode: none, ports: [80]}}\n"),
    ("value", "services: {¶s: {image: i, mem_limit: 1g, deploy: {resources: {limits: {memory: 2g}}}}}\n"),
    ("cycle", "services: {¶a: {image: i, extends: a}}\n"),
    ("cycle", "services: {¶a: {image: i, extends: b}, b: {extends: a}}\n"),
    ("cycle", "services: {a: {image: i, depends_on: [¶b]}, b: {image: i, depends_on: [a]}}\n"),
    ("cycle", "services: {a: {image: i, depends_on: [¶a]}}\n"),
    ("cycle", "services: {a: {image: i, network_mode: ¶service:b}, b: {image: i, links: [a]}}\n"),
    ("reference", "services: {a: {image: i, depends_on: [¶b]}, b: {image: i, profiles: [dev]}}\n"),
]
UNTRUSTED = [
    "¶gpus: all",
    "¶gpus: [{driver: nvidia, count: 1}]",
    "deploy: {resources: {reservations: {¶devices: [{capabilities: [gpu]}]}}}",
    "deploy: {¶placement: {constraints: [node.role==manager]}}",
    "deploy: {¶replicas: 1}",
    "deploy: {¶mode: replicated}",
    "¶dns: 1.1.1.1",
    "¶dns: [1.1.1.1]",
    "¶dns_search: [example.org]",
    "¶dns_opt: [use-vc]",
    "¶extra_hosts: ['a=1.2.3.4']",
    "¶extra_hosts: {a: 1.2.3.4}",
    "¶group_add: [docker]",
    "¶build: .",
    "¶build: {context: .}",
    "restart: ¶always",
    "restart: ¶unless-stopped",
    "restart: ¶on-failure:3",
]
SECTIONS = "volumes: {v: {}}\nconfigs: {c: {content: x}}\nsecrets: {t: {file: ./t}}\n"
NEIGHBOUR = "  x: {image: i}\n"
WAYS = ("direct", "extends", "extends_file", "include", "anchor", "inline")
CASES = [pytest.param(code, text, way, id=f"{text}-{way}") for code, text in SERVICE for way in WAYS]


def block(fixture: str, indent: str = "    ") -> str:
    image = "" if re.search(r"^image:", fixture) else f"{indent}image: i\n"
    return image + "".join(f"{indent}{line}\n" for line in fixture.split("\n"))


def arrange(fixture: str, way: str) -> dict[str, str]:
    """Return the files of a repository in which the fixture reaches the service `s` of case.yml in that way."""
    hostile = f"services:\n  s:\n{block(fixture)}{NEIGHBOUR}"
    if way in ("direct", "inline"):
        return {"case.yml": hostile + SECTIONS}
    if way == "extends":
        body = f"services:\n  base:\n{block(fixture)}  s: {{extends: base}}\n{NEIGHBOUR}"
        return {"case.yml": body + SECTIONS}
    if way == "extends_file":
        body = f"services:\n  s: {{extends: {{file: lib/other.yml, service: s}}}}\n{NEIGHBOUR}"
        return {"case.yml": body + SECTIONS, "lib/other.yml": hostile}
    if way == "include":
        return {"case.yml": "include: [lib/other.yml]\n", "lib/other.yml": hostile + SECTIONS}
    anchor = f"x-a: &a\n{block(fixture, '  ')}services:\n  s:\n    <<: *a\n{NEIGHBOUR}"
    return {"case.yml": anchor + SECTIONS}


def refuse(
    files: dict[str, str], *, trusted: bool = True, inline: bool = False
) -> tuple[list[Finding], Position | None]:
    """Load case.yml of the repository; return the errors and the place of the mark."""
    place, plain = None, {}
    for name, text in files.items():
        before, mark, after = text.partition("¶")
        plain[name] = (before + after).encode()
        if mark:
            place = Position(name, before.count("\n") + 1, len(before) - before.rfind("\n"))
    asked: dict = {"text": plain["case.yml"]}
    if inline:
        document, problems = yamlpos.load(plain["case.yml"], "case.yml")
        assert document is not None, problems
        asked = {"text": None, "data": document.data, "position_of": lambda path: document.position(path, key=True)}
    model, findings = compose.load(**asked, file="case.yml", read=plain.get, trusted=trusted)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    assert model is None, "accepted"
    return errors, place


@pytest.mark.parametrize(("code", "fixture", "way"), CASES)
def test_hostile_service_is_refused_however_it_is_reached(code: str, fixture: str, way: str):
    errors, place = refuse(arrange(fixture, way), inline=way == "inline")
    found = {(error.code, error.position) for error in errors}
    if way == "inline":  # `position_of` knows one place per path, that of its key
        assert f"compose_{code}" in {error.code for error in errors}
        assert place is not None
        assert place.line - 1 <= min(position.line for _code, position in found) <= place.line
    else:
        assert (f"compose_{code}", place) in found


@pytest.mark.parametrize(("code", "text"), FILES)
@pytest.mark.parametrize("trusted", [True, False])
def test_hostile_file_is_refused(code: str, text: str, trusted: bool):  # noqa: FBT001  # a parameter of the case
    errors, place = refuse({"case.yml": text}, trusted=trusted)
    assert (f"compose_{code}", place) in {(error.code, error.position) for error in errors}, errors


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fixture", UNTRUSTED)
def test_rights_of_trusted_files_are_refused_to_others(fixture: str, way: str):
    files = arrange(fixture, way)
    errors, place = refuse(files, trusted=False, inline=way == "inline")
    assert {error.code for error in errors} == {"compose_untrusted"}
    if way != "inline":
        assert {error.position for error in errors} == {place}
    # the negative control: the same file is fine for a trusted run
    plain = {name: text.replace("¶", "").encode() for name, text in files.items()}
    model, findings = compose.load(text=plain["case.yml"], file="case.yml", read=plain.get, trusted=True)
    assert model is not None, findings


@pytest.mark.parametrize("way", WAYS)
def test_the_frame_of_the_fixtures_is_accepted(way: str):
    """Negative control: what is refused above is refused for the fixture, not for the frame around it."""
    plain = {name: text.encode() for name, text in arrange("command: [true]", way).items()}
    model, findings = compose.load(text=plain["case.yml"], file="case.yml", read=plain.get, trusted=False)
    assert model is not None, findings
    assert findings == []


def test_all_problems_are_reported_at_once():
    text = "services:\n  s:\n    privileged: true\n    imag: x\n    pid: host\n    ports: [0]\n"
    errors, _ = refuse({"case.yml": text})
    assert [(error.position.line, error.code) for error in errors] == [
        (3, "compose_refused"),
        (4, "compose_unknown_key"),
        (5, "compose_refused"),
        (6, "compose_value"),
        (2, "compose_value"),
    ]
    assert errors[1].hint == "did you mean `image`?"


def test_there_are_enough_hostile_files():
    assert len(CASES) + 2 * len(FILES) + len(UNTRUSTED) * len(WAYS) >= 250
