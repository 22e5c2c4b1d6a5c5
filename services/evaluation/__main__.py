from libs.runtime.service import run
from services.evaluation.compose import build

if __name__ == "__main__":
    run(build)
