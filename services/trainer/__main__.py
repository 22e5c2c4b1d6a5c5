"""Start the trainer."""

from libs.runtime.service import run
from services.trainer.compose import build

if __name__ == "__main__":
    run(build)
