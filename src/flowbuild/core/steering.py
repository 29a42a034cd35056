"""Variables that steer programs instead of informing them, and who may set which. Pure."""

from __future__ import annotations

from collections.abc import Collection

from flowbuild.core.model import Pipeline

# Loaders, shells, interpreters, git, Docker: they obey these wherever they run.
_OBEYED = frozenset(
    """
    PATH HOME SHELL USER LOGNAME PWD OLDPWD TMPDIR IFS ENV BASH_ENV BASHOPTS SHELLOPTS PS4 PROMPT_COMMAND CDPATH
    GLOBIGNORE NODE_OPTIONS NODE_PATH PERL5OPT PERL5LIB PERL5DB RUBYOPT RUBYLIB JAVA_TOOL_OPTIONS _JAVA_OPTIONS
    JDK_JAVA_OPTIONS CLASSPATH GCONV_PATH LOCPATH NLSPATH HOSTALIASES RES_OPTIONS MALLOC_CHECK_ SSH_ASKPASS
    SSH_AUTH_SOCK EDITOR VISUAL PAGER BROWSER LESSOPEN LESSCLOSE PYTHONPATH PYTHONHOME PYTHONSTARTUP
    PYTHONUSERBASE PYTHONINSPECT PYTHONBREAKPOINT PYTHONWARNINGS PYTHONPYCACHEPREFIX
    """.split()  # noqa: SIM905 (a name a line would be a page)
)
_OBEYED_PREFIXES = ("LD_", "DYLD_", "DOCKER_", "COMPOSE_", "BUILDKIT_", "GIT_", "FLOW_", "BASH_FUNC_")

# Options of tools: where they get things, what they call, whom they believe. A pipeline may well set them.
_OPTIONS = frozenset(
    """
    MAKEFLAGS GNUMAKEFLAGS MAKEFILES GOFLAGS GOENV GOPROXY GOTOOLCHAIN RUSTFLAGS RUSTDOCFLAGS RUSTC RUSTC_WRAPPER
    MAVEN_OPTS MAVEN_ARGS GRADLE_OPTS GRADLE_USER_HOME SBT_OPTS ANT_OPTS ANT_ARGS JAVA_OPTS PYTEST_ADDOPTS
    PYTEST_PLUGINS TOX_OVERRIDE TAR_OPTIONS RSYNC_RSH RSYNC_CONNECT_PROG CVS_RSH SVN_SSH WGETRC CURL_HOME
    OPENSSL_CONF OPENSSL_MODULES KUBECONFIG HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY FTP_PROXY SSL_CERT_FILE
    SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED
    NODE_REPL_EXTERNAL_MODULE
    """.split()  # noqa: SIM905 (a name a line would be a page)
)
_OPTION_PREFIXES = (
    *("ANSIBLE_", "BUNDLE_", "CARGO_", "CGO_", "COMPOSER_", "GEM_", "HELM_", "NPM_CONFIG_", "PIP_", "PNPM_", "POETRY_"),
    *("SSH_", "TF_CLI_", "UV_", "YARN_"),
)


def steers(name: str) -> bool:
    """Whether a variable of this name must never be environment of a step, whoever set it."""
    upper = name.upper()
    return upper in _OBEYED or upper.startswith(_OBEYED_PREFIXES)


def guarded(pipeline: Pipeline) -> bool:
    """Whether a pipeline has something to protect from who starts it: secrets, or steps that act on an environment."""
    return any(step.secrets or step.environment is not None for step in pipeline.steps)


def refusals(pipeline: Pipeline, names: Collection[str]) -> list[str]:
    """Return why who starts or restarts a run of a guarded pipeline may not set these variables; empty: they may.

    What a pipeline declares was meant to be set. All else could be read by anything in a step that has secrets: lists of
    names to refuse are never complete, so they only come on top.
    """
    problems = []
    for name in names:
        if name not in pipeline.variables:
            problems.append(f"the pipeline declares no variable {name}")
        elif steers(name) or _is_option(name):
            problems.append(f"programs obey the variable {name}: only the pipeline may set it")
    return problems


def _is_option(name: str) -> bool:
    upper = name.upper()
    return upper in _OPTIONS or upper.startswith(_OPTION_PREFIXES)
