from .scorer import Scorer as Scorer
from .scorer import ServeRequest as ServeRequest
from .serve_job import run_serve as run_serve
