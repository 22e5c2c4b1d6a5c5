"""Run the service."""

from libs.runtime.service import run
from services.console.compose import build

if __name__ == "__main__":
    run(build)
