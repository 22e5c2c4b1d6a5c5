"""Start the monitor."""

from libs.runtime.service import run
from services.monitor.compose import build

if __name__ == "__main__":
    run(build)
