from .request import ServeRequest as ServeRequest
from .scorer import Scorer as Scorer
from .serve_job import run_serve as run_serve
