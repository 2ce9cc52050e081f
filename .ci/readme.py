"""Run the README as a reader would: its `sh` and `python` blocks, in their order, in one shell session's folders.

`luthier serve` runs in the background until the end. A block that fails ends the run with exit code 1.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SERVE = "luthier serve\n"
READY_SECONDS = 120


def main() -> int:
    environment = os.environ | {"PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    folder, servers = ROOT, []
    blocks = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    if not blocks:
        raise SystemExit("the README has no block to run")
    try:
        for language, code in blocks:
            print(f"\n--- README: {code.strip()}", flush=True)
            if code == SERVE:
                servers.append(subprocess.Popen(["luthier", "serve"], cwd=folder, env=environment))
                wait_until_ready("http://127.0.0.1:8000/readyz")
            elif language == "python":
                subprocess.run([ROOT / ".venv" / "bin" / "python", "-c", code], cwd=folder, env=environment, check=True)
            else:
                folder = run_shell(code, folder, environment)
    except subprocess.CalledProcessError as error:
        print(f"this block failed with {error.returncode}", file=sys.stderr)
        return 1
    finally:
        for server in servers:
            server.terminate()
            server.wait()
    return 0


def run_shell(code: str, folder: Path, environment: dict[str, str]) -> Path:
    """Run a block; the folder that it ends in, where the next one starts."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as last_folder:
        script = f'set -e\n{code}\npwd > "{last_folder.name}"'
        subprocess.run(["bash", "-c", script], cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL)
        return Path(last_folder.read().strip())


def wait_until_ready(url: str) -> None:
    for _ in range(READY_SECONDS):
        try:
            with urllib.request.urlopen(url) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(1)
    raise SystemExit(f"nothing answers at {url}")


if __name__ == "__main__":
    sys.exit(main())
