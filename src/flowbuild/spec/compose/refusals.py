"""Keys of a service that nobody may use, and keys that have no effect, with the reasons that people are told."""

from __future__ import annotations

from flowbuild.spec.compose.checker import Ignore, Refuse, Rule

_KERNEL = "it would let the step reach the kernel or the devices of the machine"
_NAMESPACE = "containers of a step share nothing with the machine or with other containers"
_OWN_NAME = "names are made by the runner, so that steps can run side by side"
_HOOK = "hooks are not run: containers are started by the runner"
_ENTRYPOINT = "do it in `command` or in a service of its own"
_MACHINE_CODE = "it would run programs on the machine itself"
_REMOVE = "remove it"

REFUSED: dict[str, Rule] = {
    "privileged": Refuse("a privileged container owns the machine", _REMOVE, (False,)),
    "cap_add": Refuse("containers get no more rights than the default", "install what needs it in the image", ([],)),
    "devices": Refuse(_KERNEL, "trusted runs may use `gpus`", ([],)),
    "device_cgroup_rules": Refuse(_KERNEL, _REMOVE, ([],)),
    "pid": Refuse(_NAMESPACE, _REMOVE, ("",)),
    "ipc": Refuse(_NAMESPACE, "`shm_size` makes /dev/shm larger", ("", "private")),
    "uts": Refuse(_NAMESPACE, _REMOVE, ("",)),
    "userns_mode": Refuse(_NAMESPACE, _REMOVE, ("",)),
    "cgroup": Refuse(_NAMESPACE, _REMOVE, ("private",)),
    "cgroup_parent": Refuse("limits of the runner would not hold", "use `mem_limit` and `cpus`"),
    "runtime": Refuse("the runner decides what runs containers", "trusted runs may use `gpus`", ("runc",)),
    "isolation": Refuse("the runner decides what runs containers", _REMOVE, ("default",)),
    "credential_spec": Refuse("credentials of the machine are not for steps", "declare `secrets` of the step"),
    "sysctls": Refuse(_KERNEL, _REMOVE, ([], {})),
    "oom_kill_disable": Refuse(
        "a step that needs too much memory must not take the machine with it", _REMOVE, (False,)
    ),
    "oom_score_adj": Refuse("a step that needs too much memory must not take the machine with it", _REMOVE, (0,)),
    "storage_opt": Refuse("the runner decides about storage", _REMOVE),
    "blkio_config": Refuse("it names devices of the machine", "use `cpus` and `mem_limit`"),
    "cpu_rt_period": Refuse("real-time scheduling can stop the machine", "use `cpus`"),
    "cpu_rt_runtime": Refuse("real-time scheduling can stop the machine", "use `cpus`"),
    "cpu_count": Refuse("it works on Windows only", "use `cpus`"),
    "cpu_percent": Refuse("it works on Windows only", "use `cpus`"),
    "use_api_socket": Refuse("who has the socket of the engine owns the machine", _REMOVE, (False,)),
    "provider": Refuse(_MACHINE_CODE, "use an image"),
    "models": Refuse(_MACHINE_CODE, "run the model in a service"),
    "post_start": Refuse(_HOOK, _ENTRYPOINT, ([],)),
    "pre_stop": Refuse(_HOOK, _ENTRYPOINT, ([],)),
    "pre_start": Refuse(_HOOK, _ENTRYPOINT, ([],)),
    "volumes_from": Refuse("it reaches into other containers", "mount the same named volume in both services", ([],)),
    "external_links": Refuse(
        "it reaches into containers of others", "a service of a step answers as `<service>.<step>`", ([],)
    ),
    "container_name": Refuse(_OWN_NAME, "remove it: services reach each other by the name of the service"),
    "mac_address": Refuse("addresses are given by the engine", _REMOVE),
    "label_file": Refuse("labels stand in the file", "use `labels`"),
    "annotations": Refuse("annotations steer the runtime of the machine", "use `labels`", ([], {})),
}

IGNORED: dict[str, Rule] = {
    "attach": Ignore("output of every service is kept"),
    "develop": Ignore("there is nobody to watch for changes"),
    "pull_policy": Ignore("the runner gets images before the step starts and uses exactly those"),
    "domainname": Ignore("the host name of a container is `<service>.<step>`"),
}
