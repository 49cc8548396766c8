"""`subnet service`: a systemd unit or a container file that runs a neuron and looks after it."""

from __future__ import annotations

import enum
import importlib.metadata
import json
import shlex
import sys
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from subnet.cli import exits, output
from subnet.cli.place import at_home

app = typer.Typer(add_completion=False, rich_markup_mode=None)

NOT_MENDED = (exits.USAGE, exits.NOT_REGISTERED, exits.MODEL, exits.WALLET)
"""Exit codes after which starting again changes nothing."""
PORT = 9100
"""Where the pages are in a container, if the settings do not say."""


class Neuron(enum.StrEnum):
    """What to run."""

    miner = "miner"
    validator = "validator"


class Format(enum.StrEnum):
    """For whom."""

    systemd = "systemd"
    container = "container"


UNIT = Template("""\
# $name: save as /etc/systemd/system/$name.service, then: systemctl enable --now $name
# The first two lines of [Service] say whose wallet it is; secrets go into $environment,
# one SUBNET_... = value a line, readable for root alone.
[Unit]
Description=Subnet $neuron ($config)
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
User=$user
EnvironmentFile=-$environment
Type=notify
NotifyAccess=main
ExecStart=$command
WorkingDirectory=$folder
StateDirectory=$name
CacheDirectory=$name
Environment=XDG_STATE_HOME=/var/lib/$name
Environment=XDG_CACHE_HOME=/var/cache/$name
Environment=BITTENSOR_RUNTIME_CACHE_DIR=/var/cache/$name
Environment=BTCLI_TOKEN_SYMBOLS_CACHE=/var/cache/$name/symbols.json
Restart=always
RestartSec=10
# Settings, seat, model and wallet are for a person to mend.
RestartPreventExitStatus=$not_mended
# The process says that it runs. Its own watchdog, which says why in the log, bites first.
WatchdogSec=330
TimeoutStartSec=90
TimeoutStopSec=10
KillMode=mixed
LimitNOFILE=8192
NoNewPrivileges=yes
CapabilityBoundingSet=
LockPersonality=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
# Wallets lie in a home: they are read, never written.
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
UMask=0077

[Install]
WantedBy=multi-user.target
""")

CONTAINER = Template("""\
# Build beside $file: build -t $name -f Containerfile .
# Run with the wallet's folder read-only at /home/subnet/.bittensor/wallets, a volume at
# /home/subnet/.local/state, and secrets as SUBNET_... variables.
FROM python:$python-slim
ARG PACKAGE="$package"
RUN pip install --no-cache-dir "$$PACKAGE" && useradd --create-home --uid 10001 subnet
USER subnet
WORKDIR /home/subnet
RUN mkdir -p .bittensor/wallets .local/state .cache
VOLUME ["/home/subnet/.local/state", "/home/subnet/.cache"]
COPY $file subnet.toml
ENV SUBNET_${upper}_METRICS_PORT=$port
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=300s --retries=3 CMD $health
ENTRYPOINT $entry
""")

HEALTH = (
    "import sys,urllib.request as r;"
    "sys.exit(r.urlopen('http://127.0.0.1:$port/healthz',timeout=8).status!=200)"
)


@app.command()
def service(
    neuron: Annotated[Neuron, typer.Argument(help="miner or validator.")],
    format: Annotated[Format, typer.Option(help="systemd or container.")] = Format.systemd,
    config: Annotated[Path, typer.Option(help="Settings file that it runs with.")] = Path(
        "subnet.toml"
    ),
    user: Annotated[str, typer.Option(help="Whose process it is, for systemd.")] = "subnet",
) -> None:
    """Print a file that runs one neuron, starts it again when it ends, and checks its health."""
    if format is Format.systemd:
        output.result(unit(neuron, at_home(config, "--config").absolute(), user).rstrip())
    else:
        output.result(containerfile(neuron, config).rstrip())


def unit(neuron: Neuron, config: Path, user: str) -> str:
    """A systemd unit, for the Python that runs this."""
    name = f"subnet-{neuron}"
    command = [sys.executable, "-P", "-m", "subnet.cli.app", neuron.value, "--config", str(config)]
    return UNIT.substitute(
        name=name,
        neuron=neuron.value,
        config=_escaped(str(config)),
        environment=f"/etc/subnet/{neuron}.env",
        user=user,
        command=" ".join(_quoted(word) for word in command),
        folder=_escaped(str(config.parent)),
        not_mended=" ".join(map(str, NOT_MENDED)),
    )


def containerfile(neuron: Neuron, config: Path) -> str:
    """A container file; `config` lies beside it."""
    version = importlib.metadata.version("subnetkit")
    health = ["python", "-c", Template(HEALTH).substitute(port=PORT)]
    return CONTAINER.substitute(
        name=f"subnet-{neuron}",
        file=shlex.quote(config.name),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        package=f"subnetkit[redis]=={version}",
        upper=neuron.value.upper(),
        port=PORT,
        health=_words(health),
        entry=_words(["subnet", neuron.value]),
    )


def _escaped(text: str) -> str:
    """A percent sign is systemd's own."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    escaped = _escaped(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"' if set(escaped) & set(" \t\"'\\;") else escaped


def _words(words: list[str]) -> str:
    return json.dumps(words)
