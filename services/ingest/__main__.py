"""Start the ingest service."""

from libs.runtime.service import run
from services.ingest.compose import build

if __name__ == "__main__":
    run(build)
