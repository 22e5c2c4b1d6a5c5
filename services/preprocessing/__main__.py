"""Start the preprocessing service."""

from libs.runtime.service import run
from services.preprocessing.compose import build

if __name__ == "__main__":
    run(build)
