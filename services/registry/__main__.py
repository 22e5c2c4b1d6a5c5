"""python -m services.registry"""

from libs.runtime.service import run
from services.registry.compose import build

if __name__ == "__main__":
    run(build)
